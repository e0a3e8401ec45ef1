"""The train stage: settings and images to an embedder bundle (weights, ONNX, JSON)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from simsearch.arrays import Integers
from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress, say
from simsearch.embedder.losses.alpha import alpha_warning
from simsearch.embedder.losses.losses import L2Softmax, make_loss
from simsearch.embedder.networks.backbones import build_embedder
from simsearch.embedder.networks.catalog import find_backbone
from simsearch.embedder.networks.saving import save_loss, start_from_head
from simsearch.embedder.training.augment import augmented, stored_size
from simsearch.embedder.training.extract import Fetch, extract, fetch_from
from simsearch.embedder.training.loop import train as run_training
from simsearch.embedder.training.precision import choose_device, choose_precision
from simsearch.embedder.training.prepare import Prepare, make_prepare
from simsearch.embedder.training.rotation import rotated, rotated_labels
from simsearch.embedder.training.sampling import BalancedSampler, shuffled_batches
from simsearch.embedder.training.schedule import Rates
from simsearch.images.loading import PixelStore
from simsearch.images.preprocess import Preprocess
from simsearch.images.records import ImageRecord
from simsearch.page.plots import training_curves
from simsearch.stages.bundle import announce_download, preprocess_of, write_bundle
from simsearch.stages.common import THREADS, Data, Frozen
from simsearch.stages.validation import recall_at_1

VAL_GALLERY = 4000
VAL_GALLERY_OF_PHOTOS = 1000  # embedding more through a deep backbone would take as long as an epoch
CLASSES_PER_BATCH = 10
MEMORY_SHARE = 0.25  # for each of the two sizes that images may be kept at


def freeze(space: Workspace, data: Data, settings: dict[str, Any], weights: str) -> dict[str, Any]:
    """The backbone as it is, without a head: features are its own."""
    preprocess = preprocess_of(settings, data)
    backbone = settings["embedder"]["backbone"]
    announce_download(backbone, weights)
    model = build_embedder(backbone, None, weights=weights, seed=settings["seed"], size=preprocess.size)
    write_bundle(space, model, preprocess, [], None)
    return {"dim": model.dim}


def train(
    space: Workspace,
    data: Data,
    settings: dict[str, Any],
    weights: str,
    *,
    frozen: Frozen | None,
    start: Artifact | None,
    progress: Progress,
) -> dict[str, Any]:
    """Train one embedder; with `frozen`, only a linear head on that backbone's cached features.

    `start`: a trained head to begin from.
    """
    embedder, training, table = settings["embedder"], settings["training"], settings["loss"]
    seed = training["seed"]
    records = [r for r in data.records() if r.fit or r.val]
    classes = sorted({r.label for r in records if r.fit})
    number = {label: i for i, label in enumerate(classes)}
    labels = np.array([number.get(r.label, -1) for r in records], dtype=np.int64)
    fit = np.flatnonzero([r.fit for r in records])
    val = np.flatnonzero([r.val for r in records])
    learnt = rotated_labels(labels[fit], len(classes)) if training["rotate_classes"] else labels[fit]

    preprocess = frozen.preprocess if frozen else preprocess_of(settings, data)
    announce_download(embedder["backbone"], weights)
    model = build_embedder(embedder["backbone"], embedder["dim"], weights=weights, seed=seed, size=preprocess.size)
    loss = make_loss(table, embedder["dim"], int(learnt.max()) + 1, seed)
    if start:
        start_from_head(model, loss, start.file("weights.safetensors"), start.file("loss.safetensors"))
    warning = alpha_warning(table["alpha"], int(learnt.max()) + 1) if "alpha" in table else None
    if warning:
        say(f"warning: {warning}")
    device = choose_device()
    learner: Any = model.head if frozen else model
    prepare: Prepare | None = None
    if frozen:
        cached = frozen.features(np.array([r.row for r in records], dtype=np.int64))
        fetch: Fetch = fetch_from(cached, device)
    else:
        prepare = make_prepare(preprocess.mean, preprocess.std)
        fetch = _fetch_pixels(data, records, preprocess, device)
    watched = recall_at_1(
        lambda rows: extract(
            learner, fetch, rows, prepare, precision=choose_precision(device) if prepare else "float32"
        ),
        labels,
        val,
        fit,
        gallery=VAL_GALLERY_OF_PHOTOS if prepare and find_backbone(embedder["backbone"]).deep else VAL_GALLERY,
        raw=table["name"] == "softmax",
    )

    fetch_fit: Fetch = lambda indices: fetch(fit[indices])  # noqa: E731 - one of two
    larger = stored_size(settings["augmentation"], preprocess.size) if prepare else preprocess.size
    if larger > preprocess.size:
        fetch_fit = _fetch_pixels(data, [records[i] for i in fit], replace(preprocess, size=larger), device)

    if training["patience"] and not len(val):
        say("No val rows to watch: all epochs are trained, and the last is kept")
    trained = run_training(
        learner,
        loss,
        fetch=rotated(fetch_fit, len(fit)) if training["rotate_classes"] else fetch_fit,
        labels=learnt,
        batches=_batches(table, training, learnt),
        epochs=training["epochs"],
        partial=space.scratch,
        prepare=augmented(prepare, settings["augmentation"], preprocess.size) if prepare else None,
        rates=Rates(
            training["learning_rate"], training["head_learning_rate"], training["weight_decay"], training["schedule"]
        ),
        patience=training["patience"],
        seed=seed,
        validate=watched if len(val) else None,
        progress=lambda done, total, note: progress(done, total),
        freeze_batch_norm=training["freeze_batch_norm"],
        threads=THREADS,
    )
    write_bundle(space, model, preprocess, classes, float(loss.alpha.detach()) if isinstance(loss, L2Softmax) else None)
    if frozen:
        save_loss(loss, space.out / "loss.safetensors")
    # Seconds would give each run other bits, and make what follows look stale.
    rows = [{key: value for key, value in row.items() if "second" not in key} for row in trained.metrics]
    (space.out / "metrics.jsonl").write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    training_curves(rows, space.out / "training.png")
    return {
        "dim": model.dim,
        "classes": len(classes),
        "epochs": len(rows),
        "kept": trained.kept,
        "images": len(records),
        **trained.info,
    }


def _fetch_pixels(data: Data, records: list[ImageRecord], preprocess: Preprocess, device: Any) -> Fetch:
    """A fetch of preprocessed images, from memory where they fit."""
    store = PixelStore(data.reader, records, preprocess, threads=THREADS, memory_limit=_memory_limit())
    return store.fetch if store.pixels is None else fetch_from(store.pixels, device)


def _batches(table: dict[str, Any], training: dict[str, Any], labels: Integers) -> Callable[[int], Iterator[Integers]]:
    if "classes_per_batch" not in table:
        return lambda epoch: shuffled_batches(len(labels), training["batch_size"], training["seed"], epoch)
    classes = table["classes_per_batch"] or min(CLASSES_PER_BATCH, len(np.unique(labels)))
    sampler = BalancedSampler(labels, classes, table["images_per_class"], training["seed"])
    if sampler.short_classes:
        images = table["images_per_class"]
        say(f"{sampler.short_classes} classes have fewer than {images} fit images: drawn with replacement")
    return sampler.batches


def _memory_limit() -> int:
    """Bytes of images that may be held in memory: a share of the machine's."""
    return int(MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
