"""The seeds stage: what the reports of several seeds show together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.home import SEEDS_FILE
from simsearch.stages.step import Result, Step

VERSION = 1


def seeds(trained: Sequence[int], evaluated: Sequence[Artifact]) -> Step:
    """Return the step over the seeds `trained`, made from the evaluate artifact of each."""
    inputs = {f"seed {seed}": artifact.reference for seed, artifact in zip(trained, evaluated, strict=True)}
    work = partial(compare_seeds, trained, evaluated)
    return Step("seeds", "Over seeds", VERSION, {"seeds": list(trained)}, inputs, work)


def compare_seeds(
    trained: Sequence[int], evaluated: Sequence[Artifact], space: Workspace, progress: Progress
) -> Result:
    """Write seeds.json; returns the number of seeds."""
    from simsearch.report.over_seeds import over_seeds

    reports = [json.loads(artifact.file("report.json").read_bytes()) for artifact in evaluated]
    (space.out / SEEDS_FILE).write_text(json.dumps(over_seeds(reports, trained), indent=1, allow_nan=False))
    return {"count": len(trained)}, f"{len(trained)} seeds, each a build"
