"""Normal images that are nothing like the rest are named, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from simsearch.defects.conformal import leave_one_group_out
from simsearch.defects.outliers import outliers
from simsearch.defects.pooled import POOLED


def normals(count=200, dimensions=8, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(count, dimensions)) @ random.normal(size=(dimensions, 32)) + 9).astype(np.float32)


@pytest.mark.parametrize("method", POOLED)
def test_what_belongs_is_no_outlier_by_any_method(method):
    for dimensions in (4, 8, 64):
        scores = leave_one_group_out(POOLED[method].fit, normals(200, dimensions), most=8)
        assert outliers(scores).tolist() == []


@pytest.mark.parametrize("method", POOLED)
def test_no_digit_of_one_label_is_an_outlier(method):
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    for digit in range(10):
        scores = leave_one_group_out(POOLED[method].fit, pixels[labels == digit].astype(np.float32), most=8)
        assert outliers(scores).tolist() == []


def test_what_does_not_belong_is_named_the_farthest_first():
    scores = np.random.default_rng(0).normal(1, 0.1, 40)
    assert outliers(scores).tolist() == []
    scores[[3, 5]] = 3, 4
    assert outliers(scores).tolist() == [5, 3]
    assert outliers(-scores).tolist() == [], "what is nearer than others is as normal as can be"


def test_one_that_was_fitted_on_is_found_by_a_detector_without_its_group():
    features, groups = normals(), np.arange(200)
    features[5] = -features[5]
    features[[6, 7, 8]] = features[5]
    groups[[6, 7, 8]] = 5  # four shots of one wrong thing
    fit = POOLED["neighbours"].fit
    assert sorted(outliers(leave_one_group_out(fit, features, groups, most=8)).tolist()) == [5, 6, 7, 8]
    assert outliers(fit(features).scores(features)).tolist() == []


def test_few_or_equal_scores_have_none():
    assert outliers(np.array([*[1.0] * 8, 9.0])).tolist() == []
    assert outliers(np.where(np.arange(40) == 5, 4.0, 1.0)).tolist() == []
