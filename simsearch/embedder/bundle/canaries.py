"""Canaries: a few pictures of a corpus as its build prepared them, and their features, embedded again later.

The same bundle on the same pixels gives the same features; where it does not (another ONNX Runtime, another CPU), what
is embedded from now on is searched among vectors of another kind, and nothing else says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simsearch.arrays import Floats, Integers, Pixels
from simsearch.artifacts import Artifact
from simsearch.embedder.bundle.trained import open_trained, preprocess_of
from simsearch.embedder.networks.proof import LEAST_COSINE, cosines
from simsearch.errors import ArtifactError
from simsearch.versions import versions

FILE = "canaries.npz"  # of an embed artifact; those made before have none
MOST = 16
MOST_BYTES = 16 << 20
RUNTIME = "onnxruntime"
BATCH = 4


@dataclass(frozen=True)
class Canaries:
    """`rows` (n,) int64, -1 for a picture that is gone; `pixels` (n, S, S, C) uint8, `features` (n, dim) float32."""

    rows: Integers
    pixels: Pixels
    features: Floats

    def at(self, kept: Integers) -> Canaries:
        """Return them where the rows `kept` (m,), ascending, are rows 0 to m - 1 now."""
        places = np.searchsorted(kept, self.rows)
        found = np.append(kept, -1)[places] == self.rows
        return replace(self, rows=np.where(found & (self.rows >= 0), places, -1).astype(np.int64))

    @property
    def flat(self) -> bool:
        """Whether all pictures are nearly the same: no two of them are a level of 255 apart on average."""
        apart = np.abs(self.pixels.astype(np.int16) - self.pixels[:1].astype(np.int16))
        return bool(apart.reshape(len(apart), -1).mean(axis=1).max() < 1)


def count(size: int, channels: int) -> int:
    """Return how many pictures of such a side are kept: at most 16, and no more than 16 MB of them."""
    return max(1, min(MOST, MOST_BYTES // (size * size * channels)))


def keep(folder: Path, canaries: Canaries) -> None:
    """Write canaries.npz into a folder; the same canaries have the same bytes."""
    with (folder / FILE).open("wb") as file:
        np.savez(file, rows=canaries.rows, pixels=canaries.pixels, features=canaries.features)


def kept(embedded: Artifact) -> Canaries | None:
    """Return the canaries of an embed artifact; None where it was made before there were any."""
    if FILE not in embedded.manifest["files"]:
        return None
    with np.load(embedded.file(FILE), allow_pickle=False) as stored:
        return Canaries(stored["rows"], stored["pixels"], stored["features"])


def least_cosine(embedded: Artifact, trained: Artifact) -> float | None:
    """Return the least cosine of the kept features and those that `trained` gives here; None without canaries."""
    canaries = kept(embedded)
    if canaries is None:
        return None
    preprocess, network = preprocess_of(trained), open_trained(trained, threads=1)
    parts = range(0, len(canaries.pixels), BATCH)
    found = [network.features(preprocess.normalize(canaries.pixels[start : start + BATCH])) for start in parts]
    return float(cosines(np.concatenate(found), canaries.features).min())


def check_canaries(embedded: Artifact, trained: Artifact, build: str) -> float | None:
    """Return that least cosine; raises ArtifactError below 0.9999: new features would be of another kind."""
    least = least_cosine(embedded, trained)
    if least is None or least >= LEAST_COSINE:
        return least
    then, now = (found.get(RUNTIME) for found in (embedded.manifest["versions"], versions()))
    moved = f"ONNX Runtime {then} then, {now} here" if then != now else f"ONNX Runtime {now} as then: another CPU?"
    raise ArtifactError(
        f"the embedder of build {build} gives other features on this machine than those that its corpus was embedded "
        f"with: least cosine {least:.5f} on pixels that were kept (expected at least {LEAST_COSINE}; {moved})",
        hint=f"install that version again, or go on where it was built; to embed all of it here, move {embedded.path} "
        "away: then simsearch build --retrain, with the recipe or folder of this build, makes it anew",
    )
