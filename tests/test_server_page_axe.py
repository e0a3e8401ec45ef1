"""The page for everybody: axe-core finds nothing, everything is reached by Tab, nothing is cut at 320 pixels."""

from __future__ import annotations

import pytest
from browsing import browser as browser  # fixtures
from browsing import server as server
from browsing import visiting
from test_page_axe import EVERY_RULE

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
pytestmark = pytest.mark.slow
QUERY = "/?image=class 1/03.png"

# Elements that reach beyond the window.
CUT = """[...document.querySelectorAll("body *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return e.getClientRects().length && !e.closest(".skip, .hidden, dialog:not([open])") &&
    getComputedStyle(e).opacity !== "0" && (box.right > innerWidth + 1 || box.left < -1);
}).map((e) => e.outerHTML.slice(0, 120))"""
SMALL_TARGETS = """[...document.querySelectorAll("a, button, select, input, summary")].filter((e) => {
  const box = (e.closest("label") ?? e).getBoundingClientRect(), style = getComputedStyle(e);
  return box.width && style.opacity !== "0" && style.display !== "inline" && (box.width < 24 || box.height < 24);
}).map((e) => e.outerHTML.slice(0, 120))"""
# What has the focus, and whether it, or its label, shows that.
FOCUSED = """() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  const labels = e.id ? document.querySelectorAll(`label[for="${e.id}"]`) : [];
  const styles = [e, ...labels].map((one) => getComputedStyle(one));
  return [e.id || e.className || e.textContent.trim().slice(0, 20),
    styles.some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2)];
}"""


def state(visit, name):
    """Bring the page into a state."""
    if name == "start":
        visit.tab.wait_for_selector("#starts img")
        return
    visit.tab.goto(QUERY + {"nothing": "&where=label = 'class 1' and label = 'class 2'"}.get(name, ""))
    visit.answered()
    if name == "open":
        visit.tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        visit.tab.get_by_role("button", name="Show as table").click()
    elif name == "details":
        visit.tab.locator("#hits .more").first.click()
        visit.tab.wait_for_selector("#details .few img")
    elif name in ("part", "compare"):
        visit.tab.click("#part" if name == "part" else "#tools button")
        visit.tab.wait_for_selector("dialog[open] canvas")


@pytest.mark.parametrize("name", ["start", "answer", "nothing", "open", "details", "part", "compare"])
def test_axe_finds_nothing_and_nothing_is_cut(browser, server, name):
    with visiting(browser, server, bypass_csp=True) as visit:
        state(visit, name)
        visit.tab.evaluate(axe.Axe().axe_script)
        for width in (1280, 390, 320):
            visit.tab.set_viewport_size({"width": width, "height": 800})
            visit.tab.wait_for_timeout(100)
            if name == "open":  # a narrow window closes the filters
                visit.tab.evaluate("document.querySelector('#filter-box').open = true")
            assert visit.tab.evaluate("document.documentElement.scrollWidth") == width
            assert visit.tab.evaluate(CUT) == []
            assert visit.tab.evaluate(SMALL_TARGETS) == []
            for scheme in ("light", "dark") if width != 320 else ("light",):
                visit.tab.emulate_media(color_scheme=scheme)
                assert visit.tab.evaluate(EVERY_RULE) == [], (width, scheme)


def test_everything_is_reached_by_tab_and_shows_it(browser, server):
    with visiting(browser, server, QUERY) as visit:
        visit.answered()
        visit.tab.wait_for_selector("#points")
        seen = []
        for _ in range(80):
            visit.tab.keyboard.press("Tab")
            at = visit.tab.evaluate(FOCUSED)
            if at is None:
                break
            seen.append(at)
        assert [name for name, told in seen if not told] == []
        names = [name for name, _ in seen]
        assert names[0] == "skip"
        for wanted in ("file", "part", "remove", "labels-told", "min", "far", "k", "collapse", "itself"):
            assert wanted in names
        assert names.count("tile") == 10
        assert names.count("more") == 10


def test_focus_goes_to_the_answer_by_the_keyboard_alone(browser, server):
    with visiting(browser, server) as visit:
        visit.tab.wait_for_selector("#starts img")
        visit.tab.locator("#starts a").nth(3).focus()
        visit.tab.keyboard.press("Enter")
        visit.answered()
        assert visit.tab.evaluate("document.activeElement.id") == "answer"
        visit.tab.locator("#k").focus()
        visit.tab.select_option("#k", "20")
        visit.answered()
        assert visit.tab.evaluate("document.activeElement.id") == "k"
        assert visit.text("#status").startswith("20 results")


def test_a_phone_has_filters_and_map_closed_and_tools_at_the_end(browser, server):
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    with visiting(browser, server, QUERY + "&k=5", **phone) as visit:
        visit.answered()
        assert visit.tab.locator("#shoot").count() == 1
        assert not visit.tab.locator("#k").is_visible()
        visit.tab.locator("#filter-box > summary").tap()
        visit.tab.select_option("#k", "20")
        visit.answered()
        assert len(visit.rows()) == 20
        assert not visit.tab.locator("#points").is_visible()
        visit.tab.locator("#map summary").tap()
        visit.until("document.querySelector('#points').width > 200")
        assert visit.tab.locator("footer #tools button").count() >= 2
        visit.tab.set_viewport_size({"width": 1280, "height": 800})
        visit.until("document.querySelector('header #tools') && document.querySelector('#filter-box').open")


def test_headings_and_landmarks(browser, server):
    with visiting(browser, server, QUERY) as visit:
        visit.answered()
        for landmark in ("header", "search", "main", "footer"):
            assert visit.tab.locator(landmark).count() >= 1
        assert visit.tab.locator("h1").count() == 1
        assert visit.tab.locator("ol#hits > li a img[alt]").count() == 10
        assert visit.tab.locator("[role=status]#status").count() == 1
