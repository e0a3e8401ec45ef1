"""uint8 images to network input: the same numbers as the preprocessing of queries."""

from __future__ import annotations

import numpy as np
import torch

from simsearch.embedder.training.extract import make_prepare
from simsearch.images.preprocess import Preprocess


def test_prepare_is_the_preprocessing_of_queries():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    there = Preprocess(8, 3, "squash", mean, std).normalize(images)
    here = make_prepare(mean, std)(torch.from_numpy(images)).numpy()
    assert here.shape == (5, 3, 8, 8)
    np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5)
