"""The map from a process of its own is the one that this process makes, also where that process came to nothing."""

import numpy as np
import pytest
from test_evaluation_projection import LABELS, clusters

from simsearch.evaluation.details import beside as room
from simsearch.evaluation.details.beside import Beside
from simsearch.evaluation.details.projection import project

NAMES = [f"label {label}" for label in LABELS]


def same(one, other):
    assert list(one) == list(other), "files are compared by their bytes"
    for key, value in one.items():
        np.testing.assert_array_equal(value, other[key])


@pytest.mark.parametrize("before", [True, False])
def test_the_same_map(before):
    features = (clusters(LABELS, 16, seed=1) if before else None), clusters(LABELS, 8, seed=2)
    with Beside() as beside:
        same(beside.project(*features, NAMES), project(*features, NAMES))
        beside.start()
        process = beside._process
        beside.start()
        assert beside._process is process, "one is enough"
        same(beside.project(*features, NAMES), project(*features, NAMES))
        assert process.returncode is not None, "it has made its map"


def test_rows_are_drawn_here(monkeypatch):
    monkeypatch.setattr(room, "MOST", 60)
    features = clusters(LABELS, 2, seed=1), clusters(LABELS, 3, seed=2)
    with Beside() as beside:
        beside.start()
        same(beside.project(*features, NAMES), project(*features, NAMES, most=60))


@pytest.mark.parametrize("child", ["raise ImportError('no scikit-learn')", "print('a word')", None])
def test_a_process_that_comes_to_nothing(monkeypatch, child):
    if child is not None:
        monkeypatch.setattr(room, "CHILD", child)
    features = clusters(LABELS, 3, seed=1), clusters(LABELS, 2, seed=2)
    with Beside() as beside:
        beside.start()
        if child is None:
            beside._process.kill()
        same(beside.project(*features, NAMES), project(*features, NAMES))


def test_too_few_rows_and_a_single_core(monkeypatch):
    with Beside() as beside:
        beside.start()
        assert beside.project(None, clusters(LABELS, 8)[:3], NAMES[:3]) is None
        process = beside._process
    assert process.returncode is not None, "it ends with its owner"
    monkeypatch.setattr(room, "usable_cores", lambda: 1)
    with Beside() as beside:
        beside.start()
        assert beside._process is None
