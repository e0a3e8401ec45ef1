"""How the train stage trains, and makes a bundle of a backbone alone. Loads torch: train.py only when it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.embedder.bundle.export import export_head, export_onnx
from simsearch.embedder.bundle.trained import HEAD, WHOLE, preprocess_of
from simsearch.embedder.losses.losses import L2Softmax, alpha_warning, make_loss
from simsearch.embedder.networks.embedder import Embedder, Learner, drawn_head
from simsearch.embedder.networks.saving import head_of, save_head, save_loss, save_weights, start_from_head
from simsearch.embedder.training.augment import Changes, augmented, stored_size
from simsearch.embedder.training.extract import (
    Fetch,
    Prepare,
    extract,
    fetch_from,
    make_prepare,
    rotated,
    rotated_labels,
)
from simsearch.embedder.training.group import ALONE, Group
from simsearch.embedder.training.loop import learns_batch_norm
from simsearch.embedder.training.loop import train as run_training
from simsearch.embedder.training.precision import choose_device, choose_precision, named
from simsearch.embedder.training.schedule import Rates
from simsearch.errors import VectorsError
from simsearch.evaluation.collapse import spread
from simsearch.images.loading import PixelStore
from simsearch.images.preprocess import Preprocess
from simsearch.images.records import ImageRecord
from simsearch.page.charts import svg_file, training_chart
from simsearch.recipe import Recipe, filled
from simsearch.recipe.loss import PML_PREFIX, L2SoftmaxLoss, Loss, PmlLoss, QuadrupletLoss, TripletLoss
from simsearch.recipe.tables import Training
from simsearch.stages.batches import batches_of
from simsearch.stages.common import CURVES, THREADS, Data, Frozen
from simsearch.stages.network import built_network, describe, made_for
from simsearch.stages.proof import prove_features, prove_pixels
from simsearch.stages.starting import Starting
from simsearch.stages.step import Result
from simsearch.vectors.exact import exact_search
from simsearch.vectors.normalize import normalize

VAL_IMAGES = 1000  # a progress figure: a seeded part of the rows is enough
VAL_GALLERY = 4000
VAL_GALLERY_OF_PHOTOS = 1000  # embedding more through a deep backbone would take as long as an epoch
# Losses of pytorch-metric-learning at one point, measured there: the sum of these options, at their defaults.
PML_MARGINS = {
    "TripletMarginLoss": {"margin": 0.05},
    "ContrastiveLoss": {"neg_margin": 1.0},
    "MarginLoss": {"margin": 0.2, "beta": 1.2},
}
NEARLY_ONE_POINT, AT_MARGIN = 0.95, 0.01  # mean cosine, and how near to its margin a loss stands
MEMORY_SHARE = 0.25  # for each of the two sizes that images may be kept at


def train_embedder(
    data: Data,
    recipe: Recipe,
    weights: Starting,
    frozen: Frozen | None,
    start: Artifact | None,
    proved: bool,
    space: Workspace,
    progress: Progress,
    group: Group = ALONE,
) -> Result:
    """Train one embedder from `weights`; with `frozen`, only a linear head on that backbone's cached features.

    `start`: a trained head to begin from. `proved`: its weights need no proof, another system of the build gave it.
    Of a `group` of ranks each is called so, on the same data; the first alone writes, and returns what was made.
    """
    training, table, spec, dim = recipe.training, recipe.loss, recipe.embedder.spec, recipe.embedder.dim
    records = [r for r in data.records() if r.fit or r.val]
    classes = sorted({r.label for r in records if r.fit})
    number = {label: i for i, label in enumerate(classes)}
    labels = np.array([number.get(r.label, -1) for r in records], dtype=np.int64)
    fit = np.flatnonzero([r.fit for r in records])
    val = np.flatnonzero([r.val for r in records])
    learnt = rotated_labels(labels[fit], len(classes)) if training.rotate_classes else labels[fit]

    preprocess = preprocess_of(frozen.trained) if frozen else made_for(recipe.images, spec, data)
    proof: dict[str, Any] = {}
    proves = recipe.fine_tunes and not proved and group.first
    threads = max(1, THREADS // group.size)
    learner: Learner
    if frozen:  # a head needs neither the network below it nor the library that this comes from
        learner = drawn_head(int(frozen.embedded.facts["dim"]), dim, seed=training.seed)
    else:
        with weights.held():
            if proves:
                looked = prove_pixels(data, recipe, preprocess, progress)
            learner = built_network(recipe, dim, training.seed, preprocess, progress)
            if proves:
                network = learner.below_head
                proof = {"proof": prove_features(looked, spec, network, network, progress)}
    loss = make_loss(table.model_dump(), dim, int(learnt.max()) + 1, training.seed)
    if start and isinstance(learner, Embedder):
        start_from_head(learner, loss, start.file("weights.safetensors"), start.file("loss.safetensors"))
    if isinstance(table, L2SoftmaxLoss) and (warning := alpha_warning(table.alpha, int(learnt.max()) + 1)):
        progress.say(f"warning: {warning}")
    device = choose_device(recipe.run.device)
    if device.type != "cpu" and recipe.run.device == "auto":  # one that was asked for stands in the heading
        progress.say(f"Device: {named(device)}")
    prepare: Prepare | None = None
    if frozen:
        cached = frozen.features(np.array([r.row for r in records], dtype=np.int64))
        fetch: Fetch = fetch_from(cached, device)
    else:
        prepare = make_prepare(preprocess.mean, preprocess.std)
        fetch = _fetch_pixels(data, records, preprocess, device, group)

    def embed(rows: Integers) -> Floats:
        return extract(learner, fetch, rows, prepare, precision=choose_precision(device) if prepare else "float32")

    watched = recall_at_1(
        embed,
        labels,
        val,
        fit,
        gallery=VAL_GALLERY_OF_PHOTOS if prepare and spec.deep else VAL_GALLERY,
        raw=table.raw,
    )

    changes = Changes(**recipe.augmentation.model_dump())
    fetch_fit: Fetch = lambda indices: fetch(fit[indices])  # noqa: E731 - one of two
    larger = stored_size(changes.crop, preprocess.size) if prepare else preprocess.size
    if larger > preprocess.size:
        fetch_fit = _fetch_pixels(data, [records[i] for i in fit], replace(preprocess, size=larger), device, group)

    if training.patience and not len(val):
        progress.say("No val rows to watch: all epochs are trained, and the last is kept")
    batch_norm = learns_batch_norm(learner, filled(training.freeze_batch_norm))
    trained = run_training(
        learner,
        loss,
        fetch=rotated(fetch_fit, len(fit)) if training.rotate_classes else fetch_fit,
        labels=learnt,
        batches=batches_of(table, training, learnt, progress, ranks=group.size, batch_norm=batch_norm),
        epochs=filled(training.epochs),
        partial=space.scratch,
        prepare=augmented(prepare, changes, preprocess.size) if prepare else None,
        rates=rates_of(training),
        patience=filled(training.patience),
        seed=training.seed,
        validate=watched if len(val) else None,
        progress=lambda done, total, note: progress(done, total),
        freeze_batch_norm=filled(training.freeze_batch_norm),
        threads=threads,
        device=device.type,
        group=group,
    )
    if not group.first:
        return {}, ""
    looked_at = np.random.default_rng(0).permutation(len(records))[:VAL_IMAGES]  # val rows alone may be a few of a kind
    last = trained.metrics[-1]["loss"] if trained.metrics else None
    said = None if last is None else collapse_words(embed(looked_at), len(classes), last, margin_of(table))
    if said:
        progress.say(f"warning: {said}")
    alpha = float(loss.alpha.detach()) if isinstance(loss, L2Softmax) else None
    describe(space, spec.shown, dim, preprocess.to_json(), classes, alpha)
    if isinstance(learner, Embedder):
        save_weights(learner, space.out / "weights.safetensors", mean=preprocess.mean, std=preprocess.std)
        progress.tell("writing the network as ONNX")
        export_onnx(learner, space.out / WHOLE)
    else:
        save_head(learner, space.out / "weights.safetensors")
        save_loss(loss, space.out / "loss.safetensors")
        export_head(*head_of(learner), space.out / HEAD)
    # Seconds would give each run other bits, and make what follows look stale.
    rows = [{key: value for key, value in row.items() if "second" not in key} for row in trained.metrics]
    (space.out / "metrics.jsonl").write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    curves = svg_file(training_chart("training", rows, trained.kept))
    (space.out / CURVES).write_text(curves, encoding="utf-8")
    facts = {
        "dim": dim,
        "classes": len(classes),
        "epochs": len(rows),
        "kept": trained.kept,
        "images": len(records),
        **trained.info,
        **({"ranks": group.size} if group.size > 1 else {}),
        **proof,
        **({"warning": said} if said else {}),
    }
    what = f"{table.name} head on frozen features" if frozen else table.name
    epochs = "1 epoch" if len(rows) == 1 else f"{len(rows)} epochs"
    best = "" if trained.kept == len(rows) else f", the best {trained.kept}"
    counted = "1 thread" if facts["threads"] == 1 else f"{facts['threads']} threads"
    each = f"{group.size} ranks of " if group.size > 1 else ""
    return facts, f"{what}, {dim}-d, {epochs}{best}, {each}{counted}"


def _fetch_pixels(data: Data, records: list[ImageRecord], preprocess: Preprocess, device: Any, group: Group) -> Fetch:
    """A fetch of preprocessed images, from memory where they fit; each rank holds its own."""
    threads, limit = max(1, THREADS // group.size), _memory_limit() // group.size
    store = PixelStore(data.reader, records, preprocess, threads=threads, memory_limit=limit)
    return store.fetch if store.pixels is None else fetch_from(store.pixels, device)


def rates_of(training: Training) -> Rates:
    """Return the rates of a resolved [training]."""
    return Rates(
        filled(training.learning_rate),
        filled(training.head_learning_rate),
        filled(training.weight_decay),
        filled(training.schedule),
    )


def _memory_limit() -> int:
    """Bytes of images that may be held in memory: a share of the machine's."""
    return int(MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def recall_at_1(
    features: Callable[[Integers], Any], labels: Integers, val: Integers, fit: Integers, *, gallery: int, raw: bool
) -> Callable[[], float]:
    """A function that gives recall@1 of val rows among fit rows, both a seeded part, of at most 1,000 and `gallery`.

    `raw` compares raw features by L2 (plain softmax), else embeddings by inner product.
    """
    random = np.random.default_rng(0)
    queries, base_rows = random.permutation(val)[:VAL_IMAGES], random.permutation(fit)[:gallery]

    def measure() -> float:
        searched, base = features(queries), features(base_rows)
        try:
            if not raw:
                searched, base = normalize(searched), normalize(base)
            nearest = np.concatenate(
                [rows[:, 0] for _, _, rows in exact_search(searched, base, 1, "l2" if raw else "ip")]
            )
        except VectorsError:  # collapsed or exploded features; the loss says so in its own time
            return 0.0
        return float((labels[base_rows[nearest]] == labels[queries]).mean())

    return measure


def margin_of(table: Loss) -> float | None:
    """Return the loss of features that are all one point, where it tells of nothing else; None for other losses."""
    if isinstance(table, TripletLoss):
        return table.margin
    if isinstance(table, PmlLoss):
        usual = PML_MARGINS.get(table.name.removeprefix(PML_PREFIX))
        if usual is None or table.options.get("smooth_loss"):
            return None
        return sum(float(table.options.get(key, value)) for key, value in usual.items())
    if isinstance(table, QuadrupletLoss):
        return table.margin1 + (table.margin1 if table.form == "text" else filled(table.margin2))
    return None


def collapse_words(features: Floats, labels: int, loss: float, margin: float | None) -> str | None:
    """Return what is to be said of a training that came to nothing, from raw features (N, D) at its end; else None.

    A loss that stands at its margin tells of it only where features are near to one point too: over hard triplets a
    sound training may stand there for an epoch.
    """
    try:
        found = spread(normalize(features), labels)
    except VectorsError:
        return "COLLAPSED: a feature has no direction or is not finite"
    if found is None:
        return None
    if found.collapsed:
        return found.words
    if margin is not None and found.mean_cosine > NEARLY_ONE_POINT and abs(loss - margin) < AT_MARGIN * margin:
        return (
            f"COLLAPSING: the loss stands at its margin, {loss:.3f}, and features are nearly one point (mean cosine "
            f"{found.mean_cosine:.3f}); try a smaller training.learning_rate or more epochs"
        )
    return None
