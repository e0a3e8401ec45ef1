"""The engine that needs nothing: threads of this process."""

from __future__ import annotations

from dataclasses import dataclass

from simsearch.console import Progress
from simsearch.embedder.bundle.embedding import embed_canaries, embed_images
from simsearch.engines.engine import Job, say_finished
from simsearch.vectors.shards import SHARD_ROWS
from simsearch.versions import usable_cores


@dataclass(frozen=True)
class Local:
    """Embed shard after shard, in a thread for each core that this process may use."""

    shard_rows: int = SHARD_ROWS

    def ready(self) -> None:
        """Nothing is needed."""

    def __call__(self, job: Job, progress: Progress) -> None:
        """Write the shards that are missing."""
        bundle, shards, threads = job.bundle, job.shards, usable_cores()
        if not (missing := shards.missing()):
            return
        say_finished(job, len(missing), progress)
        canaries = embed_canaries(bundle, job.canaries, threads)
        for start, stop in missing:

            def done(images: int, before: int = start) -> None:
                progress(before + images, shards.rows)

            shards.write(start, embed_images(bundle, job.records(start, stop), threads, done), canaries)
