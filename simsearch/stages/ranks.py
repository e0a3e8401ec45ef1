"""The train stage by several ranks: the job that one process writes, and, as a program, each rank that reads it.

The first rank writes into the workspace, while this command, whose lock keeps others off it, waits. Should it be
killed, that rank goes on to the next step and its checkpoint: its own lock keeps the next command's ranks waiting.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from simsearch.artifacts import LOCKS, MANIFEST, Artifact, Workspace
from simsearch.console import Progress
from simsearch.embedder.networks.weights import offered_weights
from simsearch.engines.rank import Told, serve, show
from simsearch.engines.torchrun import run_ranks
from simsearch.errors import SimsearchError
from simsearch.images.sources.again import read_again, written
from simsearch.locks import Lock
from simsearch.recipe import Recipe
from simsearch.stages.common import THREADS, Data
from simsearch.stages.starting import Starting
from simsearch.stages.step import Result

READ, DONE = "read", "done"  # messages: the starting weights were read; facts and words of what was made


def train_by_ranks(
    data: Data,
    recipe: Recipe,
    weights: Starting,
    start: Artifact | None,
    proved: bool,
    space: Workspace,
    progress: Progress,
) -> Result:
    """Train as `train_embedder` does, in as many processes as the resolved recipe says."""
    ranks, spec = recipe.training.ranks, recipe.embedder.spec
    if ranks > THREADS:
        progress.say(f"warning: [training] ranks = {ranks}, and {THREADS} cores are there: more ranks are no faster")
    if recipe.embedder.weights == "default" and spec.pretrained:
        offered_weights(spec, progress.say)  # which every rank would fetch at once
    job = {
        "recipe": recipe.model_dump(),
        "dataset": str(data.artifact.path),
        "reader": written(data.reader),
        "weights": {"digest": weights.digest, "shown": weights.shown},
        "start": str(start.path) if start else None,
        "proved": proved,
        "out": str(space.out),
        "scratch": str(space.scratch),
    }
    path = space.scratch / "ranks.json"
    path.write_text(json.dumps(job))
    made: dict[str, list[Any]] = {}

    def heard(kind: str, said: list[Any]) -> None:
        if not show(progress, kind, said):
            made[kind] = said
            if kind == READ:
                weights.check()

    progress.tell(f"starting {ranks} ranks")
    try:
        run_ranks(
            __name__,
            str(path),
            ranks=ranks,
            threads=max(1, THREADS // ranks),
            log=space.scratch / "ranks.log",
            heard=heard,
        )
    except SimsearchError:
        if READ not in made:
            weights.check()
        raise
    facts, words = made[DONE]
    return facts, words


def train_as_rank(path: str, messages: Told) -> None:
    """Train as one of the ranks that torchrun started, by the job in the file `path`."""
    messages.tell("loading torch")
    from simsearch.embedder.training.group import joined
    from simsearch.stages.training import train_embedder

    job = json.loads(Path(path).read_bytes())
    recipe, space = Recipe.model_validate(job["recipe"]), Workspace(Path(job["out"]), Path(job["scratch"]))
    with joined(recipe.run.device) as group:

        def again() -> str:
            """Let the waiting command look whether the files are still what it hashed: no rank knows by which rules."""
            if group.first:
                messages.send(READ)
            return str(job["weights"]["digest"])

        weights = Starting(job["weights"]["digest"], again, job["weights"]["shown"])
        data = Data(_artifact(job["dataset"]), read_again(job["reader"]))
        start = _artifact(job["start"]) if job["start"] else None
        progress = messages if group.first else Progress()
        with Lock(_lock_of(space)) if group.first else nullcontext() as lock:
            if lock is not None:
                lock.take("a training whose command is gone", lambda who: progress.waiting(lambda: str(who())))
            made = train_embedder(data, recipe, weights, None, start, job["proved"], space, progress, group)
        if group.first:
            messages.send(DONE, *made)


def _artifact(path: str) -> Artifact:
    """Return an artifact that the waiting command has checked."""
    return Artifact(Path(path), json.loads((Path(path) / MANIFEST).read_bytes()))


def _lock_of(space: Workspace) -> Path:
    """Return the file of the lock of the first rank that writes to a workspace."""
    partial = space.scratch.parent
    return partial.parent / LOCKS / f"{partial.name.removeprefix('.partial-')}.ranks"


if __name__ == "__main__":
    serve(train_as_rank)
