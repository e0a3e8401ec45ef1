"""The trend page in a headless Chromium: nothing is cut, no word is broken, and a wide table says that it scrolls."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chromium import browser as browser  # a fixture
from stories import cell, measured, story

from simsearch.bench.outputs import trend_page

pytestmark = pytest.mark.slow

# Parts of words, between spaces and hyphens, that stand on more than one line.
BROKEN = """() => {
  const found = [], walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    for (const word of node.data.matchAll(/[^\\s\\-\\u2013/,]+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
      if (lines.size > 1 && !node.parentElement.closest("svg, #verdict-h")) found.push(word[0]);
    }
  }
  return found;
}"""
# Whether each table says that it scrolls, and whether it does.
SCROLLS = """() => [...document.querySelectorAll(".scroll")].filter(box => box.checkVisibility()).map(
  box => [parseFloat(getComputedStyle(box, "::before").fontSize) > 0, box.scrollWidth > box.clientWidth])"""


@pytest.fixture
def tab(browser):
    context = browser.new_context(java_script_enabled=True, bypass_csp=True)
    yield context.new_page()
    context.close()


def show(tab, page, width, tmp_path):
    (tmp_path / "trend.html").write_text(page, encoding="utf-8")
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto((tmp_path / "trend.html").as_uri())
    tab.wait_for_timeout(100)  # a frame, after which the tables know whether they scroll


def long_names():
    """A night of one cell with a name too long for a phone, and of a night before it."""
    long = measured(cell("a-recipe-of-a-name-that-no-one-would-like-to-type", "IVF1024,PQ16x4fs,RFlat"))
    return replace(story(2), results=(long,))


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("told", [story(4), story(3, worse=False), long_names()], ids=["worse", "held", "long"])
def test_words_are_whole_and_wide_tables_say_that_they_scroll(tab, tmp_path, told, width):
    show(tab, trend_page(told), width, tmp_path)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate(BROKEN) == []
    tables = tab.evaluate(SCROLLS)
    assert tables
    assert all(says == does for says, does in tables), tables
    assert any(does for _, does in tables) == (width < 1280)


def test_a_broken_word_would_have_been_seen(tab, tmp_path):
    page = trend_page(story(1)).replace("</style>", "figcaption, th { word-break: break-all; width: 4rem; }</style>")
    show(tab, page, 390, tmp_path)
    assert tab.evaluate(BROKEN)
