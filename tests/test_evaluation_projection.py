"""Maps before and after: which rows, which points, and data too small or too flat for t-SNE."""

import numpy as np
import pytest

from simsearch.evaluation.details.projection import agreement, project, stratified


def clusters(labels, dim, noise=0.3, seed=0):
    centres = np.random.default_rng(5).normal(size=(int(labels.max()) + 1, dim))
    return (centres[labels] + noise * np.random.default_rng(seed).normal(size=(len(labels), dim))).astype(np.float32)


LABELS = np.arange(120) % 4


def test_both_sides_show_the_same_rows_and_the_clusters():
    found = project(clusters(LABELS, 16, seed=1), clusters(LABELS, 8, seed=2), LABELS)
    assert found["rows"].tolist() == list(range(120))
    for side in ("before", "after"):
        assert found[side].shape == (120, 2)
        assert found[side].dtype == np.float32
        assert found[f"{side}_kind"] == "t-SNE"
        assert np.isfinite(found[side]).all()
        assert agreement(found[side], LABELS).mean() > 0.9
    again = project(clusters(LABELS, 16, seed=1), clusters(LABELS, 8, seed=2), LABELS)
    np.testing.assert_array_equal(found["after"], again["after"])
    np.testing.assert_array_equal(found["before"], again["before"])


def test_another_seed_draws_other_rows():
    features = clusters(LABELS, 2)
    drawn = [project(None, features, LABELS, seed=seed, most=20)["rows"].tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("labels", [None, "strings"])
def test_stratified_rows(labels):
    many = np.repeat([0, 1, 2], [700, 200, 100])
    named = None if labels is None else [f"label {i}" for i in many]
    rows = stratified(1000, named, 100, 0)
    assert len(set(rows.tolist())) == 100
    assert (np.diff(rows) > 0).all()
    if labels is not None:
        assert np.bincount(many[rows]).tolist() == [70, 20, 10]
    assert stratified(7, named and named[:7], 100, 0).tolist() == list(range(7))
    # A label with fewer rows than one in so many may miss out; one with as many never does.
    assert set(np.repeat(np.arange(10), 30)[stratified(300, np.repeat(np.arange(10), 30), 10, 3)]) == set(range(10))


def test_two_and_three_numbers_are_shown_themselves():
    turn = np.linspace(0, 6, 40)
    circle = np.stack((np.cos(turn), np.sin(turn)), axis=1).astype(np.float32)
    sphere = np.random.default_rng(0).normal(size=(40, 3))
    sphere = (sphere / np.linalg.norm(sphere, axis=1, keepdims=True)).astype(np.float32)
    found = project(sphere, circle, None)
    np.testing.assert_array_equal(found["after"], circle)
    assert (found["before_kind"], found["after_kind"]) == (
        "seen from one side",
        "plane",
    )  # raw features lie on no sphere
    assert project(None, sphere, None)["after_kind"] == "sphere"
    # One view of a sphere: inside the unit circle, and lengths never grow.
    assert (np.linalg.norm(found["before"], axis=1) <= 1 + 1e-6).all()
    assert np.linalg.matrix_rank(found["before"]) == 2
    assert project(None, circle[:, :1], None)["after"].shape == (40, 2)


@pytest.mark.parametrize("rows", [1, 3])
def test_too_few_rows_are_no_map(rows):
    assert project(None, np.ones((rows, 8), dtype=np.float32), None) is None


@pytest.mark.parametrize("rows", [4, 5, 12])
def test_tiny_data(rows):
    features = np.random.default_rng(1).normal(size=(rows, 8)).astype(np.float32)
    found = project(features, features, np.zeros(rows))
    assert found["after"].shape == (rows, 2)
    assert np.isfinite(found["after"]).all()


def test_equal_features_fall_on_one_point():
    found = project(None, np.ones((50, 8), dtype=np.float32), None)
    assert not found["after"].any()


def test_features_that_differ_in_one_number_only():
    features = np.zeros((30, 8), dtype=np.float32)
    features[:, 3] = np.arange(30)
    assert np.isfinite(project(None, features, None)["after"]).all()


def test_agreement_equals_a_plain_search():
    random = np.random.default_rng(3)
    points = random.normal(size=(1100, 2)).astype(np.float32) + 1000
    labels = random.integers(0, 3, 1100)
    distances = ((points[:, None, :].astype(np.float64) - points[None]) ** 2).sum(2)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(agreement(points, labels), labels[distances.argmin(1)] == labels)
