"""The sentence of a report: which comparison it is about, and in which words."""

import pytest

from simsearch.report.over_seeds import over_seeds
from simsearch.report.summary import summarize


def entry(p=0.001, interval=(-0.2, -0.01), seeds=1, n=50):
    return {
        "metric": "cross_boundary_error", "k": 10, "scope": "boundary", "system": "recipe/index",
        "baseline": "baseline/raw-l2", "n": n, "difference": -0.1, "interval": interval, "p_value": p, "test": "any",
        "seeds": seeds,
    }  # fmt: skip


def report(after, before, *entries, seeds=None):
    def figures(error):
        errors = {"10": {"all": 0.1, "boundary": error}}
        return {"recall": {"1": 0.9, "10": 1.0}, "cross_boundary_error": errors, "intervals": None}

    systems = {"recipe/index": after, "recipe/cosine": 0.1, "baseline/raw-l2": before, "baseline/cosine": 0.5}
    return {
        "unanswerable": 0, "queries": 60, "k": [1, 10], "comparisons": list(entries), "seeds": seeds,
        "systems": {name: figures(error) for name, error in systems.items()},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("p", "interval", "seen"),
    [
        (0.001, (-0.2, -0.01), True),
        (0.001, None, True),
        (0.001, (-0.2, 0.0), False),
        (0.05, (-0.2, -0.01), False),
        (None, None, False),
    ],
)
def test_a_difference_is_seen_by_p_and_interval(p, interval, seen):
    assert ("no difference seen" not in summarize(report(0.05, 0.1, entry(p, interval)))) == seen


def test_more_than_no_error_is_told_in_points():
    found = summarize(report(0.03, 0.0, entry(interval=(0.01, 0.05))))
    assert "3.0 points MORE cross-boundary error@10 over 50 boundary queries than 'baseline, distance'" in found
    assert "50 % less" in summarize(report(0.05, 0.1, entry()))
    assert "100 % MORE" in summarize(report(0.2, 0.1, entry()))


def test_the_comparison_over_most_seeds_is_preferred():
    singles = [report(after, before, entry()) for after, before in ((0.05, 0.1), (0.07, 0.3))]
    several = over_seeds(singles, [0, 1])["seeds"]
    found = summarize(report(0.05, 0.1, entry(), entry(0.02, None, seeds=2, n=2), seeds=several))
    assert "70 % less cross-boundary error@10 over 50 boundary queries and 2 seeds than 'baseline, distance'" in found
    assert "(0.0600 against 0.2000, p = 0.0200)" in found
    found = summarize(report(0.05, 0.1, entry(), entry(None, None, seeds=2, n=2), seeds=several))
    assert "no difference seen" in found
    assert "p unknown" in found


def test_intervals_of_differences_over_seeds_stay_in_range():
    singles = [report(0.0, 1.0, {**entry(), "difference": value}) for value in (-0.2, -0.9)]
    (over,) = over_seeds(singles, [0, 1])["comparisons"]
    assert over["interval"] == [-1.0, 1.0]
