"""How answers are worded: rates, the table of hits, which hits can be relied upon, and what a build cannot judge."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from simsearch.errors import RecipeError
from simsearch.search import Hit
from simsearch.search.answers import answer_same, answer_with_hits, check_rated, hit_table, one_in, passes, sure_hits


def record_of(split):
    return {"recipe": {"dataset": {"split": split}}}


def hits(*rates, label="a", image="a/1.png"):
    return [Hit(n, 1 - n / 10, label, image, None, n, False, rate) for n, rate in enumerate(rates, 1)]


@pytest.mark.parametrize(("score", "expected"), [(1.0, True), (0.99999994, True), (0.99999, False)])
def test_the_least_score_of_1_keeps_copies_whose_score_was_rounded(score, expected):
    assert passes(Hit(1, score, "a", "a/1.png", None, 1), 1.0, None) is expected


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


def test_the_table_of_hits_names_its_columns_and_keeps_to_80_of_them():
    long = hits(1e-9, 0.5, label="l" * 60, image="i" * 90)
    lines = hit_table("x.png", long, labelled=True, rated=True)
    assert lines[1].split() == ["score", "label", "false", "alarms", "image"]
    assert "1 in 1,000,000,000  iii" in lines[2]
    assert lines[1].index("false alarms") == lines[2].index("1 in") == lines[3].index("1 in")
    assert lines[1].index("image") == lines[2].index("iii") == lines[3].index("iii")
    assert max(map(len, lines)) <= 80
    without = hit_table("x.png", long, labelled=True, rated=False)
    assert not any("alarms" in line or "1 in" in line for line in without)
    assert "label" not in hit_table("x.png", long, labelled=False, rated=True)[1]
    assert hit_table("x\x1b.png", [], labelled=True, rated=True)[0] == "x\\x1b.png"
    assert "no hit" in hit_table("x.png", [], labelled=True, rated=True)[-1]


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
    searcher = SimpleNamespace(
        build=SimpleNamespace(name="b", record=record_of("closed")),
        least_false_accept_rate=None,
        labelled=labelled,
        rated_when_built=rated,
    )
    with pytest.raises(RecipeError, match=words):
        check_rated(searcher, 0.001)


def test_too_few_pairs_for_a_rate_are_told(capsys):
    searcher = SimpleNamespace(build=SimpleNamespace(name="b"), least_false_accept_rate=1 / 300)
    check_rated(searcher, 0.01)
    assert not capsys.readouterr().err
    check_rated(searcher, 0.001)
    assert "b knows 300 different-label pairs" in capsys.readouterr().err


class FewPairs:
    """A searcher of a build that knows 20 different-label pairs."""

    build = SimpleNamespace(name="few", record=record_of("closed"))
    labelled = rated_when_built = True
    least_false_accept_rate = 1 / 20

    def __init__(self, rate):
        self.rate = rate

    def score(self, one, other):
        return 0.9

    def false_accept_rate(self, score):
        return self.rate


@pytest.mark.parametrize(("rate", "same", "word"), [(1 / 20, None, "cannot tell"), (0.5, False, "different")])
def test_too_few_pairs_cannot_tell_and_the_same_file_is_the_same(tmp_path, capsys, rate, same, word):
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    searcher = FewPairs(rate)
    answer_same(searcher, str(one), str(other), max_far=None, as_json=True)
    assert json.loads(capsys.readouterr().out)["same"] is same
    answer_same(searcher, str(one), str(other), max_far=None, as_json=False)
    assert capsys.readouterr().out.startswith(f"{word}  score 0.900")
    answer_same(searcher, str(one), str(one), max_far=None, as_json=False)
    assert capsys.readouterr().out.startswith("same  ")
    answer_same(searcher, str(one), str(other), max_far=0.05, as_json=False)
    assert capsys.readouterr().out.startswith("same  " if same is None else "different")


class WidenedOnce:
    """A searcher whose first query needs a wider search."""

    build = SimpleNamespace(name="b")
    labelled, least_false_accept_rate, widened = False, None, 0

    def search(self, images, k):
        self.widened = 1
        return [hits(None)]


def test_a_wider_search_is_counted(capsys):
    answer_with_hits(WidenedOnce(), ["x.png", "y.png"], k=1, as_json=True)
    out, words = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert first["widened"] is True
    assert set(second) == {"query", "build", "hits", "milliseconds"}, "only where it is so"
    assert "1 query needed a wider search" in words
    answer_with_hits(WidenedOnce(), ["x.png"], k=1)
    assert "1 query needed a wider search" in capsys.readouterr().err
