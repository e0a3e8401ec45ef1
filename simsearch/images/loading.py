"""Reading many images: in threads, in order, with bounded memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from simsearch.arrays import Integers, Pixels
from simsearch.errors import ImageError
from simsearch.images.preprocess import Preprocess
from simsearch.images.records import ImageRecord
from simsearch.images.sources.source import Reader, Source, changed
from simsearch.images.thumbnails import THUMBNAIL_PIXELS, encode_thumbnail

PIECE = 32
PIECES_AHEAD = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One image after its first full decode: SHA-256 of its bytes ("" when unreadable), its thumbnail or the reason.

    `notes`: what decoding had to decide; `pixels`: a digest of what came of it; `flat`: whether that is one colour.
    """

    image: str
    sha256: str
    thumbnail: bytes | None
    reason: str | None
    notes: tuple[str, ...] = ()
    pixels: str = ""
    flat: bool = False


def survey(source: Source, reader: Reader, *, threads: int = 2) -> Iterator[Surveyed]:
    """Yield the outcome of every image of a source in order."""

    def look(names: list[str]) -> list[Surveyed]:
        return list(reader.each(lambda name: _survey_one(reader, name), names))

    for outcomes in in_order(look, pieces((image.image for image in source.images), PIECE), threads):
        yield from outcomes


def _survey_one(reader: Reader, image: str) -> Surveyed:
    digest = ""
    try:
        data = reader.data(image)
        digest = hashlib.sha256(data).hexdigest()
        # Half-size decoding still reads every byte of a JPEG, so a file that was cut off is found here.
        found = reader.examine(data, THUMBNAIL_PIXELS)
        pixels = found.pixels
        flat = bool((pixels == pixels[:1, :1]).all())
        told = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        return Surveyed(image, digest, encode_thumbnail(pixels), None, found.notes, told, flat)
    except ImageError as error:
        return Surveyed(image, digest, None, error.message)


def pixel_batches(
    reader: Reader, records: Iterable[ImageRecord], preprocess: Preprocess, *, batch: int, threads: int = 2
) -> Iterator[tuple[Integers, Pixels]]:
    """Yield (rows (n,) int64, pixels (n, size, size, channels) uint8) in the order of the records, n <= batch.

    Raises SourceError when the bytes of an image are not those of its record.
    """

    def load(part: list[ImageRecord]) -> tuple[list[int], Pixels]:
        return [record.row for record in part], _load(reader, part, preprocess)

    reader = reader.under(preprocess.decoding)

    # Pieces are small, so that one batch already feeds every thread; none belongs to two batches.
    size = batch if threads == 1 else PIECE
    parts = (part for whole in pieces(records, batch) for part in pieces(whole, size))
    rows: list[int] = []
    loaded: list[Pixels] = []
    for some, pixels in chain(in_order(load, parts, threads), [([], None)]):
        rows += some
        if pixels is not None:
            loaded.append(pixels)
        if rows and (len(rows) == batch or pixels is None):
            yield np.array(rows, dtype=np.int64), loaded[0] if len(loaded) == 1 else np.concatenate(loaded)
            rows, loaded = [], []


def _load(reader: Reader, records: Sequence[ImageRecord], preprocess: Preprocess) -> Pixels:
    size = preprocess.size
    out = np.empty((len(records), size, size, preprocess.channels), dtype=np.uint8)

    def load(record: ImageRecord) -> Pixels:
        try:
            return preprocess.fit(reader.array(record.image, preprocess.at_least, record.sha256))
        except ImageError:
            # It was decoded when the data set was made, so it is the file that has changed.
            raise changed(record.image) from None

    for position, pixels in enumerate(reader.each(load, records)):
        out[position] = pixels
    return out


class PixelStore:
    """Preprocessed pixels by position, on demand where they do not fit below `memory_limit` bytes.

    `pixels`: all of them, (N, size, size, channels) uint8, where they do.
    """

    def __init__(
        self,
        reader: Reader,
        records: Sequence[ImageRecord],
        preprocess: Preprocess,
        *,
        threads: int = 2,
        memory_limit: int = 2 << 30,
    ) -> None:
        self._reader, self._threads = reader.under(preprocess.decoding), threads
        self._records, self._preprocess = records, preprocess
        shape = (len(records), preprocess.size, preprocess.size, preprocess.channels)
        self.pixels: Pixels | None = None
        self._pool: ThreadPoolExecutor | None = None
        if int(np.prod(shape, dtype=np.int64)) <= memory_limit:
            self.pixels = np.empty(shape, dtype=np.uint8)
            start = 0
            for _, pixels in pixel_batches(reader, records, preprocess, batch=1024, threads=threads):
                self.pixels[start : start + len(pixels)] = pixels
                start += len(pixels)
        elif threads > 1:
            self._pool = ThreadPoolExecutor(threads)

    def fetch(self, indices: Integers) -> Pixels:
        """Return (B, size, size, channels) uint8 for the positions (B,) in the records.

        Raises IndexError outside of the records, SourceError when an image has changed.
        """
        if self.pixels is not None:
            return self.pixels[indices]
        records = [self._records[index] for index in indices.tolist()]
        if self._pool is None or len(records) < 2:
            return _load(self._reader, records, self._preprocess)
        parts = list(pieces(records, -(-len(records) // (4 * self._threads))))
        loaded = self._pool.map(lambda part: _load(self._reader, part, self._preprocess), parts)
        return np.concatenate(list(loaded))


def pieces(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of at most `size` items."""
    iterator = iter(items)
    while piece := list(islice(iterator, size)):
        yield piece


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Yield work(item) in the order of the items from `threads` threads; a few results at most wait to be taken."""
    if threads == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    iterator = iter(items)
    pool = ThreadPoolExecutor(threads)
    try:
        for item in islice(iterator, threads * PIECES_AHEAD):
            waiting.append(pool.submit(work, item))
        while waiting:
            result = waiting.popleft().result()
            for item in islice(iterator, 1):
                waiting.append(pool.submit(work, item))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
