"""Figures of defect scores, of images and of pixels, against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from simsearch.defects.figures import flagged, image_figures
from simsearch.defects.pixels import pixel_figures
from simsearch.errors import VectorsError
from simsearch.statistics.ranks import auroc, auroc_differences, outscored, rank_test, roc_points


def scored(random, normal=60, defective=40):
    """Scores with ties, kinds and groups of images."""
    kinds = np.concatenate((np.full(normal, -1), random.integers(0, 3, defective)))
    scores = np.round(random.normal(size=len(kinds)) + 0.5 * (kinds + 1), 1)
    return scores, kinds, np.where(kinds < 0, random.integers(-1, 12, len(kinds)), random.integers(20, 40, len(kinds)))


def test_auroc_is_a_slow_loop_and_scikit_learns():
    random = np.random.default_rng(0)
    scores, kinds, groups = scored(random)
    found = image_figures(scores, kinds, groups)
    normal = scores[kinds < 0]
    for area, chosen in [(found.overall, kinds >= 0), *((found.kinds[kind], kinds == kind) for kind in range(3))]:
        pairs = [(one > other) + (one == other) / 2 for one in scores[chosen] for other in normal]
        assert area.auroc == pytest.approx(np.mean(pairs))
        both = chosen | (kinds < 0)
        assert area.auroc == pytest.approx(roc_auc_score(chosen[both], scores[both]))
        assert area.interval[0] < area.auroc < area.interval[1]
        assert (area.defective, area.groups) == (chosen.sum(), len(set(groups[chosen])))
    assert found.normal == 60
    assert found.groups == len(set(groups[(kinds < 0) & (groups >= 0)])) + ((kinds < 0) & (groups < 0)).sum()


def test_the_roc_has_the_points_of_a_slow_loop():
    random = np.random.default_rng(3)
    positives, negatives = np.round(random.normal(1, 1, 30), 1), np.round(random.normal(0, 1, 40), 1)
    points = roc_points(positives, negatives)
    alarms = [alarm for alarm, _ in points]
    assert alarms == sorted(set(alarms))
    assert points[-1] == (1, 1)
    for alarm, share in points:
        reached = [t for t in (*positives, *negatives, 99) if np.mean(negatives >= t) == alarm]
        assert share == max(np.mean(positives >= t) for t in reached)
    with pytest.raises(ValueError, match="none of one"):
        roc_points(positives, np.empty(0))


def test_intervals_are_a_slow_bootstrap_over_groups():
    random = np.random.default_rng(1)
    scores, kinds, groups = scored(random)
    groups[groups < 0] = np.arange(100, 100 + (groups < 0).sum())
    scores += 2 * random.normal(size=200)[groups]  # images of one group are alike
    areas = []
    for _ in range(1500):
        drawn = []
        for chosen in (kinds >= 0, kinds < 0):
            known = np.unique(groups[chosen])
            picked = random.choice(known, len(known))
            drawn.append(np.concatenate([scores[chosen & (groups == group)] for group in picked]))
        areas.append(auroc(*drawn))
    found = image_figures(scores, kinds, groups).overall.interval
    np.testing.assert_allclose(found, np.quantile(areas, (0.025, 0.975)), atol=0.02)
    alone = image_figures(scores, kinds).overall.interval
    assert found != alone
    assert found == image_figures(scores, kinds, groups).overall.interval


def test_images_of_one_group_make_the_interval_no_narrower():
    scores, kinds, _ = scored(np.random.default_rng(2))
    shots = [np.repeat(one, 6) for one in (scores, kinds, np.arange(100))]
    once = image_figures(scores, kinds, resamples=4000).overall.interval
    np.testing.assert_allclose(image_figures(*shots, resamples=4000).overall.interval, once, atol=0.01)
    alone = image_figures(*shots[:2]).overall.interval
    assert alone[1] - alone[0] < 0.6 * (once[1] - once[0])


def test_what_cannot_be_told_apart_is_refused():
    kinds = np.array([-1, -1, 0])
    with pytest.raises(VectorsError, match="is NaN"):
        image_figures(np.array([1, 2, np.nan]), kinds)
    for wrong in (np.full(3, -1), np.zeros(3, int)):
        with pytest.raises(VectorsError, match="expected normal and defective images"):
            image_figures(np.ones(3), wrong)
    assert image_figures(np.ones(3), kinds).overall.auroc == 0.5
    with pytest.raises(ValueError, match="none of one"):
        auroc(np.empty(0), np.ones(3))


def test_the_differences_are_slow_loops_and_scatter_as_delong_says():
    random = np.random.default_rng(0)
    sides = [(np.round(random.normal(1, 1, 30), 1), np.round(random.normal(0, 1, 50), 1)) for _ in range(2)]
    over = [
        np.array([[(p > n) + (p == n) / 2 for n in negatives] for p in positives]) for positives, negatives in sides
    ]
    for (positives, negatives), pairs in zip(sides, over, strict=True):
        np.testing.assert_allclose(outscored(positives, negatives), pairs.mean(axis=1))
        assert auroc(positives, negatives) == pytest.approx(pairs.mean())
    moved = over[1] - over[0]
    found = auroc_differences(*sides)
    assert found.shape == (80,)
    assert found.mean() == pytest.approx(moved.mean())
    delong = moved.mean(axis=1).var() / 30 + moved.mean(axis=0).var() / 50
    assert found.var() / 80 == pytest.approx(delong)
    groups = random.integers(0, 20, 80)
    groups[:20] = np.arange(20)
    pulls = np.concatenate((moved.mean(axis=1) - moved.mean(), moved.mean(axis=0) - moved.mean()))
    pulls /= np.repeat((30, 50), (30, 50))
    slow = [moved.mean() + 20 * sum(pulls[i] for i in range(80) if groups[i] == group) for group in range(20)]
    np.testing.assert_allclose(auroc_differences(*sides, groups), slow)
    np.testing.assert_allclose(auroc_differences((np.ones(3), np.zeros(9)), (np.zeros(3), np.ones(9))), -1)
    with pytest.raises(ValueError, match="none of one"):
        auroc_differences((np.ones(0), np.ones(2)), (np.ones(0), np.ones(2)))


def test_a_rate_counts_each_group_alike():
    found = flagged(np.array([True] * 6 + [False, False, True, False]), np.array([1] * 6 + [2, -1, 3, 3]))
    assert found.share == pytest.approx((1 + 0 + 0 + 0.5) / 4)
    assert (found.images, found.groups) == (10, 4)
    assert found.interval[0] < found.share < found.interval[1]
    assert flagged(np.zeros(4, dtype=bool)).interval == (0, 0)
    with pytest.raises(VectorsError, match="seen none"):
        flagged(np.zeros(0, dtype=bool))


def slow_pixels(maps):
    """Every threshold in turn: (false positive rate, true positive rate, mean overlap of the regions)."""
    filled = [(scores, np.zeros(scores.shape, bool) if mask is None else mask) for scores, mask in maps]
    regions = []
    for scores, mask in filled:
        left = {tuple(one) for one in np.argwhere(mask)}
        while left:
            region, edge = set(), {left.pop()}
            while edge:
                y, x = edge.pop()
                region.add((y, x))
                near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
                edge |= near
                left -= near
            regions.append(np.array([scores[place] for place in region]))
    defect = np.concatenate([scores[mask] for scores, mask in filled])
    sound = np.concatenate([scores[~mask] for scores, mask in filled])
    points = [(0.0, 0.0, 0.0)]
    for threshold in sorted({*defect, *sound}, reverse=True):
        overlap = np.mean([np.mean(region >= threshold) for region in regions])
        points.append((np.mean(sound >= threshold), np.mean(defect >= threshold), overlap))
    return np.array(points), len(regions)


def pictures(random, ties):
    maps = []
    for number in range(6):
        shape = random.integers(5, 12, 2)
        mask = random.random(shape) < 0.25
        scores = random.normal(size=shape) + mask
        if ties:
            scores = np.round(scores)
        maps.append((scores.astype(np.float32), None if number == 4 else mask & (number != 5)))
    return maps


@pytest.mark.parametrize("ties", [False, True])
def test_pixel_figures_are_a_slow_loop(ties):
    for seed in range(4):
        maps = pictures(np.random.default_rng(seed), ties)
        found = pixel_figures(iter(maps))
        points, regions = slow_pixels(maps)
        x = np.linspace(0, 0.3, 30001)
        assert found.auroc == pytest.approx(np.trapezoid(points[:, 1], points[:, 0]), abs=1e-3 * (not ties) + 1e-9)
        # Where the curve jumps, the later point counts, as it does for steps from left to right.
        steep = np.interp(x, points[:, 0] + 1e-12 * np.arange(len(points)), points[:, 2])
        assert found.pro == pytest.approx(np.trapezoid(steep, x) / 0.3, abs=2e-3)
        assert (found.pictures, found.regions) == (6, regions)


def test_small_regions_count_as_much_as_large_ones():
    mask, scores = np.zeros((40, 40), dtype=bool), np.zeros((40, 40), dtype=np.float32)
    mask[:20, :20] = mask[30, 30] = True
    scores[30, 30] = 1
    found = pixel_figures([(scores, mask), (scores * 0, None)])
    assert found.regions == 2
    assert found.pro == pytest.approx(0.5 + 0.5 * 0.15)  # the large one is met at random
    assert found.auroc == pytest.approx(0.5 + 0.5 / 401)


def test_perfect_and_reversed_maps():
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:4, 3:7] = True
    scores = mask.astype(np.float32) - 5  # negative values are in order, too
    assert pixel_figures([(scores, mask)]).auroc == 1
    assert pixel_figures([(scores, mask)]).pro == pytest.approx(1)
    assert pixel_figures([(-scores, mask)]).auroc == 0
    assert pixel_figures([(-scores, mask)]).pro == 0


def test_pixels_that_say_nothing():
    scores = np.ones((3, 3), dtype=np.float32)
    assert pixel_figures([]) is None
    assert pixel_figures([(scores, None), (scores, scores < 0)]) is None
    assert pixel_figures([(scores, scores > 0)]) is None
    with pytest.raises(VectorsError, match=r"\(3, 3\), seen \(3, 2\)"):
        pixel_figures([(scores, scores[:, :2] > 0)])
    with pytest.raises(VectorsError, match="holds NaN"):
        pixel_figures([(scores * np.nan, None)])


@pytest.mark.parametrize("digits", [9, 1, 0])
def test_the_rank_test_is_that_of_scipy(digits):
    random = np.random.default_rng(digits)
    for n, m in (*np.ndindex(11, 12), (8, 300), (9, 300), (200, 150)):
        values = (random.normal(size=n + 1) + random.normal() / 2).round(digits)
        others = random.normal(size=m + 1).round(digits)
        known = scipy.stats.mannwhitneyu(values, others, alternative="two-sided").pvalue
        assert rank_test(values, others) == pytest.approx(1 if np.isnan(known) else known, abs=1e-12)
    assert rank_test(np.ones(3), np.ones(4)) == 1
