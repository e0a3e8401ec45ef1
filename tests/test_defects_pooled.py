"""Defect scores of features, against slow scripts."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from simsearch.defects.pooled import POOLED, Mahalanobis, Mean, Means, Neighbours
from simsearch.errors import VectorsError


def features(count, width=16, seed=0, centres=1):
    """Raw features around a few directions, of any length."""
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(99).normal(size=(centres, width)) * 3
    found = middles[random.integers(0, centres, count)] + random.normal(size=(count, width))
    return (found * random.uniform(0.1, 50, (count, 1))).astype(np.float32)


NORMAL, ASKED = features(40), features(25, seed=1)


def units(found):
    found = found.astype(np.float64)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_the_mean_is_a_ten_line_script():
    normal = NORMAL / np.linalg.norm(NORMAL, axis=1, keepdims=True)
    centre = normal.mean(axis=0)
    centre /= np.linalg.norm(centre)
    expected = []
    for feature in ASKED:
        embedding = feature / np.linalg.norm(feature)
        expected.append(np.sqrt(((embedding - centre) ** 2).sum()))
    np.testing.assert_allclose(Mean.fit(NORMAL).scores(ASKED), expected, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 3, 40])
def test_neighbours_are_a_slow_loop(k):
    expected = [
        np.mean(sorted(np.linalg.norm(asked - normal) for normal in units(NORMAL))[:k]) for asked in units(ASKED)
    ]
    np.testing.assert_allclose(Neighbours.fit(NORMAL, k=k).scores(ASKED), expected, rtol=1e-5)


def test_a_normal_image_is_its_own_neighbour():
    assert Neighbours.fit(NORMAL).scores(NORMAL).max() < 1e-6


@pytest.mark.parametrize("count", [5, 40])  # fewer and more than there are numbers
def test_mahalanobis_is_scikit_learns(count):
    oracle = LedoitWolf().fit(units(NORMAL[:count]))
    expected = np.sqrt(oracle.mahalanobis(units(ASKED)))
    np.testing.assert_allclose(Mahalanobis.fit(NORMAL[:count]).scores(ASKED), expected, rtol=1e-5)


def test_means_are_nearest():
    normal, asked = features(90, centres=3), features(30, seed=1, centres=3)
    found = Means.fit(normal, k=3)
    expected = [min(np.linalg.norm(x - centre) for centre in found.centres) for x in units(asked)]
    np.testing.assert_allclose(found.scores(asked), expected, rtol=1e-5)
    assert found.scores(asked).mean() < 0.8 * Mean.fit(normal).scores(asked).mean()
    assert np.array_equal(found.centres, Means.fit(normal, k=3).centres)


def test_means_stand_still_on_the_sphere():
    normal = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    normal[:200, 0] += 3  # most of them in one place: in the space around the sphere their mean is the longest
    centres = Means.fit(normal, k=3).centres
    nearest = np.array([min(range(3), key=lambda i: np.linalg.norm(x - centres[i])) for x in units(normal)])
    for i in range(3):
        mean = units(normal)[nearest == i].mean(axis=0)
        np.testing.assert_allclose(centres[i], mean / np.linalg.norm(mean), atol=1e-6)


def test_means_are_no_more_than_images_that_differ():
    few = np.repeat(NORMAL[:3], 5, axis=0)
    assert len(Means.fit(few).centres) == 3
    assert Means.fit(few).scores(few).max() < 1e-6
    np.testing.assert_allclose(Means.fit(NORMAL, k=1).scores(ASKED), Mean.fit(NORMAL).scores(ASKED))


@pytest.mark.parametrize("method", POOLED)
def test_every_method_sees_directions_alone(method):
    detector = POOLED[method].fit(NORMAL)
    found = detector.scores(ASKED)
    assert found.dtype == np.float64
    assert found.shape == (25,)
    np.testing.assert_allclose(POOLED[method].fit(NORMAL * 7).scores(ASKED * 0.03), found, rtol=1e-4)
    assert detector.scores(-NORMAL).min() > detector.scores(NORMAL).max()
    assert detector.scores(ASKED[:0]).shape == (0,)
    np.testing.assert_allclose(np.concatenate([detector.scores(one[None]) for one in ASKED]), found, rtol=1e-9)


@pytest.mark.parametrize("method", POOLED)
def test_every_method_is_the_same_from_its_arrays(method, tmp_path):
    detector = POOLED[method].fit(NORMAL)
    np.savez(tmp_path / "detector.npz", **detector.arrays())
    with np.load(tmp_path / "detector.npz") as arrays:
        again = POOLED[method].from_arrays(arrays)
    assert np.array_equal(again.scores(ASKED), detector.scores(ASKED))


@pytest.mark.parametrize("method", POOLED)
@pytest.mark.parametrize(
    ("normal", "line"),
    [
        (NORMAL[:1], "expected at least 2 normal images, seen 1"),
        (NORMAL[:0], "expected at least 2 normal images, seen 0"),
        (np.repeat(NORMAL[:1], 9, axis=0) * np.arange(1, 10, dtype=np.float32)[:, None], "all 9 normal images are eq"),
        (np.vstack((NORMAL, np.zeros_like(NORMAL[:1]))), "the feature of row 40 is zero"),
        (np.vstack((NORMAL, np.full_like(NORMAL[:1], np.nan))), "the feature of row 40 is NaN"),
        (NORMAL[0], "features must have the shape"),
    ],
)
def test_normals_that_cannot_be_used_are_named(method, normal, line):
    with pytest.raises(VectorsError, match=line):
        POOLED[method].fit(normal)


@pytest.mark.parametrize("method", POOLED)
def test_features_of_another_embedder_are_refused(method):
    with pytest.raises(VectorsError, match=r"expected features of 16 numbers, .* seen 8"):
        POOLED[method].fit(NORMAL).scores(ASKED[:, :8])
    with pytest.raises(VectorsError, match="row 0 is zero"):
        POOLED[method].fit(NORMAL).scores(ASKED * 0)


@pytest.mark.parametrize("k", [0, 41])
def test_more_neighbours_than_normals_are_refused(k):
    with pytest.raises(VectorsError, match=re.escape(f"{k} nearest normal images were asked for, and there are 40")):
        Neighbours.fit(NORMAL, k=k)


@pytest.mark.parametrize("method", POOLED)
def test_two_normals_will_do(method):
    """Their covariance has one direction, and is not shrunken at all: two points lie as far as one another."""
    found = POOLED[method].fit(NORMAL[:2]).scores(NORMAL)
    assert np.isfinite(found).all()
    assert found[2:].min() > found[:2].max()


def test_opposite_normals_have_no_mean():
    both = np.vstack((NORMAL, -NORMAL))
    with pytest.raises(VectorsError, match="no mean direction"):
        Mean.fit(both)
    assert Neighbours.fit(both).scores(-NORMAL).max() < 1e-6


def test_a_direction_that_never_varies_has_a_distance_all_the_same():
    flat = NORMAL.copy()
    flat[:, 5:] = 0
    found = Mahalanobis.fit(flat).scores(np.vstack((flat, NORMAL)))
    assert np.isfinite(found).all()
    assert found[40:].min() > found[:40].max()
