"""A searcher answers several threads at once as it answers one, and leaves no file open behind it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import picture

from simsearch.errors import ImageError
from simsearch.home import Home
from simsearch.search import Question, Searcher

QUESTIONS = (
    Question(5),
    Question(30, collapse=True),
    Question(10, min_score=0.99),
    Question(10, min_score=0.9, max_far=0.5),
)


def timeless(answer):
    return replace(answer, milliseconds=0.0)


def test_eight_threads_are_answered_as_one(built):
    folder, home = built
    images = [*sorted(folder.rglob("*.png"))[::3], np.asarray(picture(1, 77)), (folder / "class 2/03.png").read_bytes()]
    asked = [(image, question) for image in images for question in QUESTIONS]
    build = Home(home).build("photos")
    with Searcher(build) as alone:
        expected = [timeless(alone.ask(*one)) for one in asked]
        hits = [alone.picture(answer.hits[0]) for answer in expected]
        judged = [alone.same(images[0], image) for image in images]
        vectors = alone.embed([np.asarray(picture(n, 70 + n)) for n in range(3)])
        by_vector = [timeless(answer) for answer in alone.ask_vectors(vectors, Question(20, collapse=True))]
    assert {bool(answer.left_out) for answer in expected} == {True, False}
    with Searcher(build) as shared, ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda one: timeless(shared.ask(*one)), 3 * asked)
        pictures = pool.map(lambda answer: shared.picture(answer.hits[0]), expected)
        pairs = pool.map(lambda image: shared.same(images[0], image), images)
        rows = pool.map(lambda _: [timeless(one) for one in shared.ask_vectors(vectors, QUESTIONS[1])], range(8))
        assert list(answers) == 3 * expected
        assert all(np.array_equal(one, other) for one, other in zip(pictures, hits, strict=True))
        assert list(pairs) == judged
        assert all([hit.row for hit in one[0].hits] for one in rows)
        batches = pool.map(lambda _: shared.ask_vectors(vectors, Question(20, collapse=True)), range(8))
        assert all([timeless(one) for one in batch] == by_vector for batch in batches)


def test_what_was_left_out_is_counted_by_its_reason(built):
    with Searcher(Home(built[1]).build("photos")) as searcher:
        image = built[0] / "class 0" / "01.png"
        whole = searcher.ask(image, Question(20))
        strict = searcher.ask(image, Question(20, min_score=whole.hits[4].score))
        assert strict.hits == tuple(hit for hit in whole.hits if hit.score >= whole.hits[4].score - 1e-6)
        assert whole.left_out == {}
        assert strict.left_out == {"min_score": 20 - len(strict.hits)}
        assert searcher.search([image], 20)[0] == list(whole.hits)
        assert whole.milliseconds > 0


def open_files(home: Path) -> int:
    """How many files below the home this process holds open."""
    found = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(home))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed in /proc")
def test_close_leaves_no_file_open(built):
    before = open_files(built[1])
    searcher = Searcher(Home(built[1]).build("photos"))
    searcher.ask(built[0] / "class 0" / "01.png", Question(3, collapse=True))
    assert open_files(built[1]) > before
    with pytest.raises(ImageError):
        searcher.ask(built[0] / "gone.png")
    searcher.close()
    searcher.close()
    assert open_files(built[1]) == before
