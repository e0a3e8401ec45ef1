"""The stage that holds the neighbours of an imported file against those of exact search."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.report.reading import KNOWN
from simsearch.stages.common import BLOCK_ROWS, Data
from simsearch.stages.step import Result, Step
from simsearch.vectors.formats import VectorFile
from simsearch.vectors.normalize import normalize

REPORT = f"{KNOWN}.json"


def compared(file: VectorFile, data: Data, embedded: Artifact, check: Callable[[], None]) -> Step:
    """Return the step that compares the neighbours in `file`; `check` raises when it changed while it was read."""
    inputs = {"dataset": data.view("rows"), "embed": embedded.reference}
    return Step(KNOWN, "Compared", 1, {}, inputs, partial(compare, file, data, embedded, check))


def compare(
    file: VectorFile, data: Data, embedded: Artifact, check: Callable[[], None], space: Workspace, progress: Progress
) -> Result:
    """Write neighbours.json: the share of the file's first neighbours that are those of exact search, or why not.

    At most the first 100 of 1,000 queries, evenly of all.
    """
    from simsearch.vectors.features import FeatureFile
    from simsearch.vectors.known import MOST_K, MOST_QUERIES, agreement

    assert file.neighbours is not None
    assert file.queries is not None
    (rows, width), gallery = file.neighbours.shape, int(data.facts["gallery"])
    k, asked = min(MOST_K, width, gallery), min(rows, int(data.facts["queries"]))
    chosen = np.unique(np.linspace(0, asked - 1, min(asked, MOST_QUERIES)).astype(np.int64))
    parts = [file.neighbours.stored(start, min(start + 256, asked))[:, :k] for start in range(0, asked, 256)]
    known = np.concatenate(parts)[chosen].astype(np.int64)
    check()
    found: dict[str, Any] = {"k": k, "queries": len(chosen), "with_neighbours": rows, "of": file.queries.shape[0]}
    found |= {"distance": file.distance, "agree": None, "reason": None}
    outside = (known < 0) | (known >= gallery)
    if outside.any():
        query, place = np.argwhere(outside)[0]
        found["reason"] = f"those of test {chosen[query]} name row {known[query, place]}, of {gallery:,}"
        line = f"not the file's own neighbours: {found['reason']}"
    else:
        with FeatureFile(embedded.file("features.h5")) as features:
            queries = normalize(features.read(gallery, gallery + asked)[chosen])
            base = map(normalize, features.blocks(0, gallery, 8 * BLOCK_ROWS))
            found["agree"] = float(agreement(queries, known, base).mean())
        line = f"{found['agree']:.4f} of the file's own neighbours are those of exact search"
    (space.out / REPORT).write_text(json.dumps(found, indent=1, allow_nan=False))
    return found, line
