"""Heads that are trained as a build's own, without some of its labels. Loads torch: verdict.py only when it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simsearch.arrays import Flags, Floats, Labels
from simsearch.artifacts import Artifact, digest_of
from simsearch.console import Progress
from simsearch.embedder.losses.losses import make_loss
from simsearch.embedder.networks.embedder import drawn_head
from simsearch.embedder.networks.saving import head_of
from simsearch.embedder.training.extract import extract, fetch_from
from simsearch.embedder.training.loop import train
from simsearch.embedder.training.precision import choose_device
from simsearch.evaluation.systems import gather
from simsearch.recipe import Recipe, filled
from simsearch.stages.batches import batches_of
from simsearch.stages.common import BLOCK_ROWS
from simsearch.stages.training import VAL_GALLERY, rates_of, recall_at_1
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.normalize import normalize


@dataclass(frozen=True)
class FoldHeads:
    """Trains heads of a resolved recipe on frozen features of rows with `labels` (N,), of which `fit` are learnt from.

    On the CPU with one thread: on a busy machine several wait for one another, ten times as long as they work.
    """

    recipe: Recipe
    features: Artifact
    labels: Labels
    fit: Flags
    val: Flags
    scratch: Path
    progress: Progress

    def embeddings(self, kept: Flags) -> Floats:
        """Return unit embeddings (N, dim) of all rows by a head that was trained on the kept ones (N,) alone.

        Raises EmbedderError when it cannot be trained, VectorsError for a feature without direction.
        """
        recipe, training, dim = self.recipe, self.recipe.training, self.recipe.embedder.dim
        used = np.flatnonzero((self.fit | self.val) & kept)
        names, labels = np.unique(self.labels[used], return_inverse=True)
        fit, val = np.flatnonzero(self.fit[used]), np.flatnonzero(self.val[used])
        learnt, device = labels[fit], choose_device(recipe.run.device)
        head = drawn_head(int(self.features.facts["dim"]), dim, seed=training.seed)
        loss = make_loss(recipe.loss.model_dump(), dim, len(names), training.seed)
        with FeatureFile(self.features.file("features.h5")) as file:
            fetch = fetch_from(gather(file, used), device)
        watched = recall_at_1(
            lambda rows: extract(head, fetch, rows, None, precision="float32"),
            labels,
            val,
            fit,
            gallery=VAL_GALLERY,
            raw=recipe.loss.raw,
        )
        partial = self.scratch / digest_of(kept.nonzero()[0].tolist())[:16]  # a head that was stopped is gone on with
        partial.mkdir(exist_ok=True)
        train(
            head,
            loss,
            fetch=lambda indices: fetch(fit[indices]),
            labels=learnt,
            batches=batches_of(recipe.loss, training, learnt, Progress()),
            epochs=filled(training.epochs),
            partial=partial,
            rates=rates_of(training),
            patience=filled(training.patience),
            seed=training.seed,
            validate=watched if filled(training.patience) and len(val) else None,
            progress=lambda done, total, note: self.progress(done, total),
            threads=1,
            device=device.type,
        )
        weight, bias = head_of(head)
        with FeatureFile(self.features.file("features.h5")) as file:
            blocks = [block @ weight.T + bias for block in file.blocks(0, file.shape[0], BLOCK_ROWS)]
        return normalize(np.concatenate(blocks))
