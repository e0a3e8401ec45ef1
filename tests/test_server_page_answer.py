"""The answer of the page: its sentence, what the verdict is worth, and which hits are of another label."""

from __future__ import annotations

import pytest
from browsing import browser as browser  # fixtures
from browsing import server as server
from browsing import visit as visit

pytestmark = pytest.mark.slow

VERDICT = {"label": "class 1", "known": True, "margin": 0.9, "unknown_accepted": 0.05, "calibrated_on": "unseen labels"}
SAID = {
    "known": (VERDICT, "Looks like class 1: ", "Of pictures of other kinds, 1 in 20 would still be called known."),
    "none": (
        {**VERDICT, "known": False},
        "Nothing here is clearly the same kind. The nearest label is class 1.",
        "1 in 20",
    ),
    "trained": ({**VERDICT, "calibrated_on": "trained labels"}, "Looks like class 1: ", "Judged by trained labels: "),
    "stale": ({**VERDICT, "stale": True, "command": "simsearch build photos"}, "Looks like", "stale"),
    "without": (None, " of the nearest 10 are class ", "No verdict: fewer than 5 labels."),
}


@pytest.mark.parametrize("kind", SAID)
def test_the_verdict_is_said_in_a_sentence(visit, server, kind):
    verdict, sentence, worth = SAID[kind]
    answer = server.post("/v1/search", {"image": "class 1/03.png"}).json
    answer |= {"verdict": verdict} if verdict else {"verdict": None, "verdict_reason": "fewer than 5 labels"}
    visit.tab.route("**/search", lambda route: route.fulfill(json=answer))
    visit.tab.goto("/?image=class 1/03.png")
    visit.answered()
    assert sentence in visit.text("#answer h2")
    assert worth in visit.text("#answer p")


def test_hits_are_held_against_the_label_that_the_sentence_names(visit, server):
    answer = server.post("/v1/search", {"image": "class 1/03.png"}).json
    for place, hit in enumerate(answer["hits"]):
        hit["label"] = "class 5" if place < 6 else "class 1"
    answer["verdict"] = {**VERDICT, "known": False}
    visit.tab.route("**/search", lambda route: route.fulfill(json=answer))
    visit.tab.goto("/?image=class 1/03.png")
    visit.answered()
    assert visit.text("#answer h2").endswith("The nearest label is class 1.")
    assert set(visit.tab.locator("#hits .other .label").all_inner_texts()) == {"class 5"}
    assert visit.tab.locator("#hits .other").count() == 6
    bars = visit.tab.locator(".bars li").evaluate_all(
        "all => all.map(one => [one.firstChild.textContent, one.querySelector('.bar').classList.contains('other')])"
    )
    assert bars == [["class 5", True], ["class 1", False]]
