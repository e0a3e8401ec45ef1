"""Defects by cut and paste, and the method that is chosen by them or by real ones."""

from __future__ import annotations

import numpy as np
import pytest

from simsearch.defects.choosing import choose_method, score_pooled
from simsearch.defects.pooled import POOLED
from simsearch.defects.synthetic import cut_and_paste
from simsearch.errors import VectorsError


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("shape", [(64, 48), (48, 200, 3), (16, 16)])
def test_a_piece_is_pasted_and_nothing_else_changes(shape):
    picture = noise(shape)
    kept = picture.copy()
    for seed in range(60):
        made, mask = cut_and_paste(picture, seed)
        assert (made.shape, made.dtype, mask.shape, mask.dtype) == (shape, np.uint8, shape[:2], bool)
        assert (picture == kept).all()
        assert (made[~mask] == picture[~mask]).all()
        changed = (made != picture).reshape(*shape[:2], -1).any(axis=2)
        assert changed.any()
        assert changed[mask].mean() > 0.5
        assert 0 < mask.mean() < 0.2


def test_the_seed_is_the_defect():
    picture = noise((64, 64))
    one, again, other = (cut_and_paste(picture, seed) for seed in ([7, 1], [7, 1], [7, 2]))
    assert np.array_equal(one[0], again[0])
    assert np.array_equal(one[1], again[1])
    assert not np.array_equal(one[1], other[1])


def test_what_is_pasted_was_cut_from_the_picture():
    """Every pixel says where it is from: those of a piece lie as they lay, turned at most."""
    height, width = 120, 200
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(height)[:, None], np.arange(width)
    turned = []
    for seed in range(200):
        made, mask = cut_and_paste(picture, seed)
        y, x = np.nonzero(mask)
        places = np.stack((y, x, np.ones_like(y)), axis=1).astype(float)
        values = made[mask][:, :2].astype(float)
        plan, *_ = np.linalg.lstsq(places, values, rcond=None)  # one affine map for the whole piece
        assert np.abs(places @ plan - values).max() < 3
        if np.linalg.svd(places[:, :2] - places[:, :2].mean(axis=0), full_matrices=False)[1].min() < 20:
            continue  # too thin for its width to say how it was turned
        light = np.sqrt(np.linalg.det(plan[:2]))  # the map is a turn, times the brightness
        assert 0.8 < light < 1.25
        turned.append(abs(plan[0, 1]) > 0.05)
    assert 3 < np.sum(turned) < len(turned) - 3  # scars are, rectangles are not


def test_a_flat_picture_has_a_defect_as_long_as_it_has_any_light():
    made, mask = cut_and_paste(np.full((40, 40), 128, dtype=np.uint8), 3)
    assert (made != 128)[mask].all()
    made, mask = cut_and_paste(np.zeros((40, 40), dtype=np.uint8), 3)
    assert not made.any()
    corner = np.zeros((40, 40), dtype=np.uint8)
    corner[:20, :20] = 200
    assert all((cut_and_paste(corner, seed)[0] != corner).any() for seed in range(40))
    with pytest.raises(VectorsError, match=r"16 pixels a side or more, .* seen 15 x 40"):
        cut_and_paste(noise((15, 40)), 0)


def scores(area, count=100):
    """Scores of normal and of defective images with exactly this AUROC."""
    return np.arange(count, dtype=float), np.full(1, area * count - 0.5)


def test_the_best_is_chosen_and_of_equal_ones_the_simplest():
    found = choose_method({"mean": scores(0.70), "neighbours": scores(0.90), "patch": scores(0.89)}, synthetic=False)
    assert found.method == "neighbours"
    assert found.figures == pytest.approx({"mean": 0.7, "neighbours": 0.9, "patch": 0.89})
    assert found.reason == (
        "neighbours: image AUROC 0.900 by 100 normal images against 1 defective, at hand; mean 0.700, patch 0.890"
    )
    tied = choose_method({"mean": scores(0.9), "neighbours": scores(0.9004, 5000)}, synthetic=True)
    assert tied.method == "mean"
    assert "made by cut and paste" in tied.reason
    assert choose_method({"mean": scores(0.9), "patch": scores(0.902, 1000)}, synthetic=True).method == "patch"


@pytest.mark.parametrize("scored", [{}, {"mean": (np.empty(0), np.ones(1))}, {"mean": (np.ones(1), np.empty(0))}])
def test_nothing_to_choose_by_is_said(scored):
    with pytest.raises(VectorsError, match="no method can be chosen"):
        choose_method(scored, synthetic=True)


def test_each_method_is_chosen_where_it_is_right():
    """One direction that scatters: only Mahalanobis sees what is small and across it. Two places: the mean does not."""
    random = np.random.default_rng(0)
    wide = np.array([1, 30, 1, 1, 1, 1]) * random.normal(size=(300, 6)) + np.array([300, 0, 0, 0, 0, 0])
    off = wide[200:] + np.array([0, 0, 5, 5, 0, 0])
    found = choose_method(
        score_pooled(*(one.astype(np.float32) for one in (wide[:100], wide[100:200], off))), synthetic=0
    )
    assert found.method == "mahalanobis"
    assert list(found.figures) == list(POOLED)
    two = random.normal(size=(300, 6)) + 20 * np.eye(6)[random.integers(0, 2, 300)]
    between = random.normal(size=(50, 6)) + 10 * np.eye(6)[0] + 10 * np.eye(6)[1]
    parts = [one.astype(np.float32) for one in (two[:200], two[200:], between)]
    assert choose_method(score_pooled(*parts), synthetic=False).figures["mean"] < 0.1
    assert choose_method(score_pooled(*parts), synthetic=False).method == "neighbours"


def test_a_method_that_cannot_be_fitted_is_left_out():
    normal = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    both = np.vstack((normal, -normal))
    assert set(score_pooled(both, normal, normal)) == {"neighbours", "mahalanobis", "means"}
    assert set(score_pooled(normal, normal, normal, ["means"])) == {"means"}
    with pytest.raises(VectorsError, match="no mean direction"):
        score_pooled(both, normal, normal, ["mean"])
