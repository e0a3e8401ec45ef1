"""Normal images that are nothing like the rest are named, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from simsearch.defects.outliers import outliers
from simsearch.errors import VectorsError


def normals(count=200, dimensions=8, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(count, dimensions)) @ random.normal(size=(dimensions, 32)) + 9).astype(np.float32)


@pytest.mark.parametrize("dimensions", [4, 8, 64])
def test_what_belongs_is_no_outlier(dimensions):
    assert sum(len(outliers(normals(200, dimensions, seed))) for seed in range(5)) == 0


def test_what_does_not_belong_is_named_the_farthest_first():
    features = normals()
    features[17] = features[17] - 60 * np.eye(32)[3]
    features[90] = -features[90]
    assert outliers(features).tolist() == [90, 17]


def test_two_of_a_kind_do_not_vouch_for_one_another():
    features = normals()
    features[[5, 120]] = -features[5]
    assert sorted(outliers(features).tolist()) == [5, 120]
    groups = np.arange(200)
    features[[6, 7, 8]] = features[5]
    groups[[6, 7, 8, 120]] = 5  # five shots of one wrong thing
    assert outliers(features).tolist() == []
    assert sorted(outliers(features, groups).tolist()) == [5, 6, 7, 8, 120]


def test_few_images_and_copies_are_no_outliers():
    features = normals(9)
    features[0] = -features[0]
    assert outliers(features).tolist() == []
    copies = np.repeat(normals(8), 5, axis=0)
    assert outliers(copies).tolist() == []
    with pytest.raises(VectorsError, match="row 3 is zero"):
        outliers(normals(40) * (np.arange(40) != 3)[:, None])
