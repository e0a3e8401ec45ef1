"""The page of a server in a real browser: pictures in by every way, clicks, Back, reload, and what goes wrong."""

from __future__ import annotations

import base64
import json

import pytest
from browsing import build_photos, visiting
from chromium import browser as browser  # a fixture
from serving import served

from simsearch.server.pages import static_files

pytestmark = pytest.mark.slow

# What a paste and a drop of a file are to a page.
GIVE = """([kind, name, type, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), given = new DataTransfer();
  given.items.add(new File([bytes], name, {type}));
  const options = {bubbles: true, cancelable: true};
  const event = kind === "paste" ? new ClipboardEvent(kind, {...options, clipboardData: given})
    : new DragEvent(kind, {...options, dataTransfer: given});
  document.body.dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return build_photos(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def server(photos):
    with served(photos[1]) as server:
        yield server


@pytest.fixture
def page(browser, server):
    with visiting(browser, server) as page:
        yield page
        assert page.unexpected() == []


def give(page, kind, path, media="image/png"):
    page.tab.evaluate(GIVE, [kind, path.name, media, base64.b64encode(path.read_bytes()).decode()])


def expected(server, path, **texts):
    """The rows that the server itself answers to a file."""
    reply = server.form("/v1/search", {"not_self": "true", **texts}, image=(path.name, path.read_bytes()))
    assert reply.status == 200, reply.body
    return [hit["row"] for hit in reply.json["hits"]]


def test_an_empty_page_has_twelve_pictures_to_start_from(page):
    page.tab.wait_for_selector("#starts img")
    assert page.tab.locator("#starts a").count() == 12
    assert page.text("h1") == "photos"
    assert page.text("#about").startswith("72 pictures, 6 labels, recall@1 ")
    before = page.tab.locator("#starts img").evaluate_all("all => all.map(one => one.src)")
    page.tab.click("#others")
    page.until("([first]) => document.querySelector('#starts img')?.src !== first", before[0])
    assert not page.tab.locator("#found").is_visible()


@pytest.mark.parametrize("way", ["file", "camera", "paste", "drop"])
def test_a_picture_comes_in_by_every_way(page, server, photos, way):
    path = photos[0] / "class 2" / "03.png"
    page.tab.wait_for_selector("#starts img")
    if way in ("file", "camera"):
        page.tab.set_input_files(f"#{way}", path)
    else:
        give(page, way, path)
    page.answered()
    assert page.rows() == expected(server, path)
    assert page.text("#called") == "03.png"
    assert "class 2" in page.text("#answer h2")
    assert page.tab.evaluate("document.activeElement.id") == "answer"
    assert page.tab.evaluate("document.querySelector('#preview').width") == 24
    assert page.text("#status").startswith("10 results, best ")


def test_back_and_reload_and_a_shared_link_bring_the_view_back(browser, server, photos, page):
    page.tab.set_input_files("#file", photos[0] / "class 1" / "05.png")
    page.answered()
    first, address = page.rows(), page.tab.url
    page.tab.locator("#hits a").nth(1).click()
    page.until("([before]) => location.href !== before && !document.body.classList.contains('busy')", address)
    page.until("document.querySelector('#called').textContent.includes('/')")
    second, shared = page.rows(), page.tab.url
    assert second != first
    assert first[1] not in second, "a picture does not find itself"
    page.tab.go_back()
    page.until(
        "([rows]) => String([...document.querySelectorAll('#hits > li')].map(o => o.dataset.row)) === rows",
        ",".join(map(str, first)),
    )
    assert page.tab.url == address
    page.tab.reload()
    page.answered()
    assert page.rows() == first
    with visiting(browser, server, shared) as other:
        other.answered()
        assert other.rows() == second
    with visiting(browser, server, address) as other:
        other.tab.wait_for_selector(".notice")
        assert "not in this browser" in other.text(".notice")
    page.tab.go_back()
    page.tab.wait_for_selector("#starts img")
    assert page.text("#answer") == ""


def test_what_is_no_picture_is_said(page, server, tmp_path):
    page.expects = "422"
    text = tmp_path / "notes.png"
    text.write_text("this is no picture")
    page.tab.set_input_files("#file", text)
    page.tab.wait_for_selector(".notice")
    assert page.text(".notice h2") == "This is not a picture that can be read"
    assert page.tab.locator(".notice").get_attribute("role") == "alert"
    assert not page.tab.locator("#found").is_visible()
    page.tab.click("#remove")
    page.tab.wait_for_selector("#starts img")
    assert page.tab.locator(".notice").count() == 0


def test_a_picture_that_is_too_large_is_said(browser, photos):
    with served(photos[1], body_bytes=2000) as server, visiting(browser, server) as page:
        big = {"name": "big.png", "mimeType": "image/png", "buffer": bytes(50_000)}
        page.tab.set_input_files("#file", big)
        page.tab.wait_for_selector(".notice")
        assert page.text(".notice h2") == "This picture is too large"


def problem(status, **more):
    document = {"type": "about:blank", "title": "x", "status": status, "detail": "words", "hint": None, **more}
    headers = {"Retry-After": "1", "Content-Type": "application/problem+json"}
    return {"status": status, "headers": headers, "body": json.dumps(document)}


def test_a_busy_server_is_asked_again(page):
    page.expects, refused = "503", []

    def busy(route):
        if len(refused) < 2:
            refused.append(route)
            route.fulfill(**problem(503))
        else:
            route.continue_()

    page.tab.route("**/search", busy)
    page.tab.locator("#starts a").first.click()
    page.tab.wait_for_selector("h2.waiting")
    assert page.text(".notice") == "The server is busy: retrying in 1 s"
    page.answered()
    assert len(page.rows()) == 10
    assert page.tab.locator(".notice").count() == 0
    assert len(refused) == 2


def test_a_slow_answer_is_waited_for_in_words(page):
    held = []
    page.tab.route("**/search", lambda route: held.append(route))
    page.tab.locator("#starts a").first.click()
    page.tab.wait_for_selector(".waiting")
    assert page.text("#notice") == "Searching ..."
    held[0].continue_()
    page.answered()
    assert page.text("#notice") == ""


def test_a_server_that_is_gone_comes_back(page):
    page.expects = "ERR_CONNECTION_REFUSED"
    page.start()
    down = lambda route: route.abort("connectionrefused")  # noqa: E731
    page.tab.route("**/v1/**", down)
    page.tab.route("**/healthz", down)
    page.tab.locator("#hits a").first.click()
    page.tab.wait_for_selector(".notice")
    assert page.text(".notice h2") == "The server is gone"
    assert "simsearch serve" in page.text(".notice")
    page.tab.unroute("**/v1/**", down)
    page.tab.unroute("**/healthz", down)
    page.answered()
    assert len(page.rows()) == 10


def test_a_state_that_is_no_longer_open_is_said(page):
    page.expects = "410"
    page.tab.route("**/search", lambda route: route.fulfill(**problem(410)))
    page.tab.locator("#starts a").first.click()
    page.tab.wait_for_selector(".notice")
    assert page.text(".notice h2") == "The build changed: search again"
    page.tab.unroute("**/search")
    page.tab.get_by_role("button", name="Search again").click()
    page.answered()


def test_every_file_of_the_page_is_short_and_served(server):
    for name, (data, _) in static_files().items():
        assert data.count(b"\n") < 300, name
        reply = server.get(f"/page/{name}")
        assert reply.body == data
    media = {name.rpartition(".")[2]: server.get(f"/page/{name}").headers["content-type"] for name in static_files()}
    assert "javascript" in media["js"]
    assert "text/css" in media["css"]
    assert b"--c0" in server.get("/page/colours.css").body
