"""The train stage: settings and images to an embedder bundle (weights, ONNX, JSON)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..artifacts import Workspace
from ..console import Stage, say
from ..embedder.backbones import Embedder, build_embedder
from ..embedder.catalog import find_backbone
from ..embedder.export import export_onnx
from ..embedder.extract import extract
from ..embedder.loading import pending_download
from ..embedder.losses import L2Softmax, alpha_warning, make_loss
from ..embedder.mining import BalancedSampler, shuffled_batches
from ..embedder.prepare import Prepare, make_prepare, shifted
from ..embedder.saving import save_weights
from ..embedder.training import Fetch
from ..embedder.training import train as run_training
from ..errors import VectorsError
from ..images.loading import PixelStore, pixel_batches
from ..images.preprocess import Preprocess, data_mean_std
from ..vectors.exact import exact_search
from ..vectors.normalize import normalize
from .common import THREADS, Data, Frozen, Indices

VAL_IMAGES = 1000  # val recall@1 is a progress figure: a seeded part of the rows is enough
VAL_GALLERY = 4000
CLASSES_PER_BATCH = 10
MEMORY_SHARE = 0.4


def freeze(space: Workspace, data: Data, settings: dict[str, Any], weights: str) -> dict[str, Any]:
    """The backbone as it is, without a head: features are its own."""
    preprocess = _preprocess(settings, data)
    backbone = settings["embedder"]["backbone"]
    _announce_download(backbone, weights)
    model = build_embedder(backbone, None, weights=weights, seed=settings["seed"], size=preprocess.size)
    _write_bundle(space, model, preprocess, [], None)
    return {"dim": model.dim}


def train(
    space: Workspace, data: Data, settings: dict[str, Any], weights: str, frozen: Frozen | None, progress: Stage
) -> dict[str, Any]:
    """Train one embedder; with `frozen`, only a linear head on that backbone's cached features."""
    embedder, training, table = settings["embedder"], settings["training"], settings["loss"]
    seed = training["seed"]
    records = [r for r in data.records() if r.fit or r.val]
    classes = sorted({r.label for r in records if r.fit})
    number = {label: i for i, label in enumerate(classes)}
    labels = np.array([number.get(r.label, -1) for r in records], dtype=np.int64)
    fit = np.flatnonzero([r.fit for r in records])
    val = np.flatnonzero([r.val for r in records])

    preprocess = frozen.preprocess if frozen else _preprocess(settings, data)
    _announce_download(embedder["backbone"], weights)
    model = build_embedder(embedder["backbone"], embedder["dim"], weights=weights, seed=seed, size=preprocess.size)
    loss = make_loss(table, embedder["dim"], len(classes), seed)
    warning = alpha_warning(table["alpha"], len(classes)) if "alpha" in table else None
    if warning:
        say(f"warning: {warning}")
    learner: Any = model
    prepare: Prepare | None = None
    fetch: Fetch
    if frozen:
        cached = frozen.features(np.array([r.row for r in records], dtype=np.int64))
        learner, fetch = model.head, cached.__getitem__
    else:
        store = PixelStore(data.reader, records, preprocess, threads=THREADS, memory_limit=_memory_limit())
        prepare, fetch = make_prepare(preprocess.mean, preprocess.std), store.fetch

    recall_at_1 = _recall_at_1(
        lambda rows: extract(learner, fetch, rows, prepare), labels, val, fit, raw=table["name"] == "softmax"
    )
    trained = run_training(
        learner,
        loss,
        fetch=lambda indices: fetch(fit[indices]),
        labels=labels[fit],
        batches=_batches(table, training, labels[fit]),
        epochs=training["epochs"],
        partial=space.scratch,
        prepare=shifted(prepare, training["shift"]) if prepare and training["shift"] else prepare,
        learning_rate=training["learning_rate"],
        weight_decay=training["weight_decay"],
        seed=seed,
        validate=recall_at_1 if len(val) else None,
        progress=lambda done, total, note: progress(done, total),
        freeze_batch_norm=weights != "none",
        threads=THREADS,
    )
    alpha = float(loss.alpha.detach()) if isinstance(loss, L2Softmax) else None
    _write_bundle(space, model, preprocess, classes, alpha)
    # Seconds would give each run other bits, and make what follows look stale.
    rows = [{key: value for key, value in row.items() if "second" not in key} for row in trained.metrics]
    (space.out / "metrics.jsonl").write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    return {"dim": model.dim, "classes": len(classes), **trained.info}


