"""Hits that a server writes as texts are those that JSON would be made of, and many vectors take one thread."""

import json
from itertools import product

import numpy as np
import pytest

from simsearch.home import Home
from simsearch.search import Searcher, neighbours
from simsearch.search.question import Hit
from simsearch.server.hits import HitTexts
from simsearch.versions import usable_cores

NAMES = [("a", "a/1.png"), ('say "hits":[]', "back\\slash/\n.png"), ("äpfel", "bytes \udcff.png"), ("", "vectors#3")]


@pytest.mark.parametrize("pictures", [True, False])
@pytest.mark.parametrize("looked", [True, False])
def test_a_hit_as_text_is_the_hit_of_query(pictures, looked):
    texts = HitTexts("/v1/builds/b/123/images", lambda image: image if image == "a/1.png" else None, pictures=pictures)
    rates = [(None, False), (1e-05, True), (1.0, False)]
    several = product(NAMES, ("/x", None), (True, False), rates, (None, 0, 3), rates)
    for row, ((label, image), path, same, rate, alike, strangers) in enumerate(several):
        score = float(np.float32(1 - row / 97).clip(-1, 1))
        hit = Hit(3, score, label, image, path, row % 50 * 4 + NAMES.index((label, image)), same, rate[0], alike)
        hit = hit._replace(stranger_rate=strangers[0], stranger_rate_at_most=strangers[1])
        hit = hit._replace(false_accept_rate_at_most=rate[1])
        expected = hit.to_json()
        expected.pop("path")
        address = f"/v1/builds/b/123/images/{hit.row}"
        expected["thumbnail"] = f"{address}/thumbnail" if pictures else None
        here = path is not None or (looked and image == "a/1.png")
        expected["full"] = f"{address}/full" if here else None
        assert texts.text(hit, looked=looked) == json.dumps(expected, separators=(",", ":"))


def test_more_rows_than_are_remembered_are_told_as_well(monkeypatch):
    monkeypatch.setattr("simsearch.server.hits._KEPT", 3)
    texts = HitTexts("/i", lambda image: None, pictures=False)
    for row in [*range(7), *range(7)]:
        assert json.loads(texts.text(Hit(1, 0.5, "a", f"{row}.png", None, row)))["image"] == f"{row}.png"


def test_a_searcher_of_one_thread_searches_many_vectors_by_one(built, monkeypatch):
    seen = []
    monkeypatch.setattr(neighbours, "set_threads", seen.append)
    build = Home(built[1]).build("photos")
    for threads in (1, None):
        with Searcher(build, threads=threads) as opened:
            opened.ask_vectors(np.ones((100, opened.dim), dtype=np.float32))
    assert seen == [1, usable_cores()]
