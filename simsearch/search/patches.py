"""A picture scored by its patches, and the places of a defect drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simsearch.arrays import Pixels
from simsearch.defects.bank import PatchBank
from simsearch.defects.heatmap import overlay
from simsearch.defects.maps import Mapper, enlarged
from simsearch.embedder.bundle.inner_network import InnerNetwork
from simsearch.images.preprocess import Preprocess

AS_IT_IS = 1 << 20  # px: a picture is not decoded smaller


class ByPatches:
    """The defect score of the worst patches; `patch` is the table [defects.patch] that the bank was fitted with."""

    at_least: int | None = AS_IT_IS
    draws = True

    def __init__(
        self, model: bytes, arrays: Mapping[str, Any], preprocess: Preprocess, patch: Mapping[str, Any]
    ) -> None:
        network = InnerNetwork(model, threads=1)  # several pictures beside each other are faster
        self._mapper = Mapper(network, preprocess, patch["sides"], local=patch["local"])
        self._bank = PatchBank.from_arrays(arrays)

    def score(self, pixels: Pixels) -> float:
        """Return the defect score of a picture (H, W) or (H, W, 3) uint8."""
        return float(self._bank.scores([self._mapper.maps(pixels)])[0])

    def look(self, pixels: Pixels, threshold: float) -> tuple[float, Pixels]:
        """Return the defect score, and (H, W, 3) uint8: the picture under the heat of its places."""
        heat, score = self._bank.look(self._mapper.maps(pixels))
        height, width = pixels.shape[:2]
        fine = enlarged(heat, height, width, self._bank.before)
        return score, overlay(pixels, fine, threshold, defective=score >= threshold, normal=float(np.median(heat)))
