"""The embed stage: raw features of every row, by the same bundle and preprocessing that a query uses."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

from ..artifacts import Artifact, Workspace
from ..console import Stage
from ..embedder.runtime import Runtime
from ..images.loading import in_order, pieces
from ..images.preprocess import Preprocess
from ..images.records import ImageRecord
from ..vectors.features import FeatureBlocks, FeatureFile
from .common import BLOCK_ROWS, THREADS, Data, Features, Frozen, bundle_of

MOST_IMAGES = 32  # a batch
# As network input; larger batches fall out of the caches: photos of 224 px went 1.25 times as fast by 8 as by 64.
BATCH_BYTES = 5 << 20
CHECKED_IMAGES = 1000
LEAST_COSINE = 0.9999


class Head(NamedTuple):
    """A linear layer, weight (dim, width) and bias (dim,), and the frozen backbone that it was trained on."""

    weight: Features
    bias: Features
    frozen: Frozen


def embed(space: Workspace, data: Data, trained: Artifact, frozen: Frozen | None, progress: Stage) -> dict[str, Any]:
    """Write features.h5, resuming from the blocks that an earlier run left.

    With `frozen`, the trained head is applied to that backbone's cached features instead of running the bundle on
    every image, once the least cosine of the two on 1,000 images is at least 0.9999.
    """
    bundle, preprocess = bundle_of(trained)
    rows = int(data.facts["images"])
    blocks = FeatureBlocks(space.scratch, rows, int(bundle["dim"]), BLOCK_ROWS)
    runtime = Runtime(trained.file("embedder.onnx"), threads=1)
    batch = batch_size(runtime)

    through_bundle = bundle_features(data, runtime, preprocess)
    head = None if frozen is None else _head(trained, frozen)
    through = "onnxruntime"
    if head is not None and _agrees(data, head, through_bundle, batch):
        through = "head on cached features"
        _write_by_head(blocks, head, progress)
    missing = {start for start, _ in blocks.missing()}
    for records in pieces(data.records(), BLOCK_ROWS):
        if (start := records[0].row) in missing:
            parts: list[Features] = []
            for part in in_order(through_bundle, pieces(records, batch), THREADS):
                parts.append(part)
                progress(start + sum(map(len, parts)), rows)
            blocks.write(start, np.concatenate(parts))
    blocks.join(space.out / "features.h5")
    return {"rows": rows, "dim": int(bundle["dim"]), "through": through}


def batch_size(runtime: Runtime) -> int:
    """How many images of a bundle's size make a batch that stays in the caches."""
    return max(1, min(MOST_IMAGES, BATCH_BYTES // (4 * math.prod(runtime.input_shape))))


def bundle_features(data: Data, runtime: Runtime, preprocess: Preprocess) -> Callable[[list[ImageRecord]], Features]:
    """A function that gives the raw features (n, D) of a batch of records, by a bundle and its preprocessing."""

    def features(records: list[ImageRecord]) -> Features:
        pixels = np.stack([preprocess.fit(data.reader.array(r.image, preprocess.size, r.sha256)) for r in records])
        return runtime.features(preprocess.normalize(pixels))

    return features


def _head(trained: Artifact, frozen: Frozen) -> Head:
    weights = load_file(trained.file("weights.safetensors"))
    return Head(weights["head.weight"], weights["head.bias"], frozen)


def _apply(head: Head, features: Features) -> Features:
    return np.asarray(features @ head.weight.T + head.bias, dtype=np.float32)


def _agrees(data: Data, head: Head, through_bundle: Callable[[list[ImageRecord]], Features], batch: int) -> bool:
    """Whether the head on cached features gives what the bundle gives, on images spread over all rows."""
    step = max(1, int(data.facts["images"]) // CHECKED_IMAGES)
    chosen = list(islice(islice(data.records(), 0, None, step), CHECKED_IMAGES))
    bundle = np.concatenate(list(in_order(through_bundle, pieces(chosen, batch), THREADS))).astype(np.float64)
    cached = _apply(head, head.frozen.features(np.array([r.row for r in chosen], dtype=np.int64))).astype(np.float64)
    lengths = np.linalg.norm(bundle, axis=1) * np.linalg.norm(cached, axis=1)
    return bool((np.einsum("nd,nd->n", bundle, cached) >= LEAST_COSINE * lengths).all())


def _write_by_head(blocks: FeatureBlocks, head: Head, progress: Stage) -> None:
    with FeatureFile(head.frozen.embedded.file("features.h5")) as file:
        for start, stop in blocks.missing():
            blocks.write(start, _apply(head, file.read(start, stop)))
            progress(stop, blocks.rows)
