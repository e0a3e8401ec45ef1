"""Filters of the page: each acts inside the search, in whatever order they are set, and every picture is its row's."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from browsing import browser as browser  # fixtures
from browsing import server as server
from browsing import visit as visit
from PIL import Image

pytestmark = pytest.mark.slow

SEQUENCES = 40  # of one to four changes each; 1,000 were run once
PIXELS = """() => [...document.querySelectorAll("#hits > li")].map((item) => {
  const image = item.querySelector("img"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [24, 24];
  canvas.getContext("2d").drawImage(image, 0, 0, 24, 24);
  const gray = canvas.getContext("2d").getImageData(0, 0, 24, 24).data.filter((_, place) => place % 4 === 0);
  return [Number(item.dataset.row), image.alt, image.complete && image.naturalWidth, [...gray]];
})"""
SLIDE = """(value) => {
  const slider = document.querySelector("#min");
  slider.value = value;
  for (const event of ["input", "change"]) slider.dispatchEvent(new Event(event));
}"""
LOADED = "[...document.querySelectorAll('#hits img')].every(one => one.complete && one.naturalWidth)"


@pytest.fixture(scope="module")
def corpus(mapped):
    """Names of the images, and their pixels (N, 576)."""
    names = sorted(str(path.relative_to(mapped[0])) for path in mapped[0].rglob("*.png"))
    pixels = [np.asarray(Image.open(mapped[0] / name), dtype=np.float32).ravel() for name in names]
    return names, np.stack(pixels)


def check_pictures(visit, corpus, hits):
    """Every picture that is drawn is that of the row and the name beside it."""
    visit.until(LOADED)
    names, pixels = corpus
    shown = visit.tab.evaluate(PIXELS)
    assert [row for row, *_ in shown] == [hit["row"] for hit in hits]
    for (_, alt, _, gray), hit in zip(shown, hits, strict=True):
        nearest = np.abs(pixels - np.array(gray, dtype=np.float32)).mean(axis=1).argmin()
        assert names[nearest] == hit["image"]
        assert alt == f"{hit['label']}, {hit['image'].rpartition('/')[2]}"


def answer(server, image, state):
    """What the server says to the filters that are set."""
    asked = {"image": image, "k": state["k"], "not_self": not state["itself"], "collapse": state["collapse"]}
    if state["min"]:
        asked["min_score"] = state["min"]
    if state["far"]:
        asked["max_far"] = float(state["far"])
    parts = []
    if state["where"]:
        parts.append(f"({state['where']})")
    if state["labels"]:
        parts.append("label in (" + ", ".join(f"'{label}'" for label in sorted(state["labels"])) + ")")
    if parts:
        asked["where"] = " and ".join(parts)
    reply = server.post("/v1/search", asked)
    assert reply.status == 200, reply.body
    return reply.json


def change(visit, state, chance):
    """Set one filter by what a reader works, and note it."""
    tab, kind = (
        visit.tab,
        chance.choice(["k", "min", "far", "collapse", "itself", "labels", "labels", "where", "clear"]),
    )
    if kind == "k":
        state["k"] = chance.choice([5, 10, 20])
        tab.select_option("#k", str(state["k"]))
    elif kind == "min":
        state["min"] = chance.choice([0, 0.5, 0.9, 0.99])
        tab.evaluate(SLIDE, state["min"])
    elif kind == "far":
        state["far"] = chance.choice(["", "0.1", "0.01"])
        tab.select_option("#far", state["far"])
    elif kind in ("collapse", "itself"):
        state[kind] = not state[kind]
        tab.evaluate("id => document.getElementById(id).click()", kind)
    elif kind == "labels":
        label = f"class {chance.randrange(6)}"
        state["labels"] ^= {label}
        tab.evaluate("document.querySelector('#labels').open = true")
        tab.locator(f"#labels input[value='{label}']").evaluate("one => one.click()")
        tab.evaluate("document.querySelector('#labels').open = false")
    elif kind == "where":
        state["where"] = chance.choice(["", "image under 'class 1/'", "label != 'class 2'"])
        tab.evaluate("document.querySelector('#more-filters').open = true")
        tab.fill("#where", state["where"])
        tab.press("#where", "Enter")
    elif tab.locator("#clear").is_visible():
        tab.click("#clear")
        state.update(EMPTY, labels=set(), k=state["k"])


EMPTY = {"k": 10, "min": 0, "far": "", "where": "", "collapse": False, "itself": False}


def test_random_sequences_of_filters_show_what_the_server_says(visit, server, corpus):
    chance = random.Random(7)
    visit.tab.wait_for_selector("#starts img")
    visit.start()
    image = visit.tab.evaluate("new URLSearchParams(location.search).get('image')")
    state, empty = {**EMPTY, "labels": set()}, 0
    for _ in range(SEQUENCES):
        for _ in range(chance.randint(1, 4)):
            change(visit, state, chance)
        visit.answered()
        hits = answer(server, image, state)["hits"]
        assert visit.rows() == [hit["row"] for hit in hits], state
        check_pictures(visit, corpus, hits)
        empty += not hits
        assert visit.tab.locator(".notice").count() == (not hits)
        if chance.random() < 0.1 and hits:
            visit.tab.locator("#hits a").nth(chance.randrange(len(hits))).click()
            visit.answered()
            image = visit.tab.evaluate("new URLSearchParams(location.search).get('image')")
    assert SEQUENCES < 20 or 0 < empty < SEQUENCES / 2, "some of them leave nothing, most do not"


def test_what_a_filter_left_out_is_counted_and_brought_back(visit, server):
    visit.tab.goto("/?image=class 1/03.png&k=20")
    visit.answered()
    scores = [float(words) for words in visit.tab.locator("#hits .score").all_inner_texts()]
    steps = [step / 100 for step in range(1, 100) if min(abs(step / 100 - score) for score in scores) > 0.001]
    least = [step for step in steps if scores[-1] < step < scores[0]][-1]
    fits = sum(score >= least for score in scores)
    visit.tab.evaluate(SLIDE, least)
    visit.answered()
    assert visit.text("#shown").startswith(f"{fits} of 20 shown, {20 - fits} below the least score Show them")
    assert f"min={least}" in visit.tab.url
    visit.tab.go_back()
    visit.answered()
    assert len(visit.rows()) == 20
    visit.tab.go_forward()
    visit.answered()
    visit.tab.get_by_role("button", name="Show them").click()
    visit.answered()
    assert len(visit.rows()) == 20


def test_the_slider_is_marked_where_false_alarms_are_rare(visit, server):
    (told,) = server.get("/v1/builds").json["builds"]
    rates = server.service.shelf.now().searcher.rates
    for mark in told["false_alarms"]:
        assert rates.of(mark["score"] + 1e-9).share <= mark["rate"] + 1e-9
        assert rates.of(mark["score"] - 1e-5).share > mark["rate"]
    wanted = [(math.ceil(100 * mark["score"] - 1e-6) / 100, mark["rate"]) for mark in told["false_alarms"]]
    assert wanted, "the build has pairs enough"
    assert all(0 < at < 1 for at, _ in wanted)
    visit.tab.goto("/?image=class 1/03.png")
    visit.answered()
    values = visit.tab.locator("#ticks option").evaluate_all("all => all.map(one => Number(one.value))")
    assert visit.tab.get_attribute("#min", "list") == "ticks"
    assert values == [at for at, _ in wanted]
    words = visit.tab.locator(".ticks li").all_inner_texts()
    assert words == ["1 in 10", "100", "1,000"][: len(wanted)]
    slider = visit.tab.locator("#min").bounding_box()
    boxes = [one.bounding_box() for one in visit.tab.locator(".ticks li").all()]
    for box, (at, _) in zip(boxes, wanted, strict=True):
        assert box["y"] >= slider["y"] + slider["height"] / 2
        assert abs(box["x"] + box["width"] / 2 - (slider["x"] + 8 + at * (slider["width"] - 16))) < 2
    visit.tab.evaluate(SLIDE, wanted[-1][0])
    visit.answered()
    told = visit.tab.get_attribute("#min", "aria-valuetext")
    assert told.startswith(f"{wanted[-1][0]:.2f}, which 1 in {round(1 / wanted[-1][1]):,} pairs of different labels")


OVERLAPPING = """async ([scores]) => {
  const { makeFilters } = await import("/page/filters.js"), { builds } = await import("/page/api.js");
  const [build] = (await builds()).builds;
  const false_alarms = scores.map((score, place) => ({ rate: 10 ** -(place + 1), score }));
  makeFilters({ ...build, false_alarms }, [], () => {});
  const marks = [...document.querySelectorAll(".ticks li")];
  return marks.map((one) => [one.textContent, one.getBoundingClientRect().toJSON()]);
}"""


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([0.891, 0.9556, 0.9776], ["1 in 10", "100", "1,000"]),
        ([0.2, 0.21, 0.22], ["1 in 10", "100", "1,000"]),
        ([-0.1, 0.4, 0.9951], ["1 in 100"]),
        ([], ["0.25", "0.50", "0.75"]),
    ],
)
def test_marks_of_the_slider_never_lie_on_each_other(visit, scores, words):
    visit.tab.goto("/?image=class 1/03.png")
    visit.answered()
    found = visit.tab.evaluate(OVERLAPPING, [scores])
    assert [text for text, _ in found] == words
    for place, (_, one) in enumerate(found):
        assert one["width"] > 10
        for _, other in found[:place]:
            apart = one["left"] >= other["right"] or other["left"] >= one["right"]
            assert apart or one["top"] >= other["bottom"] - 1 or other["top"] >= one["bottom"] - 1


def test_no_hit_left_is_said_at_once_and_mended(visit):
    visit.tab.goto("/?image=class 1/03.png&where=label = 'class 1' and label = 'class 2'")
    visit.tab.wait_for_selector(".notice")
    assert visit.text(".notice h2") == "No picture passes these filters"
    assert visit.tab.locator(".notice").get_attribute("role") == "alert"
    visit.tab.get_by_role("button", name="Clear the filters").click()
    visit.answered()
    assert len(visit.rows()) == 10


def test_a_filter_that_is_not_understood_is_said(visit):
    visit.expects = "422"
    visit.tab.goto("/?image=class 1/03.png&where=label is red")
    visit.tab.wait_for_selector(".notice")
    assert visit.text(".notice h2") == "The filter is not understood"
    assert visit.tab.input_value("#where") == "label is red"
    visit.tab.fill("#where", "label = 'class 3'")
    visit.tab.press("#where", "Enter")
    visit.answered()
    assert set(visit.tab.locator("#hits .label").all_inner_texts()) == {"class 3"}


def test_a_refused_filter_leaves_nothing_of_the_search_before(visit):
    visit.expects = "422"
    visit.tab.goto("/?image=class 1/03.png")
    visit.answered()
    visit.until("document.querySelector('#points')?.getAttribute('aria-label').includes('place of the query')")
    assert "of the hits" in visit.text("#legend")
    visit.tab.evaluate("document.querySelector('#more-filters').open = true")
    visit.tab.fill("#where", "label is red")
    visit.tab.press("#where", "Enter")
    visit.tab.wait_for_selector(".notice")
    assert visit.text(".notice h2") == "The filter is not understood"
    assert "seen is." in visit.text(".notice")
    for place in ("#hits", "#shown", "#further", "#answer"):
        assert visit.tab.locator(place).inner_text() == ""
    assert "this search took" not in visit.text("#foot")
    assert "place of the query" not in visit.tab.locator("#points").get_attribute("aria-label")
    assert "of the hits" not in visit.text("#legend")
    assert visit.tab.locator("#where").is_visible(), "to be mended"
    visit.tab.fill("#where", "label = 'class 3'")
    visit.tab.press("#where", "Enter")
    visit.answered()
    visit.until("document.querySelector('#points').getAttribute('aria-label').includes('place of the query')")
    assert set(visit.tab.locator("#hits .label").all_inner_texts()) == {"class 3"}


def test_labels_are_found_by_typing(visit):
    visit.tab.goto("/?image=class 1/03.png")
    visit.answered()
    visit.tab.click("#labels summary")
    assert visit.tab.locator("#labels li").count() == 6
    visit.tab.fill("#find-label", "SS 4")
    assert visit.text("#labels li") == "class 4 12"
    visit.tab.locator("#labels li input").check()
    visit.answered()
    assert set(visit.tab.locator("#hits .label").all_inner_texts()) == {"class 4"}
    assert "label=class+4" in visit.tab.url
    visit.tab.press("#find-label", "Escape")
    assert not visit.tab.locator("#find-label").is_visible()
    assert visit.text("#labels-told") == "Labels: class 4"
