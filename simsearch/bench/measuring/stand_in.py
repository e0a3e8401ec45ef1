"""The accepted night's embedder measured by tonight's versions: embedded, indexed and evaluated anew, never trained.

A training under other versions, threads or on another machine is another draw of the same lot: two of them differ as
two seeds do, which a paired test tells apart in 10 of 40 pairs though nothing is wrong. What tonight's
versions do to answers is seen by one embedder.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from simsearch.artifacts import Artifact
from simsearch.bench.measuring.measure import run_cell
from simsearch.bench.measuring.scratch import NightHome
from simsearch.bench.records import Night, Result
from simsearch.durable import link_or_copy
from simsearch.errors import ArtifactError
from simsearch.home import Home
from simsearch.pipeline.plan import Plan
from simsearch.stages.step import Step

TRAIN, BACKBONE = "train", "backbone"
OF_THE_TRAINING = ("threads", "device", "precision")


class GivenEmbedders(Plan):
    """A plan that takes embedders as they are, whatever bits they were made from, and trains none."""

    def _find(self, step: Step) -> Artifact | None:
        if step.kind not in (TRAIN, BACKBONE):
            return super()._find(step)
        found = self.home.store.find(step.kind, step.digest)
        if found is None:
            raise ArtifactError("the accepted night's embedder is not there any more")
        return found


def redrawn(before: tuple[Night, NightHome, Result], after: tuple[Night, NightHome, Result]) -> bool:
    """Return whether a cell's training was the same but for versions, machine or threads, and gave other weights."""
    (old_night, _, old), (new_night, _, new) = before, after
    trained = old.digests.get(TRAIN), new.digests.get(TRAIN)
    if None in trained or new.status != "measured":
        return False
    known, made = (dict(reference or {}) for reference in trained)
    if known["digest"] != made["digest"] or known["content"] == made["content"]:
        return False
    if dict(old_night.versions) != dict(new_night.versions) or old_night.fingerprint != new_night.fingerprint:
        return True
    with suppress(ArtifactError, OSError):
        facts = [home.store.open(TRAIN, **result.digests[TRAIN]).facts for _, home, result in (before, after)]
        return any(facts[0].get(key) != facts[1].get(key) for key in OF_THE_TRAINING)
    return False


def stand_in(result: Result, accepted: NightHome, place: NightHome, home: Home) -> Result:
    """Return what the accepted night's embedder comes to in the cell of `result`, measured in `place`, untimed."""
    for stage in (TRAIN, BACKBONE):
        given, taken = (one.store.folder(stage) for one in (accepted, place))
        for path in given.iterdir() if given.is_dir() else ():
            if not path.name.startswith(".") and not (taken / path.name).exists():
                _link(path, taken / path.name)
    return run_cell(result.cell, place, home, None, GivenEmbedders(place, place.progress))


def _link(artifact: Path, new: Path) -> None:
    """Let a finished artifact stand at `new` too, at once or not at all."""
    partial = new.with_name(f".partial-{new.name}-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(artifact, partial, copy_function=lambda old, copy: link_or_copy(Path(old), Path(copy)))
    os.rename(partial, new)
