"""Parts by whole groups, near twins across them, kinds held out in turn."""

from __future__ import annotations

import numpy as np
import pytest

from simsearch.defects.conformal import groups_needed
from simsearch.defects.splitting import Split, holding_out, near_twins, split_by_group
from simsearch.errors import VectorsError


def parts(found: Split):
    return found.fit, found.validation, found.calibration


@pytest.mark.parametrize("shares", [{}, {"calibration": 0.4, "validation": 0.2}, {"calibration": 0.0}])
def test_no_group_is_parted_and_nothing_is_lost(shares):
    random = np.random.default_rng(0)
    groups = random.integers(-1, 40, 300)
    found = split_by_group(groups, 300, **shares)
    assert sorted(np.concatenate(parts(found))) == list(range(300))
    for one, part in enumerate(parts(found)):
        assert (np.diff(part) > 0).all()
        for other in parts(found)[:one]:
            assert not set(groups[part][groups[part] >= 0]) & set(groups[other])
    total = 40 + (groups < 0).sum()  # negative ones are groups of their own
    counted = [len(set(groups[part][groups[part] >= 0])) + (groups[part] < 0).sum() for part in parts(found)]
    assert counted[2] == round(shares.get("calibration", 0.3) * total)
    assert counted[1] == round(shares.get("validation", 0) * total)


def test_the_seed_draws_and_every_group_may_be_anywhere():
    groups = np.repeat(np.arange(10), 3)
    found = [split_by_group(groups, 30, seed=seed).calibration.tolist() for seed in range(40)]
    assert found[0] == split_by_group(groups, 30).calibration.tolist()
    assert {row for rows in found for row in rows} == set(range(30))
    assert len(split_by_group(None, 10).calibration) == 3


@pytest.mark.parametrize(
    ("groups", "shares", "line"),
    [
        (np.zeros(9, int), {}, "at least 2 groups, seen 1"),
        (np.arange(9) // 5, {"validation": 0.1}, "at least 3 groups, seen 2"),
        (np.arange(9), {"calibration": 0.5, "validation": 0.5}, "leave some to fit, seen 0.5 and 0.5"),
        (np.arange(9), {"calibration": -0.1}, "leave some to fit"),
    ],
)
def test_a_split_that_is_none_is_refused(groups, shares, line):
    with pytest.raises(VectorsError, match=line):
        split_by_group(groups, len(groups), **shares)
    with pytest.raises(VectorsError, match="seen 0"):
        split_by_group(None, 0)


def test_groups_that_a_rate_needs():
    assert [groups_needed(rate) for rate in (0.5, 0.3, 0.1, 0.07, 0.05, 0.01, 0.001)] == [1, 3, 9, 14, 19, 99, 999]
    for rate in np.linspace(0.002, 0.9, 400):
        need = groups_needed(rate)
        assert rate * (need + 1) >= 1 - 1e-9
        assert rate * need < 1


def views(random, count, shots, width, dimensions, apart=0.15):
    """Raw features of `count` views in some `dimensions`, each shot `shots` times, and which view each is of."""
    of = np.repeat(np.arange(count), shots)
    middles = random.normal(size=(count, dimensions)) @ random.normal(size=(dimensions, width)) + 9
    shot = apart * random.normal(size=(len(of), dimensions)) @ random.normal(size=(dimensions, width))
    return (middles[of] + shot).astype(np.float32), of


@pytest.mark.parametrize(("dimensions", "apart"), [(3, 0.02), (12, 0.15), (40, 0.3)])
def test_twins_are_found_across_a_split_by_image_and_not_by_group(dimensions, apart):
    random = np.random.default_rng(dimensions)
    features, of = views(random, 150, 4, 64, dimensions, apart)
    by_image, by_group = (split_by_group(groups, 600) for groups in (None, of))
    found = near_twins(features, by_image.fit, by_image.calibration)
    assert found.looked == 180
    assert found.optimistic
    assert len(found.rows) > 0.5 * found.looked
    assert set(found.rows) <= set(by_image.calibration)
    found = near_twins(features, by_group.fit, by_group.calibration)
    assert len(found.rows) < 0.05 * found.looked
    assert not found.optimistic


def test_twins_of_another_exposure_are_found():
    random = np.random.default_rng(0)
    features, _ = views(random, 150, 4, 64, 12, 0.05)
    features += (30 * random.normal(size=(600, 2)) @ random.normal(size=(2, 64))).astype(np.float32)
    features += 200
    found = split_by_group(None, 600)
    assert near_twins(features, found.fit, found.calibration).optimistic


@pytest.mark.parametrize("dimensions", [2, 4, 8, 32])
@pytest.mark.parametrize("count", [30, 300])
def test_images_that_lie_anyhow_have_no_twins(dimensions, count):
    shares = []
    for seed in range(5):
        features, _ = views(np.random.default_rng(seed), count, 1, 64, dimensions)
        found = split_by_group(None, count)
        shares.append(len(near_twins(features, found.fit, found.calibration).rows) / len(found.calibration))
    assert np.mean(shares) < 0.05


def test_copies_are_twins_and_so_are_pairs_that_are_known():
    features, _ = views(np.random.default_rng(0), 60, 1, 16, 8)
    features[50:55] = features[:5] * 3
    fit, calibration = np.arange(50), np.arange(50, 60)
    assert near_twins(features, fit, calibration).rows.tolist() == [50, 51, 52, 53, 54]
    known = np.array([[3, 57], [58, 2], [59, 56], [1, 2]])
    assert near_twins(features, fit, calibration, known).rows.tolist() == [50, 51, 52, 53, 54, 57, 58]
    few = near_twins(features, fit[:9], calibration, known)
    assert (few.rows.tolist(), few.looked, few.optimistic) == ([57, 58], 10, True)
    assert near_twins(features, fit, calibration[:0]).rows.tolist() == []
    again = np.repeat(features[:2], 40, axis=0)  # so many copies that there is nothing to measure them by
    assert len(near_twins(again, np.arange(0, 80, 2), np.arange(1, 80, 2)).rows) == 40


def test_kinds_are_held_out_in_turn_with_their_groups():
    random = np.random.default_rng(0)
    kinds = random.integers(-2, 3, 200)
    kinds[kinds == -2] = -1
    groups = random.integers(-1, 60, 200)
    test = random.random(200) < 0.2
    found = list(holding_out(kinds, test, groups))
    assert [one.kind for one in found] == [0, 1, 2]
    for one in found:
        for i in range(200):
            mates = [j for j in range(200) if j == i or (groups[i] >= 0 and groups[j] == groups[i])]
            clean = not any(test[j] or kinds[j] == one.kind for j in mates)
            assert one.trained[i] == clean
            assert one.normal[i] == (test[i] and kinds[i] < 0)
            assert one.unseen[i] == (kinds[i] == one.kind)
            assert one.seen[i] == (test[i] and kinds[i] >= 0 and kinds[i] != one.kind)
        assert one.trained.any()
    assert not list(holding_out(np.full(5, -1), np.ones(5, dtype=bool)))
