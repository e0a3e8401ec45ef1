"""simsearch/page/charts/scores.py: histograms of scores, with a threshold."""

from __future__ import annotations

import re

import numpy as np

from simsearch.page.charts.scores import BINS, score_histogram


def test_shares_of_each_set_come_to_one_and_the_threshold_is_where_it_is():
    random = np.random.default_rng(0)
    low, high = random.normal(0, 1, 200).tolist(), random.normal(5, 1, 50).tolist()
    chart, rows = score_histogram("it", "Scores", [("normal", low), ("<defective>", high)], 2.5)
    shares = np.array([[float(cell.removesuffix(" %")) for cell in row[1:]] for row in rows])
    assert len(rows) <= BINS
    np.testing.assert_allclose(shares.sum(axis=0), [100, 100], atol=1.5)
    assert shares[:3, 1].sum() == shares[-3:, 0].sum() == 0
    assert "<defective>" not in chart
    assert "&lt;defective&gt;" in chart
    percents = [int(found) for found in re.findall(r">(\d+)%<", chart)]
    assert percents[0] == 0
    assert percents[-1] % 10 == 0
    (x,) = re.findall(r'd="M([\d.]+) 20.0L\1 260.0"', chart)
    edges = min(*low, *high, 2.5), max(*low, *high, 2.5)
    assert abs(float(x) - (38 + 312 * (2.5 - edges[0]) / (edges[1] - edges[0]))) < 0.1


def test_equal_scores_are_drawn():
    chart, rows = score_histogram("it", "Scores", [("normal", [1.0, 1.0])], 1.0)
    assert [row[1] for row in rows] == ["100.0 %"]
    assert "nan" not in chart
