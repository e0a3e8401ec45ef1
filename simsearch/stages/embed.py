"""The embed stage: raw features of every row, by the same bundle and preprocessing that a query uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
from safetensors.numpy import load_file

from ..artifacts import Artifact, Workspace
from ..console import Stage
from ..embedder.runtime import Runtime
from ..images.records import ImageRecord
from ..vectors.features import FeatureBlocks, FeatureFile
from .common import BLOCK_ROWS, THREADS, Data, Features, Frozen, bundle_of

BATCH = 64
CHECKED_IMAGES = 1000
LEAST_COSINE = 0.9999


class Head(NamedTuple):
    """A linear layer, weight (dim, width) and bias (dim,), and the frozen backbone that it was trained on."""

    weight: Features
    bias: Features
    frozen: Frozen


T = TypeVar("T")
R = TypeVar("R")


def embed(space: Workspace, data: Data, trained: Artifact, frozen: Frozen | None, progress: Stage) -> dict[str, Any]:
    """Write features.h5, resuming from the blocks that an earlier run left.

    With `frozen`, the trained head is applied to that backbone's cached features instead of running the bundle on
    every image, once the least cosine of the two on 1,000 images is at least 0.9999.
    """
    bundle, preprocess = bundle_of(trained)
    rows = int(data.facts["images"])
    blocks = FeatureBlocks(space.scratch, rows, int(bundle["dim"]), BLOCK_ROWS)
    runtime = Runtime(trained.file("embedder.onnx"), threads=1)

    def through_bundle(records: list[ImageRecord]) -> Features:
        pixels = np.stack([preprocess.fit(data.reader.array(r.image, preprocess.size, r.sha256)) for r in records])
        return runtime.features(preprocess.normalize(pixels))

    head = None if frozen is None else _head(trained, frozen)
    through = "onnxruntime"
    with ThreadPoolExecutor(THREADS) as pool:
        if head is not None and _agrees(data, head, lambda batches: in_order(pool, through_bundle, batches)):
            through = "head on cached features"
            _write_by_head(blocks, head, progress)
        for start, stop in blocks.missing():
            parts: list[Features] = []
            records = islice(data.records(), start, stop)
            for part in in_order(pool, through_bundle, _batched(records)):
                parts.append(part)
                progress(start + sum(map(len, parts)), rows)
            blocks.write(start, np.concatenate(parts))
    blocks.join(space.out / "features.h5")
    return {"rows": rows, "dim": int(bundle["dim"]), "through": through}


def in_order(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results of `work` on each item, in order, with a few in flight at a time, so that memory stays bounded."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _batched(records: Iterable[ImageRecord]) -> Iterator[list[ImageRecord]]:
    records = iter(records)
    while batch := list(islice(records, BATCH)):
        yield batch


def _head(trained: Artifact, frozen: Frozen) -> Head:
    weights = load_file(trained.file("weights.safetensors"))
    return Head(weights["head.weight"], weights["head.bias"], frozen)


def _apply(head: Head, features: Features) -> Features:
    return np.asarray(features @ head.weight.T + head.bias, dtype=np.float32)


def _agrees(data: Data, head: Head, run: Callable[[Iterable[list[ImageRecord]]], Iterator[Features]]) -> bool:
    """Whether the head on cached features gives what the bundle gives, on images spread over all rows."""
    step = max(1, int(data.facts["images"]) // CHECKED_IMAGES)
    chosen = list(islice(islice(data.records(), 0, None, step), CHECKED_IMAGES))
    bundle = np.concatenate(list(run(_batched(chosen)))).astype(np.float64)
    cached = _apply(head, head.frozen.features(np.array([r.row for r in chosen], dtype=np.int64))).astype(np.float64)
    lengths = np.linalg.norm(bundle, axis=1) * np.linalg.norm(cached, axis=1)
    return bool((np.einsum("nd,nd->n", bundle, cached) >= LEAST_COSINE * lengths).all())


def _write_by_head(blocks: FeatureBlocks, head: Head, progress: Stage) -> None:
    with FeatureFile(head.frozen.embedded.file("features.h5")) as file:
        for start, stop in blocks.missing():
            blocks.write(start, _apply(head, file.read(start, stop)))
            progress(stop, blocks.rows)
