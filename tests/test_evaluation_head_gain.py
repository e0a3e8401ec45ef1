"""Whether a head is better than the frozen features below it, against a loop; and the line that says so."""

import numpy as np
import pytest
from test_brief import report as written
from test_evaluation_report import LABELS, Array, G, Q, make, run

from simsearch.evaluation.evaluate import Features
from simsearch.report.brief import brief
from simsearch.report.head import head_words
from simsearch.report.summary import render_table


def found_first(features, groups=None):
    """Whether each query finds its label first, one at a time."""
    unit = features.features / np.linalg.norm(features.features, axis=1, keepdims=True)
    found = []
    for query in range(G, G + Q):
        searched = [row for row in range(G) if groups is None or groups[row] != groups[query]]
        nearest = max(searched, key=lambda row: unit[query] @ unit[row])
        found.append(float(LABELS[nearest] == LABELS[query]))
    return np.array(found)


@pytest.mark.parametrize("grouped", [False, True])
def test_both_are_searched_exactly_for_the_same_queries(grouped):
    head, frozen = make(1, 0.5), make(4, 2.0)
    groups = np.random.default_rng(3).integers(0, 60, G + Q) if grouped else None
    gain = run("IVF4,Flat", recipe=head, features=Features(head, frozen=frozen), groups=groups).report["head_gain"]
    trained, below = found_first(head, groups), found_first(frozen, groups)
    assert (gain["figure"], gain["k"], gain["n"]) == ("recall", 1, Q)
    assert gain["head"] == pytest.approx(trained.mean())
    assert gain["frozen"] == pytest.approx(below.mean())
    assert gain["difference"] == pytest.approx((trained - below).mean())
    assert gain["head"] > gain["frozen"] + 0.05
    low, high = gain["interval"]
    assert 0 < low < gain["difference"] < high
    assert gain["p_value"] < 0.01


def test_without_a_head_labels_or_a_direction_nothing_is_said():
    head, frozen = make(1, 0.5), make(4, 2.0)
    assert run(recipe=head).report["head_gain"] is None
    assert run(features=Features(head, frozen=frozen), recipe=head, labels=None).report["head_gain"] is None
    nothing = Array(np.where(np.arange(G + Q)[:, None] == 7, 0, frozen.features).astype(np.float32))
    assert run(features=Features(head, frozen=nothing), recipe=head).report["head_gain"] is None
    assert head_words({}) is None  # as older reports have it


def gain(difference, interval, p_value=0.0001, n=500):
    return {
        "figure": "recall", "k": 1, "head": 0.6 + difference, "frozen": 0.6, "n": n, "difference": difference,
        "interval": interval, "p_value": p_value,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "end"),
    [
        (gain(0.1, [0.08, 0.12]), "(+0.100 [+0.080, +0.120], p < 0.001, 500 queries): the head is better than the "
         "frozen features"),
        (gain(-0.1, [-0.12, -0.08], 0.004), "(-0.100 [-0.120, -0.080], p = 0.004, 500 queries): the head is WORSE than "
         "the frozen features; --set training.epochs=0 leaves it out"),
        (gain(0.01, [-0.01, 0.03], 0.4), "p = 0.400, 500 queries): no difference seen; --set training.epochs=0 leaves "
         "the head out"),
        (gain(0.1, [-0.2, 0.4], 0.4, 10), "too few to tell: 10 queries, about 40 are needed"),
    ],
)  # fmt: skip
def test_the_line_says_which_is_better_and_how_to_leave_it_out(found, end):
    words = head_words({"head_gain": found})
    assert words.startswith(f"Head: recall@1 {found['head']:.4f} against 0.6000 of the frozen features")
    assert words.endswith(end)
    assert brief(written(head_gain=found))[1] == words
    plain = run(recipe=make(1, 0.5)).report
    assert end.split()[-1] in " ".join(render_table({**plain, "head_gain": found}).split())
