"""simsearch/defects/coreset.py and bank.py: patches that stand for all normal ones, and how far others are."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from simsearch.defects.bank import Choice, PatchBank
from simsearch.defects.coreset import BLOCK, coreset
from simsearch.errors import VectorsError


def vectors(count, dim=5, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (count, dim)).astype(np.float32)


def plainly(points, first, count):
    """Algorithm 1 of PatchCore, one pick after the other."""
    points = points.astype(np.float64)
    rows, nearest = [first], np.linalg.norm(points - points[first], axis=1)
    while len(rows) < count:
        rows.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[rows[-1]], axis=1))
    return rows


@pytest.mark.parametrize(("count", "dim", "picked"), [(900, 5, 400), (300, 2, 300), (BLOCK, 3, 50), (3000, 100, 400)])
def test_blocks_pick_what_the_plain_loop_picks(count, dim, picked):
    points = vectors(count, dim)
    found = coreset(points, picked, seed=3)
    assert found.tolist() == plainly(points, found[0], picked)
    assert np.array_equal(found, coreset(points, picked, seed=3))
    assert coreset(points, 1, seed=4)[0] != coreset(points, 1, seed=3)[0]


def test_copies_are_picked_once():
    points = vectors(20)[np.random.default_rng(0).integers(0, 20, 900)]
    found = coreset(points, 100, seed=0)
    assert len(np.unique(points[found], axis=0)) == len(found) == len(np.unique(points, axis=0))
    assert len(coreset(np.ones((50, 4), np.float32), 10, seed=0)) == 1


def test_many_dimensions_are_compared_by_a_projection():
    points = vectors(2000, 600)
    points[:, 200:] *= 0.1
    points[7, 300] = points[11, 400] = 60  # far off, each in a direction of its own
    rows = coreset(points, 200, seed=0)
    assert len(set(rows.tolist())) == 200
    assert {7, 11} <= set(rows[:3].tolist())


def maps(count, seed=0, *, dims=(4, 3), far=0.0):
    """Maps of pictures at two sides, (6, 5) and (3, 4) places; `far` moves one place of each."""
    random = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        one = [
            random.normal(0, 1, (*grid, dim)).astype(np.float32)
            for grid, dim in zip(((6, 5), (3, 4)), dims, strict=True)
        ]
        one[0][2, 3] += np.float32(far)
        out.append(one)
    return out


CHOICE = Choice(bank=60, per_image=20, fusion="max")


@pytest.fixture(scope="module")
def bank():
    return PatchBank.fit(maps(30), np.arange(30) // 3, CHOICE)


def slowly(bank, maps, without=None):
    """The z-scores of a picture at each side, by loops in float64."""
    out = []
    for scale, one in zip(bank.scales, maps, strict=True):
        base = scale.patches[scale.owners != without].astype(np.float64)
        found = sorted(min(np.linalg.norm(patch - b) for b in base) for patch in one.reshape(-1, one.shape[2]))
        out.append((np.log(np.mean(found[-bank.choice.worst :])) - scale.centre) / scale.spread)
    return out


@pytest.mark.parametrize("fusion", ["max", "mean"])
@pytest.mark.parametrize("worst", [1, 3, 100])
def test_scores_are_those_of_slow_loops(bank, fusion, worst):
    read = replace(bank, choice=replace(CHOICE, fusion=fusion, worst=worst))
    seen = maps(3, seed=1)
    wanted = [(max if fusion == "max" else np.mean)(slowly(read, one)) for one in seen]
    found = read.scores(seen)
    assert found.dtype == np.float64
    assert found == pytest.approx(wanted, rel=1e-4)
    left = read.scores(seen, leave_out=np.array([0, 4, 4]))
    assert left == pytest.approx(
        [(max if fusion == "max" else np.mean)(slowly(read, one, g)) for one, g in zip(seen, (0, 4, 4), strict=True)],
        rel=1e-4,
    )


def test_normal_pictures_give_mean_and_deviation_without_their_own_group(bank):
    parts = np.array([slowly(bank, one, number // 3) for number, one in enumerate(maps(30))])
    assert parts.mean(axis=0) == pytest.approx(0, abs=1e-4)
    assert parts.std(axis=0) == pytest.approx(1, rel=1e-4)


def test_scores_are_their_parts_brought_together(bank):
    parts = bank.parts(maps(4, seed=1))
    assert parts == pytest.approx(np.array([slowly(bank, one) for one in maps(4, seed=1)]), rel=1e-3, abs=1e-4)
    assert np.array_equal(bank.scores(maps(4, seed=1)), bank.fused(parts))
    assert bank.parts([]).shape == (0, 2)
    assert bank.scores([]).shape == (0,)


def test_a_defect_scores_higher_and_is_seen_where_it_is(bank):
    normal, broken = bank.scores(maps(40, seed=2)), bank.scores(maps(40, seed=2, far=6.0))
    assert broken.min() > normal.max()
    heat = bank.heat(maps(1, seed=2, far=6.0)[0])
    assert heat.shape == (6, 5)
    assert np.unravel_index(heat.argmax(), heat.shape) == (2, 3)


@pytest.mark.parametrize("fusion", ["max", "mean"])
def test_heat_is_the_score_of_each_place(bank, fusion):
    """With one worst place and one side, the hottest place has the score of the picture."""
    one = maps(1, seed=5)[0]
    alone = replace(bank, scales=bank.scales[:1], choice=replace(CHOICE, worst=1, fusion=fusion))
    assert float(alone.heat(one[:1]).max()) == pytest.approx(alone.scores([one[:1]])[0], rel=1e-5)
    read = replace(bank, choice=replace(CHOICE, fusion=fusion))
    layers = [read.scales[0].distances(one[0]), read.scales[1].distances(one[1])]
    second = (np.log(layers[1]) - read.scales[1].centre) / read.scales[1].spread
    first = (np.log(layers[0]) - read.scales[0].centre) / read.scales[0].spread
    corner = max(first[0, 0], second[0, 0]) if fusion == "max" else (first[0, 0] + second[0, 0]) / 2
    assert read.heat(one)[0, 0] == pytest.approx(corner, rel=1e-4)


def test_the_same_pictures_give_the_same_bits(bank):
    again = PatchBank.fit(iter(maps(30)), np.arange(30) // 3, CHOICE)
    other = PatchBank.fit(maps(30), np.arange(30) // 3, replace(CHOICE, seed=1))
    for name, values in bank.arrays().items():
        assert np.array_equal(values, again.arrays()[name]), name
    assert not np.array_equal(bank.scales[0].patches, other.scales[0].patches)


def test_it_is_stored_as_plain_arrays(bank):
    file = io.BytesIO()
    np.savez(file, **bank.arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        again = PatchBank.from_arrays(stored)
    assert again.choice == bank.choice
    assert np.array_equal(again.scores(maps(5, seed=3)), bank.scores(maps(5, seed=3)))
    with pytest.raises(VectorsError, match="no bank of patches"):
        PatchBank.from_arrays({"scales": np.zeros((1, 3))})


def test_progress_is_told(bank):
    told: list[int] = []
    bank.scores(maps(3), None, told.append)
    assert told == [1, 2, 3]
    told = []
    PatchBank.fit(maps(30), np.arange(30), CHOICE, told.append)
    assert told == list(range(1, 31))


def test_groups_that_are_none_are_each_their_own():
    own = PatchBank.fit(maps(8), np.full(8, -1), CHOICE)
    assert set(own.scales[0].owners.tolist()) == set(range(8))


@pytest.mark.parametrize(
    ("given", "groups", "message"),
    [
        (maps(3), np.zeros(3, int), "2 groups or more, seen 1"),
        (maps(3), np.arange(4), "maps of 4 pictures, seen 3"),
        ([[np.ones((2, 2, 4), np.float32)]] * 3, np.arange(3), "are alike"),
    ],
)
def test_what_makes_no_bank_is_refused(given, groups, message):
    with pytest.raises(VectorsError, match=message):
        PatchBank.fit(given, groups, CHOICE)


def test_maps_of_another_backbone_are_refused(bank):
    with pytest.raises(VectorsError, match=r"of \[4, 3\] values at each side: seen maps"):
        bank.scores(maps(1, dims=(4, 5)))
    with pytest.raises(VectorsError, match=r"of \[4, 3\] values"):
        bank.scores([maps(1)[0][:1]])


@pytest.mark.parametrize("wrong", [{"bank": 0}, {"per_image": 0}, {"worst": 0}, {"fusion": "sum"}])
def test_a_choice_that_cannot_be_is_refused(wrong):
    with pytest.raises(VectorsError, match="counts above 0 and fusion"):
        Choice(**wrong)
