"""normalize: unit rows for anything that has a direction, a named error for anything that has none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simsearch.errors import VectorsError
from simsearch.vectors.normalize import normalize, norms

FINITE = st.floats(min_value=-(2.0**120), max_value=2.0**120, width=32)


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=FINITE))
def test_every_row_with_a_direction_becomes_a_unit_row(features):
    features[np.abs(features).max(axis=1) == 0] = 1
    embeddings = normalize(features)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings.astype(np.float64), axis=1), 1, atol=1e-6)
    largest = np.abs(features).argmax(axis=1)[:, None]
    assert (
        np.sign(np.take_along_axis(embeddings, largest, 1)) == np.sign(np.take_along_axis(features, largest, 1))
    ).all()


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-20, 1.0, 1e20, 3e38])
def test_huge_and_tiny_rows_keep_their_direction(scale):
    features = np.full((2, 4), scale, dtype=np.float32)
    np.testing.assert_allclose(normalize(features), 0.5, rtol=1e-6)
    np.testing.assert_allclose(norms(features), 2 * features[:, 0].astype(np.float64), rtol=1e-12)


@pytest.mark.parametrize(("bad", "word"), [(0.0, "zero"), (np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_a_row_without_direction_is_refused_by_name(bad, word):
    features = np.ones((5, 3), dtype=np.float32)
    features[3] = bad
    with pytest.raises(VectorsError, match=rf"a/3\.png.*{word}"):
        normalize(features, name=lambda row: f"a/{row}.png")
    with pytest.raises(VectorsError, match="row 3"):
        normalize(features)


def test_a_wrong_shape_is_named():
    with pytest.raises(VectorsError, match=r"\(N, D\), seen \(4,\)"):
        normalize(np.ones(4, dtype=np.float32))


def test_no_rows_are_no_error():
    assert normalize(np.empty((0, 3), dtype=np.float32)).shape == (0, 3)
