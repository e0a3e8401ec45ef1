"""The seam between the embed stage and what does its work: a job, and the engine that it is handed to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from simsearch.console import Progress
from simsearch.embedder.bundle.canaries import MOST
from simsearch.embedder.bundle.embedding import Bundle
from simsearch.images.records import ImageRecord, RecordTable, spread
from simsearch.vectors.shards import Shards


@dataclass(frozen=True)
class Job:
    """Images to embed: rows of a table of images, from `first` on, as many as `shards` holds, by `bundle`."""

    bundle: Bundle
    shards: Shards
    table: RecordTable
    first: int = 0

    @classmethod
    def of(cls, bundle: Bundle, dataset: Path, scratch: Path, rows: int, engine: Engine, first: int = 0) -> Job:
        """Return the job for `rows` rows of a dataset's folder, whose shards are kept below `scratch`."""
        shards = Shards(scratch, rows, bundle.dim, engine.shard_rows, canaries=len(spread(rows, MOST)))
        return cls(bundle, shards, RecordTable(dataset), first)

    def records(self, start: int, stop: int) -> list[ImageRecord]:
        """Return the images of rows [start, stop) of the shards."""
        return self.table.span(self.first + start, self.first + stop)

    @cached_property
    def canaries(self) -> list[ImageRecord]:
        """The few images, spread over all, that every machine embeds beside its own."""
        return [self.table[self.first + row] for row in spread(self.shards.rows, MOST).tolist()]


class Engine(Protocol):
    """What runs a bundle on many images: in this process (`Local`), or wherever else there are cores."""

    @property
    def shard_rows(self) -> int:
        """How many images a shard has."""

    def ready(self) -> None:
        """Raise SimsearchError where it could not begin; asked before a build reads its first image."""

    def __call__(self, job: Job, progress: Progress) -> None:
        """Write the shards that are missing. Raises SimsearchError; the shards that were written stay."""


def say_finished(job: Job, missing: int, progress: Progress) -> None:
    """Say how many shards an earlier run has finished, if it has."""
    if finished := len(job.shards) - missing:
        progress.say(f"{finished:,} of {len(job.shards):,} shards were finished by an earlier run")
