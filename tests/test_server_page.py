"""The page of a server in a real browser: pictures in by every way, clicks, Back, reload, and what goes wrong."""

from __future__ import annotations

import base64
import json

import pytest
from browsing import browser as browser  # fixtures
from browsing import server as server
from browsing import visit as visit
from browsing import visiting
from conftest import picture
from serving import served
from synced import sync

from simsearch.console import one_in
from simsearch.server.guards import Token
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


def give(visit, kind, path, media="image/png"):
    visit.tab.evaluate(GIVE, [kind, path.name, media, base64.b64encode(path.read_bytes()).decode()])


def expected(server, path, **texts):
    """The rows that the server itself answers to a file."""
    reply = server.form("/v1/search", {"not_self": "true", **texts}, image=(path.name, path.read_bytes()))
    assert reply.status == 200, reply.body
    return [hit["row"] for hit in reply.json["hits"]]


def test_an_empty_page_has_twelve_pictures_to_start_from(visit):
    visit.tab.wait_for_selector("#starts img")
    assert visit.tab.locator("#starts a").count() == 12
    assert visit.text("h1") == "photos"
    assert visit.text("#about").startswith("72 pictures, 6 labels, recall@1 ")
    before = visit.tab.locator("#starts img").evaluate_all("all => all.map(one => one.src)")
    visit.tab.click("#others")
    visit.until("([first]) => document.querySelector('#starts img')?.src !== first", before[0])
    assert not visit.tab.locator("#found").is_visible()


@pytest.mark.parametrize("way", ["file", "camera", "paste", "drop"])
def test_a_picture_comes_in_by_every_way(visit, server, mapped, way):
    path = mapped[0] / "class 2" / "03.png"
    visit.tab.wait_for_selector("#starts img")
    if way in ("file", "camera"):
        visit.tab.set_input_files(f"#{way}", path)
    else:
        give(visit, way, path)
    visit.answered()
    assert visit.rows() == expected(server, path)
    assert visit.text("#called") == "03.png"
    assert "class 2" in visit.text("#answer h2")
    assert visit.tab.evaluate("document.activeElement.id") == "answer"
    assert visit.tab.evaluate("document.querySelector('#preview').width") == 24
    assert visit.text("#status").startswith("10 results, best ")


def test_back_and_reload_and_a_shared_link_bring_the_view_back(browser, server, mapped, visit):
    visit.tab.set_input_files("#file", mapped[0] / "class 1" / "05.png")
    visit.answered()
    first, address = visit.rows(), visit.tab.url
    visit.tab.locator("#hits a").nth(1).click()
    visit.until("([before]) => location.href !== before && !document.body.classList.contains('busy')", address)
    visit.until("document.querySelector('#called').textContent.includes('/')")
    second, shared = visit.rows(), visit.tab.url
    assert second != first
    assert first[1] not in second, "a picture does not find itself"
    visit.tab.go_back()
    visit.until(
        "([rows]) => String([...document.querySelectorAll('#hits > li')].map(o => o.dataset.row)) === rows",
        ",".join(map(str, first)),
    )
    assert visit.tab.url == address
    visit.tab.reload()
    visit.answered()
    assert visit.rows() == first
    with visiting(browser, server, shared) as other:
        other.answered()
        assert other.rows() == second
    with visiting(browser, server, address) as other:
        other.tab.wait_for_selector(".notice")
        assert "not in this browser" in other.text(".notice")
    visit.tab.go_back()
    visit.tab.wait_for_selector("#starts img")
    assert visit.text("#answer") == ""


def test_what_is_no_picture_is_said(visit, server, tmp_path):
    visit.expects = "422"
    text = tmp_path / "notes.png"
    text.write_text("this is no picture")
    visit.tab.set_input_files("#file", text)
    visit.tab.wait_for_selector(".notice")
    assert visit.text(".notice h2") == "This is not a picture that can be read"
    assert visit.tab.locator(".notice").get_attribute("role") == "alert"
    assert not visit.tab.locator("#found").is_visible()
    visit.tab.click("#remove")
    visit.tab.wait_for_selector("#starts img")
    assert visit.tab.locator(".notice").count() == 0


def test_a_picture_that_is_too_large_is_said(browser, mapped):
    with served(mapped[1], body_bytes=2000) as server, visiting(browser, server) as visit:
        big = {"name": "big.png", "mimeType": "image/png", "buffer": bytes(50_000)}
        visit.tab.set_input_files("#file", big)
        visit.tab.wait_for_selector(".notice")
        assert visit.text(".notice h2") == "This picture is too large"


def problem(status, **more):
    document = {"type": "about:blank", "title": "x", "status": status, "detail": "words", "hint": None, **more}
    headers = {"Retry-After": "1", "Content-Type": "application/problem+json"}
    return {"status": status, "headers": headers, "body": json.dumps(document)}


def test_a_busy_server_is_asked_again(visit):
    visit.expects, refused = "503", []

    def busy(route):
        if len(refused) < 2:
            refused.append(route)
            route.fulfill(**problem(503))
        else:
            route.continue_()

    visit.tab.route("**/search", busy)
    visit.tab.locator("#starts a").first.click()
    visit.tab.wait_for_selector("h2.waiting")
    assert visit.text(".notice") == "The server is busy: retrying in 1 s"
    visit.answered()
    assert len(visit.rows()) == 10
    assert visit.tab.locator(".notice").count() == 0
    assert len(refused) == 2