def _announce_download(backbone: str, weights: str) -> None:
    pending = pending_download(backbone) if weights == "default" else None
    if pending:
        say(f"Downloading weights: {pending}")


def _batches(table: dict[str, Any], training: dict[str, Any], labels: Indices) -> Callable[[int], Iterator[Indices]]:
    if "classes_per_batch" in table:
        classes = table["classes_per_batch"] or min(CLASSES_PER_BATCH, len(np.unique(labels)))
        sampler = BalancedSampler(labels, classes, table["images_per_class"], training["seed"])
        if sampler.short_classes:
            images = table["images_per_class"]
            say(f"{sampler.short_classes} classes have fewer than {images} fit images: drawn with replacement")
        return sampler.batches
    return lambda epoch: shuffled_batches(len(labels), training["batch_size"], training["seed"], epoch)


def _recall_at_1(
    features: Callable[[Indices], Any], labels: Indices, val: Indices, fit: Indices, *, raw: bool
) -> Callable[[], float]:
    """A function that gives recall@1 of val rows among fit rows, both a seeded part.

    `raw` compares raw features by L2 (plain softmax), else embeddings by inner product.
    """
    random = np.random.default_rng(0)
    queries, gallery = random.permutation(val)[:VAL_IMAGES], random.permutation(fit)[:VAL_GALLERY]

    def recall_at_1() -> float:
        searched, base = features(queries), features(gallery)
        try:
            if not raw:
                searched, base = normalize(searched), normalize(base)
            nearest = np.concatenate(
                [rows[:, 0] for _, _, rows in exact_search(searched, base, 1, "l2" if raw else "ip")]
            )
        except VectorsError:  # collapsed or exploded features; the loss says so in its own time
            return 0.0
        return float((labels[gallery[nearest]] == labels[queries]).mean())

    return recall_at_1


def _preprocess(settings: dict[str, Any], data: Data) -> Preprocess:
    """The preprocessing of the settings; mean and std that nobody gave are measured on the fit images."""
    images = settings["images"]
    channels = find_backbone(settings["embedder"]["backbone"]).channels
    unit = [1.0] * channels
    mean, std = images["mean"], images["std"]
    if mean is None or std is None:
        plain = Preprocess(images["size"], channels, images["resize"], tuple(unit), tuple(unit))
        looked_at = (r for r in data.records() if r.fit or not data.facts["fit"])
        batches = pixel_batches(data.reader, looked_at, plain, batch=256, threads=THREADS)
        measured_mean, measured_std = data_mean_std(pixels for _, pixels in batches)
        mean, std = mean or measured_mean, std or measured_std
    return Preprocess(images["size"], channels, images["resize"], tuple(mean), tuple(std))


def _write_bundle(
    space: Workspace, model: Embedder, preprocess: Preprocess, classes: list[str], alpha: float | None
) -> None:
    save_weights(model, space.out / "weights.safetensors", mean=preprocess.mean, std=preprocess.std)
    export_onnx(model, space.out / "embedder.onnx", size=preprocess.size, channels=preprocess.channels)
    bundle = {
        "schema": 1,
        "backbone": model.name,
        "dim": model.dim,
        "alpha": alpha,
        "preprocessing": preprocess.to_json(),
        "classes": classes,
    }
    (space.out / "embedder.json").write_text(json.dumps(bundle, indent=1))


def _memory_limit() -> int:
    """Bytes of images that may be held in memory: a share of the machine's."""
    return int(MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
