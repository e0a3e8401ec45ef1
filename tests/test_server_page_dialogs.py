"""Dialogs of the page and its map: details of a hit, a part of the picture, two pictures beside each other."""

from __future__ import annotations

import pytest
from browsing import browser as browser  # fixtures
from browsing import server as server
from browsing import visit as visit
from browsing import visiting
from serving import served

pytestmark = pytest.mark.slow
QUERY = "/?image=class 1/03.png"


@pytest.fixture
def found(visit):
    visit.tab.goto(QUERY)
    visit.answered()
    return visit


def test_details_show_query_and_hit_and_arrows_go_on(found, server):
    rows, tab = found.rows(), found.tab
    tab.locator("#hits .more").nth(1).click()
    tab.wait_for_selector("#details h2")
    assert found.text("#details h2").startswith("Hit 2: class ")
    assert tab.evaluate("document.querySelector('#details canvas').width") == 24
    told = server.get(f"/v1/builds/photos/{server.digest()}/images/{rows[1]}").json
    assert found.text("#details code") == told["image"]
    assert tab.locator("#details .few li").count() == len(told["folder"])
    tab.keyboard.press("ArrowRight")
    found.until("document.querySelector('#details h2').textContent.startsWith('Hit 3')")
    for _ in range(2):
        number = int(found.text("#details h2").split()[1].strip(":"))
        tab.keyboard.press("ArrowLeft")
        found.until(f"document.querySelector('#details h2').textContent.startsWith('Hit {number - 1}')")
    assert tab.get_by_role("button", name="Previous").is_disabled()
    tab.keyboard.press("Escape")
    assert not tab.locator("#details").is_visible()
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "Details of hit 2"


def test_a_name_is_copied_and_another_of_the_folder_searched_by(browser, server):
    permissions = ["clipboard-read", "clipboard-write"]
    with visiting(browser, server, QUERY, permissions=permissions) as found:
        found.answered()
        found.tab.locator("#hits .more").first.click()
        found.tab.get_by_role("button", name="Copy").click()
        found.tab.get_by_role("button", name="Copied").wait_for()
        assert found.tab.evaluate("navigator.clipboard.readText()") == found.text("#details code")
        other = found.tab.locator("#details .few a").first
        address = other.get_attribute("href")
        other.click()
        found.answered()
        assert found.tab.url.endswith(address)
        assert not found.tab.locator("#details").is_visible()


@pytest.mark.parametrize("way", ["pointer", "numbers"])
def test_a_part_is_searched_by(found, server, way):
    found.tab.click("#part")
    canvas = found.tab.locator("#crop canvas")
    if way == "pointer":
        box = canvas.bounding_box()
        found.tab.mouse.move(box["x"] + 1, box["y"] + 1)
        found.tab.mouse.down()
        found.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.75, steps=4)
        found.tab.mouse.up()
        height = int(found.tab.input_value("#crop-3"))
        assert abs(height - 75) <= 4
    else:
        for place, value in enumerate((10, 20, 50, 60)):
            found.tab.fill(f"#crop-{place}", str(value))
    found.tab.get_by_role("button", name="Search by this part").click()
    found.answered()
    crop = found.tab.evaluate("new URLSearchParams(location.search).get('crop')")
    assert crop == "0.1,0.2,0.5,0.6" or way == "pointer"
    reply = server.post("/v1/search", {"image": "class 1/03.png", "crop": crop, "not_self": True})
    assert found.rows() == [hit["row"] for hit in reply.json["hits"]]
    assert found.text("#called").startswith("A part of 03.png")
    found.tab.click("#part")
    found.tab.get_by_role("button", name="Search by the whole").click()
    found.answered()
    assert "crop" not in found.tab.url


def test_two_pictures_are_compared(found, mapped, server):
    found.tab.get_by_role("button", name="Compare two").click()
    found.tab.set_input_files("#compare-1", mapped[0] / "class 1" / "04.png")
    found.tab.wait_for_selector("#compare .lead")
    files = {"one": mapped[0] / "class 1" / "03.png", "other": mapped[0] / "class 1" / "04.png"}
    reply = server.form("/v1/builds/photos/same", **{name: path.read_bytes() for name, path in files.items()})
    assert f"Score {reply.json['score']:.3f}" in found.text("#compare")
    words = {True: "The same label.", False: "Different labels.", None: "Too few pairs were measured to tell."}
    assert found.text("#compare .lead") == words[reply.json["same"]]


