"""How answers are worded: rates, the table of hits, which hits can be relied upon, and what a build cannot judge."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from simsearch.cli.answering import Form, hit_table, say_if_too_few, show_hits, show_same, sure_hits
from simsearch.console import one_in
from simsearch.errors import ImageError, RecipeError
from simsearch.search import Answer, Hit, Judgement, Question, Searcher
from simsearch.search.rates import Rates

MISSING = object()


def rates_of(far, labelled=True):
    """The rates of a build whose far.json holds `far`, or which has none."""
    record = SimpleNamespace(labelled=labelled, recipe={"dataset": {"split": "closed"}})
    file = SimpleNamespace(read_bytes=lambda: json.dumps(far))
    evaluated = SimpleNamespace(manifest={"files": [] if far is MISSING else ["far.json"]}, file=lambda name: file)
    return Rates(SimpleNamespace(name="b", record=record, provisional=False), evaluated)


def hits(*rates, label="a", image="a/1.png"):
    return [Hit(n, 1 - n / 10, label, image, None, n, False, rate) for n, rate in enumerate(rates, 1)]


class SearcherOf:
    """What the words about an answer need of a searcher."""

    build = SimpleNamespace(name="b", record=SimpleNamespace(root=None), provisional=False)
    verdicts = SimpleNamespace(reason="too few")

    def __init__(self, labelled=True, rated=False):
        self.labelled, self.rates, self.asked = (
            labelled,
            SimpleNamespace(least=0.01 if rated else None, know_strangers=False),
            0,
        )


@pytest.mark.parametrize(("score", "expected"), [(1.0, True), (0.99999994, True), (0.99999, False)])
def test_the_least_score_of_1_keeps_copies_whose_score_was_rounded(score, expected):
    assert (Question(min_score=1.0).refuses(Hit(1, score, "a", "a/1.png", None, 1)) is None) is expected


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (1.0, "1 in 1"),
        (0.8, "1 in 1"),
        (0.5, "1 in 2"),
        (0.07, "1 in 14"),
        (0.01, "1 in 100"),
        (1 / 123, "1 in 120"),
        (1 / 996, "1 in 1,000"),
        (0.00026, "1 in 3,800"),
        (1 / 50_000_000, "1 in 50,000,000"),
    ],
)
def test_a_rate_in_words(rate, words):
    assert one_in(rate) == words
    assert one_in(rate, at_most=True) == f"< {words}"


def test_the_table_of_hits_names_its_columns_and_keeps_to_80_of_them():
    long = hits(1e-9, 0.5, label="l" * 60, image="i" * 90)
    lines = hit_table(SearcherOf(True, True), "x.png", long)
    assert lines[1].split() == ["score", "label", "false", "alarms", "image"]
    assert "1 in 1,000,000,000  iii" in lines[2]
    assert lines[1].index("false alarms") == lines[2].index("1 in") == lines[3].index("1 in")
    assert lines[1].index("image") == lines[2].index("iii") == lines[3].index("iii")
    assert max(map(len, lines)) <= 80
    without = hit_table(SearcherOf(True, False), "x.png", long)
    assert not any("alarms" in line or "1 in" in line for line in without)
    assert "label" not in hit_table(SearcherOf(False, True), "x.png", long)[1]
    assert hit_table(SearcherOf(True, True), "x\x1b.png", [])[0] == "x\\x1b.png"
    assert "no hit" in hit_table(SearcherOf(True, True), "x.png", [])[-1]


def test_strangers_stand_beside_a_hit_and_say_where_none_scored_as_much():
    searcher = SearcherOf(True, True)
    searcher.rates.know_strangers = True
    rated = hits(1e-9)[0]._replace(stranger_rate=1 / 1700, stranger_rate_at_most=True)
    lines = hit_table(searcher, "x.png", [rated, rated._replace(stranger_rate_at_most=False, stranger_rate=0.5)])
    assert lines[1].split() == ["score", "label", "strangers", "image"]
    assert "a      < 1 in 1,700  a/1.png" in lines[2]
    assert "a      1 in 2        a/1.png" in lines[3]
    known = rated.to_json()
    assert (known["stranger_rate"], known["stranger_rate_at_most"]) == (1 / 1700, True)
    assert "false_accept_rate_at_most" not in known


@pytest.mark.parametrize(
    ("rates", "start"),
    [
        ([1e-4, 1e-4, 0.2], "Only hits 1 and 2 score higher than 999 in 1,000 different-label pairs"),
        ([1e-4, 1e-3, 1e-3, 0.2], "Only hits 1 to 3 score"),
        ([1e-4, 0.1], "Only hit 1 scores"),
        ([0.1, 0.2], "No hit scores"),
        ([1e-4, 1e-3], None),
        ([], None),
    ],
)
def test_which_hits_can_be_relied_upon(rates, start):
    words = sure_hits(hits(*rates), 1e-5)
    assert words is None if start is None else words.startswith(start)


@pytest.mark.parametrize("least", [None, 0.01])
def test_nothing_is_said_where_the_build_cannot_tell(least):
    assert sure_hits(hits(0.01, 0.2), least) is None


@pytest.mark.parametrize(
    ("labelled", "rated", "words"),
    [(False, True, "no labels"), (True, True, "val images"), (True, False, "older simsearch")],
)
def test_why_a_build_knows_no_rates(labelled, rated, words):
    rates = rates_of(None if rated else MISSING, labelled)
    assert rates.least is rates.of(0.5) is None
    with pytest.raises(RecipeError, match=words):
        say_if_too_few(SimpleNamespace(rates=rates), 0.001)


def test_too_few_pairs_for_a_rate_are_told(capsys):
    searcher = SimpleNamespace(build=SimpleNamespace(name="b"), rates=rates_of({"pairs": 300, "table": []}))
    say_if_too_few(searcher, 0.01)
    say_if_too_few(searcher, None)
    assert not capsys.readouterr().err
    say_if_too_few(searcher, 0.001)
    assert "b knows 300 different-label pairs" in capsys.readouterr().err


class FewPairs(Searcher):
    """A searcher of a build that knows 20 (or more) different-label pairs, among them this rate; each scores 0.9."""

    build = SimpleNamespace(name="few")
    closed = False

    def __init__(self, rate, pairs=20):
        self.rates = rates_of({"pairs": pairs, "table": [[1.0, rate], [0.5, rate]]})

    def _load(self, image):
        return np.zeros((1, 1), np.uint8), image

    def _embed(self, images):
        return np.array([[1, 0], [0.9, 0.19**0.5]], dtype=np.float32)


@pytest.mark.parametrize(("rate", "same", "word"), [(1 / 20, None, "cannot tell"), (0.5, False, "different")])
def test_too_few_pairs_cannot_tell_and_the_same_file_is_the_same(capsys, rate, same, word):
    searcher = FewPairs(rate)
    assert searcher.same("a", "b") == Judgement(pytest.approx(0.9), rate, same)
    assert show_same(searcher, "a", "b", max_far=None, as_json=True) == (same is False)
    assert json.loads(capsys.readouterr().out)["same"] is same
    assert show_same(searcher, "a", "b", max_far=None, as_json=False) == (same is False)
    assert capsys.readouterr().out == f"{word}  score 0.900  false alarms {'1 in 20' if rate < 0.1 else '1 in 2'}\n"
    assert show_same(searcher, "a", "a", max_far=None, as_json=False) == 0
    assert capsys.readouterr().out.startswith("same  ")
    show_same(searcher, "a", "b", max_far=0.05, as_json=False)
    assert capsys.readouterr().out.startswith("same  " if same is None else "different")
    show_same(searcher, "", "", max_far=None, as_json=False)
    assert capsys.readouterr().out.startswith(word), "arrays have no file that could be the same"


@pytest.mark.parametrize(
    ("rate", "pairs", "same"), [(1 / 270, 420, None), (1 / 20, 420, False), (1 / 270, 42_000, False)]
)
def test_a_share_that_may_be_chance_is_not_called_different(rate, pairs, same):
    """Of 420 pairs a share of 1 in 270 is 0.0009 to 0.015 (Wilson): it may be within the limit, 1 in 1,000."""
    assert FewPairs(rate, pairs).same("a", "b").same is same


class WidenedOnce(SearcherOf):
    """A searcher whose first query needs a wider search."""

    def ask(self, image, question):
        assert question == Question(1)
        self.asked += 1
        return Answer(tuple(hits(None)), self.asked == 1, {}, 1.234567)


def test_a_wider_search_is_counted(capsys):
    assert show_hits(WidenedOnce(), ["x.png", "y.png"], Question(1), form=Form.JSON)
    out, words = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert first["widened"] is True
    assert set(second) == {"query", "build", "hits", "milliseconds", "verdict", "verdict_reason"}, "only where it is so"
    assert second["milliseconds"] == 1.23
    assert words == "1 query needed a wider search than the index is set to\n"
    show_hits(WidenedOnce(), ["x.png"], Question(1))
    assert "1 query needed a wider search" in capsys.readouterr().err


def test_every_word_of_an_answer(capsys):
    """As 9ad3b34 printed them, to the byte, but for the verdict."""
    assert show_hits(WidenedOnce(), ["x.png"], Question(1))
    out, words = capsys.readouterr()
    assert out == "x.png\n    score  label  image\n 1  0.900  a      a/1.png\n"
    assert words == "1 query needed a wider search than the index is set to\nLook at them: --montage hits.png\n"
    show_hits(WidenedOnce(), ["x.png"], Question(1), form=Form.JSON)
    hit = (
        '{"rank": 1, "score": 0.9, "label": "a", "image": "a/1.png", "path": null, "row": 1, "same_file": false, '
        '"false_accept_rate": null,'
        ' "stranger_rate": null}'
    )
    assert capsys.readouterr().out == (
        f'{{"query": "x.png", "build": "b", "hits": [{hit}], "verdict": null, "verdict_reason": "too few", '
        '"milliseconds": 1.23, "widened": true}\n'
    )


class Unreadable(SearcherOf):
    """A searcher that can read no image."""

    def ask(self, image, question):
        raise ImageError("no picture", hint="give one")


def test_an_unreadable_image_is_an_answer_of_its_own(capsys):
    assert not show_hits(Unreadable(), ["x.png"], Question(), form=Form.JSON)
    out, words = capsys.readouterr()
    assert (out, words) == ('{"query": "x.png", "error": "no picture"}\n', "error: no picture\nhint: give one\n")


def test_what_a_question_refuses_and_why():
    question = Question(min_score=0.85, max_far=0.1)
    one, two, three = hits(0.01, 0.01, 0.2)
    unknown = Hit(1, 0.9, "a", "a/1.png", None, 1)
    assert [question.refuses(hit) for hit in (one, two, three, unknown)] == [None, "min_score", "min_score", "max_far"]
    assert question.refuses(Hit(1, 0.9, "a", "a/1.png", None, 1, False, 0.2)) == "max_far"
    assert Question().refuses(unknown) is None
