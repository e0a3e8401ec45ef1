"""The page in a headless Chromium: nothing is asked for, nothing is cut, no script runs."""

from __future__ import annotations

import pytest
from chromium import browser as browser  # a fixture

pytestmark = pytest.mark.slow

OPEN = "document.querySelectorAll('details').forEach(each => each.open = true)"
# Names whose words may be broken, and of those that are cut at their end the ones that are not whole in a title.
BROKEN = """[...document.querySelectorAll(".name")].filter(e => getComputedStyle(e).overflowWrap != "normal" ||
    getComputedStyle(e).wordBreak != "normal" || getComputedStyle(e).textOverflow != "ellipsis").length"""
# Elements that reach beyond the window or are cut, but for those in a box that scrolls by itself, and names.
CUT = """[...document.querySelectorAll("main *, header *, footer *")].filter(
    e => !e.closest(".scroll, pre, svg, .name") && (
    e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1 ||
    (e.scrollWidth > e.clientWidth + 1 && e.clientWidth && getComputedStyle(e).display != "inline" &&
     e.id != "verdict-h"))).map(e => e.outerHTML.slice(0, 120))"""


@pytest.fixture
def show(browser):
    """A function that opens a file and returns its tab, and the schemes, or addresses, of what was asked for."""
    contexts = []

    def show(path, width, *, dark=False, scripts=False):
        scheme = "dark" if dark else "light"
        window = {"width": width, "height": 800}
        contexts.append(
            browser.new_context(viewport=window, is_mobile=True, color_scheme=scheme, java_script_enabled=scripts)
        )
        tab, asked = contexts[-1].new_page(), []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri())
        return tab, [url if url.startswith("http") else url.partition(":")[0] for url in asked]

    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [320, 360, 390, 800, 1280])
def test_nothing_is_asked_for_and_nothing_is_cut(show, page, tmp_path, width):
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    backs = set()
    for dark in (False, True):
        tab, asked = show(file, width, dark=dark)
        assert asked[0] == "file"
        assert set(asked) <= {"file", "data"}
        assert asked.count("file") == 1
        tab.evaluate(OPEN)
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert tab.evaluate(BROKEN) == 0
        assert tab.evaluate(CUT) == []
        backs.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
        if width == 1280:
            assert tab.evaluate("document.querySelector('nav').getBoundingClientRect().right") < 300
            assert tab.evaluate("document.querySelector('.lead').getBoundingClientRect().bottom") < 300
    assert len(backs) == 2


def test_with_scripts_on_the_pages_own_policy_lets_none_run(show, page, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page.replace("</main>", "<script>document.title = 'it ran'</script></main>"), encoding="utf-8")
    tab, _ = show(file, 800, scripts=True)
    assert tab.evaluate("document.scripts.length") == 2
    assert tab.title() != "it ran"


def test_a_request_would_have_been_seen(show, tmp_path):
    file = tmp_path / "asks.html"
    file.write_text('<!DOCTYPE html><img src="http://127.0.0.1:9/x.png" alt="x">')
    assert "http://127.0.0.1:9/x.png" in show(file, 800)[1]