def test_the_map_shows_the_query_and_leads_on(found, server):
    tab = found.tab
    tab.wait_for_selector("#points")
    found.until("document.querySelector('#points').width > 300")
    points = server.get(f"/v1/builds/photos/{server.digest()}/map").json["points"]
    assert "with a ring at the place of the query" in tab.get_attribute("#points", "aria-label")
    assert tab.locator("#legend li canvas").count() == 6
    row, x, y, _ = points[5]
    left, right = min(p[1] for p in points), max(p[1] for p in points)
    low, high = min(p[2] for p in points), max(p[2] for p in points)
    box = tab.locator("#points").bounding_box()
    width, height = box["width"] - 2, box["height"] - 2  # without the border
    at_x = box["x"] + 1 + 16 + (x - left) / (right - left) * (width - 32)
    at_y = box["y"] + 1 + height - 16 - (y - low) / (high - low) * (height - 32)
    tab.mouse.move(at_x, at_y)
    card = tab.wait_for_selector("#card a")
    seen = int(card.get_attribute("data-row"))
    near = {p[0] for p in points if abs(p[1] - x) + abs(p[2] - y) < 0.1 * (right - left + high - low)}
    assert seen in near | {row}
    image = server.get(f"/v1/builds/photos/{server.digest()}/images/{seen}").json["image"]
    assert tab.locator("#card img").get_attribute("src").endswith(f"/images/{seen}/thumbnail")
    tab.mouse.click(at_x, at_y)
    found.until("([image]) => new URLSearchParams(location.search).get('image') === image", image)
    found.answered()


def test_the_map_is_a_table_too(found):
    found.tab.wait_for_selector("#points")
    found.tab.get_by_role("button", name="Show as table").click()
    assert found.tab.locator("#map-table tbody tr").count() == 6
    counts = found.tab.locator("#map-table tbody tr td:nth-child(2)").all_inner_texts()
    assert sum(map(int, counts)) == 72
    found.tab.locator("#map-table").get_by_role("button", name="class 3").click()
    found.answered()
    assert set(found.tab.locator("#hits .label").all_inner_texts()) == {"class 3"}


def test_the_map_is_there_before_any_search(visit, server):
    tab = visit.tab
    visit.until("document.querySelector('#points')?.getAttribute('aria-label').startsWith('Map of 72 pictures')")
    assert tab.locator("#start #map").is_visible()
    assert "query" not in tab.get_attribute("#points", "aria-label") + visit.text("#map-told")
    assert "hits" not in visit.text("#legend")
    assert tab.locator("#legend li canvas").count() == 6
    shown = "(([x]) => { const c = document.querySelector('#points'); return c.toDataURL(); })"
    bare = tab.evaluate(shown, [0])
    tab.get_by_role("button", name="Show as table").click()
    assert tab.locator("#map-table thead th").all_inner_texts() == ["Label", "Pictures", "Nearest labels"]
    assert tab.locator("#map-table tbody tr").count() == 6
    assert tab.locator("#map-table button").count() == 0, "there are no hits to filter yet"
    tab.get_by_role("button", name="Hide the table").click()
    visit.start()
    visit.until("document.querySelector('#points').getAttribute('aria-label').includes('place of the query')")
    assert tab.locator("#found #map").is_visible()
    assert tab.evaluate(shown, [0]) != bare
    tab.go_back()
    visit.until("!document.querySelector('#points').getAttribute('aria-label').includes('query')")
    assert tab.locator("#start #map").is_visible()
    assert tab.evaluate(shown, [0]) == bare
    assert sum(url.endswith("/map") for url in visit.asked) == 1


def test_a_closed_map_is_not_asked_for(browser, server):
    with visiting(browser, server, viewport={"width": 390, "height": 800}) as visit:
        visit.tab.wait_for_selector("#starts img")
        visit.tab.wait_for_selector("#map-box > summary")
        visit.start()
        assert not visit.tab.locator("#points").is_visible()
        assert not any(url.endswith("/map") for url in visit.asked)
        visit.tab.locator("#map-box > summary").click()
        visit.until("document.querySelector('#points').getAttribute('aria-label').includes('place of the query')")


def test_a_build_without_a_map_has_none(browser, built):
    with served(built[1]) as server, visiting(browser, server, "/?image=class 1/03.png") as visit:
        visit.answered()
        assert not visit.tab.locator("#map").is_visible()
        visit.tab.goto("/")
        visit.tab.wait_for_selector("#starts img")
        assert not visit.tab.locator("#map").is_visible()
        visit.tab.go_back()
        visit.answered()
        assert len(visit.rows()) == 10