def test_a_slow_answer_is_waited_for_in_words(visit):
    held = []
    visit.tab.route("**/search", lambda route: held.append(route))
    visit.tab.locator("#starts a").first.click()
    visit.tab.wait_for_selector(".waiting")
    assert visit.text("#notice") == "Searching ..."
    held[0].continue_()
    visit.answered()
    assert visit.text("#notice") == ""


def test_a_server_that_is_gone_comes_back(visit):
    visit.expects = "ERR_CONNECTION_REFUSED"
    visit.start()
    down = lambda route: route.abort("connectionrefused")  # noqa: E731
    visit.tab.route("**/v1/**", down)
    visit.tab.route("**/healthz", down)
    visit.tab.locator("#hits a").first.click()
    visit.tab.wait_for_selector(".notice")
    assert visit.text(".notice h2") == "The server is gone"
    assert "simsearch serve" in visit.text(".notice")
    visit.tab.unroute("**/v1/**", down)
    visit.tab.unroute("**/healthz", down)
    visit.answered()
    assert len(visit.rows()) == 10


def test_a_state_that_is_no_longer_open_is_said(visit):
    visit.expects = "410"
    visit.tab.route("**/search", lambda route: route.fulfill(**problem(410)))
    visit.tab.locator("#starts a").first.click()
    visit.tab.wait_for_selector(".notice")
    assert visit.text(".notice h2") == "The build changed: search again"
    visit.tab.unroute("**/search")
    visit.tab.get_by_role("button", name="Search again").click()
    visit.answered()


def test_the_page_goes_on_when_the_build_is_exchanged(browser, ours):
    folder, home = ours
    with served(home, "photos") as server, visiting(browser, server, "/?image=class 1/03.png") as visit:
        visit.answered()
        before = server.digest()
        assert f"state {before}" in visit.text("#foot")
        picture(1, 500).save(folder / "class 1" / "new.png")
        sync(home, None, "photos")
        assert len(server.look()) == 1
        after = server.digest()
        visit.tab.locator("#hits .more").first.click()
        visit.tab.get_by_role("button", name="Search again").click()
        visit.until("([words]) => document.querySelector('#foot').textContent.includes(words)", f"state {after}")
        visit.answered()
        assert visit.text("#about").startswith("31 pictures")
        addresses = visit.tab.locator("#hits img").evaluate_all("all => all.map(one => one.src)")
        assert len(addresses) == 10
        assert all(f"/{after}/" in address for address in addresses)
        picture(1, 501).save(folder / "class 1" / "another.png")
        sync(home, None, "photos")
        assert len(server.look()) == 1
        visit.tab.locator("#hits a").first.click()
        visit.until("([words]) => document.querySelector('#foot').textContent.includes(words)", server.digest())
        assert visit.text("#about").startswith("32 pictures")


def test_a_file_that_is_not_here_keeps_its_thumbnail(browser, ours):
    folder, home = ours
    with served(home, "photos") as server, visiting(browser, server, "/?image=class 1/03.png") as visit:
        visit.answered()
        row = visit.rows()[0]
        name = server.service.shelf.now().searcher.corpus.records[row].image
        (folder / name).unlink()
        visit.tab.reload()
        visit.answered()
        first = visit.tab.locator("#hits > li").first
        assert "original not on this machine" in first.inner_text()
        visit.until("document.querySelector('#hits img').naturalWidth === 24")
        first.locator(".more").click()
        visit.tab.get_by_text("The original is not on this machine, or has changed since.").wait_for()
        assert visit.unexpected() == []


def test_a_token_is_asked_for_once(browser, built):
    token = Token("a word of the tests")
    with served(built[1], "photos", token=token) as server, visiting(browser, server) as visit:
        assert visit.tab.url.endswith("/login")
        visit.tab.fill("input", "a word of the tests")
        visit.tab.keyboard.press("Enter")
        visit.tab.wait_for_selector("#starts img")
        visit.start()
        assert len(visit.rows()) == 10


def test_every_file_of_the_page_is_short_and_served(server):
    for name, (data, _) in static_files().items():
        assert data.count(b"\n") < 300, name
        reply = server.get(f"/page/{name}")
        assert reply.body == data
    media = {name.rpartition(".")[2]: server.get(f"/page/{name}").headers["content-type"] for name in static_files()}
    assert "javascript" in media["js"]
    assert "text/css" in media["css"]
    assert b"--c0" in server.get("/page/colours.css").body


def test_rates_are_rounded_as_by_the_command_line(visit):
    rates = [1 / times for times in (1, 2, 9.5, 10.5, 14.5, 72.5, 99, 145, 155, 995, 1250, 1350, 3846)]
    said = visit.tab.evaluate(
        "async (rates) => { const w = await import('/page/words.js'); return rates.map((r) => w.oneIn(r, true)); }",
        rates,
    )
    assert said == [one_in(rate, at_most=True) for rate in rates]
    assert "< 1 in 140" in said
