"""The verdict stage: from which strength on a query counts as known, and how often that is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsearch.arrays import Flags, Floats
from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.errors import EmbedderError, VectorsError
from simsearch.evaluation.vote import VERDICT, VERDICT_FILE
from simsearch.recipe import Recipe
from simsearch.stages.common import Data
from simsearch.stages.step import References, Result, Step

VERSION = 2
UNSEEN, TRAINED = "unseen labels", "trained labels"


def verdict(data: Data, recipe: Recipe, embedded: Artifact, index: Artifact, features: Artifact | None) -> Step:
    """Return the step that finds the threshold of a labelled build; `features`: those that its head was trained on."""
    corpus = int(index.facts["ntotal"])
    settings: dict[str, Any] = {"corpus": corpus, "split": recipe.dataset.split, "labels": seen_by(recipe)}
    inputs: References = {"dataset": data.artifact.reference, "embed": embedded.reference}
    if features:
        settings |= {**recipe.model_dump(include={"loss"}), "training": recipe.training.settings()}
        settings["dim"] = recipe.embedder.dim
        inputs["features"] = features.reference
    work = Calibration(data, recipe, embedded, corpus, features).find
    return Step(VERDICT, "Verdicts", VERSION, settings, inputs, work)


def seen_by(recipe: Recipe) -> str:
    """Return of which labels a threshold is: of unseen ones, but where a whole network was trained on all of them."""
    return TRAINED if recipe.training.epochs and recipe.embedder.train == "all" else UNSEEN


@dataclass(frozen=True)
class Calibration:
    """What a threshold is found from: `embedded` rows, of which the first `corpus` are searched, and the `features`
    (None: the embedded rows themselves) that a head is trained on without some labels.
    """

    data: Data
    recipe: Recipe
    embedded: Artifact
    corpus: int
    features: Artifact | None

    def find(self, space: Workspace, progress: Progress) -> Result:
        """Write verdict.json; returns its threshold, or why there is none."""
        found: dict[str, Any]
        try:
            found = self._found(space.scratch, progress)
        except (EmbedderError, VectorsError) as error:  # a build is no worse for it
            found = {"reason": f"the threshold cannot be found: {error.message}"}
        (space.out / VERDICT_FILE).write_text(json.dumps(found, indent=1, allow_nan=False))
        if "reason" in found:
            return {"reason": found["reason"]}, f"none: {found['reason']}"
        right = found["deployed"]
        share = None if right is None else right["known"]["share"]
        told = "" if share is None else f", of known queries {share:.0%} are named and right"
        return {"threshold": found["threshold"]}, f"1 in 20 of {found['calibrated_on']} passes{told}"

    def _found(self, scratch: Path, progress: Progress) -> dict[str, Any]:
        from simsearch.evaluation.own import numbered
        from simsearch.evaluation.unknown import Rows, calibrate, too_few
        from simsearch.vectors.features import FeatureFile
        from simsearch.vectors.normalize import normalize

        if self.recipe.dataset.split == "disjoint":
            return {"reason": "all images that are searched are queries of the report, and nothing is tuned on those"}
        if why := self.data.facts.get("unmeasured"):
            return {"reason": why}
        records = list(self.data.records())
        number = {label: i for i, label in enumerate(sorted({one.label for one in records} - {""}))}
        rows = Rows(
            np.array([number.get(one.label, -1) for one in records], dtype=np.int64),
            int(self.data.facts["gallery"]),
            self.corpus,
            np.flatnonzero([one.query for one in records]),
            numbered([one.group for one in records]),
        )
        if why := too_few(rows):
            return {"reason": why}
        with FeatureFile(self.embedded.file("features.h5")) as file:
            stored = normalize(file.read(0, file.shape[0]))
        without: Callable[[Flags], Floats] | None = None
        if self.features:
            progress.tell("loading torch")
            from simsearch.stages.fold_heads import FoldHeads

            fit, val = (np.array([getattr(one, flag) for one in records]) for flag in ("fit", "val"))
            without = FoldHeads(self.recipe, self.features, rows.labels, fit, val, scratch, progress).embeddings
        return {"calibrated_on": seen_by(self.recipe), **calibrate(rows, stored, without, progress.tell)}
