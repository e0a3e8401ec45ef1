"""What a night keeps of a recipe with [defects]: its two figures, and what they are of, image by image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from simsearch.arrays import Numbers
from simsearch.bench.judging.metrics import AUROC, FALSE_ALARMS
from simsearch.bench.records import NightFigure, kept
from simsearch.evaluation.own import numbered
from simsearch.images.records import RecordTable
from simsearch.stages.defects import TOLD

Tried = tuple[tuple[str, ...], dict[str, Numbers]]


def defect_figures(folder: Path) -> Iterator[NightFigure]:
    """Yield what the defects artifact in `folder` says of its test images, with intervals over groups."""
    test = json.loads((folder / TOLD).read_bytes())["test"]
    if "auroc" in test:
        (low, high), count = test["interval"], test["normal"] + test["defective"]
        yield NightFigure(AUROC, None, "all", test["auroc"], low, high, count)
    if test["false_alarms"] is not None:
        rate = test["false_alarms"]
        low, high = rate["interval"]
        yield NightFigure(FALSE_ALARMS, None, "all", rate["share"], low, high, rate["images"])


def tried_images(folder: Path, table: RecordTable) -> Tried:
    """Return the names and the values of the images that tried the defects artifact in `folder`, normal ones first."""
    told = json.loads((folder / TOLD).read_bytes())
    normal, defective = told["scored"]["normal"], told["scored"]["defective"]
    scores = np.array(normal["scores"] + defective["scores"], dtype=np.float64)
    records = [table[row] for row in normal["rows"] + defective["rows"]]
    groups = numbered([record.group for record in records])
    return tuple(kept(record.image) for record in records), {
        "score": scores,
        "defective": (np.arange(len(scores)) >= len(normal["rows"])).astype(np.float64),
        "flagged": (scores >= told["threshold"]).astype(np.float64),
        "group": np.full(len(scores), -1.0) if groups is None else groups.astype(np.float64),
    }
