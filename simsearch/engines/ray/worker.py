"""What runs on a machine of a cluster: an actor that holds a bundle and embeds shards, and the tally of all of them.

Ray starts both by name, so simsearch must be installed there. Only the processes of Ray import ray.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from simsearch.embedder.bundle.embedding import Bundle, embed_canaries, embed_images
from simsearch.embedder.bundle.trained import Model
from simsearch.engines.ray.orders import told
from simsearch.errors import SimsearchError, first_line
from simsearch.images.records import ImageRecord
from simsearch.images.sources.again import read_again
from simsearch.vectors.shards import this_machine

MOST_TRIES = 3
TELL_SECONDS = 1.0
TRIED = "tried"  # the event of a shard that failed as often as it may


def packed(records: Sequence[ImageRecord]) -> bytes:
    """Return what embedding needs to know of images: row, name and SHA-256 of each."""
    return json.dumps([(record.row, record.image, record.sha256) for record in records]).encode()


def unpacked(data: bytes) -> list[ImageRecord]:
    """Return the records that `packed` took; they have no labels."""
    flags = (False, False, False, False)
    return [ImageRecord(row, image, "", *flags, sha256) for row, image, sha256 in json.loads(data)]


class Tally:
    """How often each shard was begun, how far it is, and why it failed last; an actor beside the driver."""

    def __init__(self) -> None:
        self._tries: Counter[int] = Counter()
        self._done: dict[int, int] = {}
        self._why: dict[int, str] = {}

    def begin(self, start: int) -> int:
        """Count a try at the shard that begins at a row, and return how many there were with it."""
        self._tries[start] += 1
        self._done[start] = 0
        return self._tries[start]

    def at(self, start: int, done: int) -> None:
        """Note how many images of a shard are embedded."""
        self._done[start] = done

    def failed(self, start: int, why: str) -> None:
        """Note why a try came to nothing; a worker that died notes nothing."""
        self._why[start] = why

    def end(self, start: int) -> None:
        """Forget a shard that was written."""
        self._done.pop(start, None)

    def state(self) -> dict[int, tuple[int, int]]:
        """Return (images done, tries) of each shard that was begun and is not written, the oldest first."""
        return {start: (done, self._tries[start]) for start, done in self._done.items()}

    def why(self, start: int) -> str:
        """Return why a shard failed last, in words."""
        return self._why.get(start, "its worker died (killed, out of memory, or crashed)")


class Worker:
    """An actor: one bundle, one thread, one shard at a time."""

    def __init__(self, model: Any, images: dict[str, Any], canaries: bytes, tally: Any) -> None:
        """`model` refers to a Model with its bytes in Ray's store, `tally` to the actor."""
        import ray

        held: Model = ray.get(model[0])
        self._bundle = Bundle(held, read_again(images))
        self._canaries = embed_canaries(self._bundle, unpacked(canaries)).tobytes()
        self._tally = tally

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Embed the one shard of a batch: its features as bytes, or an event that says why there are none."""
        import ray

        start, records = int(batch["start"][0]), unpacked(batch["records"][0])
        last = 0.0

        def tell(done: int) -> None:
            nonlocal last
            if time.monotonic() - last >= TELL_SECONDS:
                last = time.monotonic()
                self._tally.at.remote(start, done)

        features = b""
        event: dict[str, str] = {}
        while not features and not event:
            if ray.get(self._tally.begin.remote(start)) > MOST_TRIES:
                event = {TRIED: ray.get(self._tally.why.remote(start))}
                break
            try:
                features = embed_images(self._bundle, records, done=tell).tobytes()
            except SimsearchError as error:  # of an image or of the model: another try would say the same
                event = told(error)
            except Exception as error:
                ray.get(self._tally.failed.remote(start, first_line(error)))
        return {
            "start": [start],
            "features": [features],
            "canaries": [self._canaries],
            "machine": [json.dumps(this_machine())],
            "event": [json.dumps(event)],
        }
