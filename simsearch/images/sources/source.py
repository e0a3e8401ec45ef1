"""What every source of images offers: a list of images, a fingerprint, and a reader of their bytes and pixels."""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from simsearch.arrays import Pixels
from simsearch.errors import SourceError
from simsearch.hashing import HashMemory
from simsearch.images.formats.decode import Decoded, decode, examine, read_bytes
from simsearch.images.formats.decoding import PRESENT, Decoding
from simsearch.images.sources.left_out import LeftOut

UNLABELLED = "building without labels, as dataset.labels = false says"

Fingerprint = list[tuple[str, int, str]]
Item = TypeVar("Item")
Result = TypeVar("Result")

_USUAL = {
    "train": "train training trainset train_set training_set train_images training_images train_data gallery",
    "val": "val valid validation dev valset val_set validation_set val_images validation_images val_data",
    "test": "test tests testing testset test_set testing_set test_images testing_images test_data eval evaluation "
    "query queries",
}
SPLIT_NAMES = {name: split for split, names in _USUAL.items() for name in names.split()}  # as lower case has them


def split_of(folder: str) -> str | None:
    """Return the split that a folder of one of the usual names holds, in any case: train, val or test."""
    return SPLIT_NAMES.get(re.sub("[ -]", "_", folder.lower()))


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image of a source: its stable name, its label ("" = none), the split that the source gives it, if any, and
    its group ("" = one of its own).

    `extras` is what stands in the further `columns` of its source; it tells no image from another.
    """

    image: str
    label: str
    split: str | None
    group: str = ""
    extras: tuple[str, ...] = field(default=(), compare=False)


class Reader(ABC):
    """Reads the images of one source by name, as `decoding` says; safe for threads.

    `root` is the folder below which names are files, None where they are none.
    """

    decoding: Decoding = PRESENT
    root: str | None = None

    def under(self, decoding: Decoding) -> Reader:
        """Return a reader of the same images that decodes otherwise; itself where there is nothing to decode."""
        return self

    @abstractmethod
    def data(self, image: str) -> bytes:
        """Return the bytes that are hashed: the file, or the raw pixels; raises ImageError when they cannot be read."""

    @abstractmethod
    def decode(self, data: bytes, at_least: int | None = None) -> Pixels:
        """Return the pixels that `data` holds: (H, W) or (H, W, 3) uint8; raises ImageError."""

    def examine(self, data: bytes, at_least: int | None = None) -> Decoded:
        """Return what `decode` gives with what had to be decided; raises ImageError."""
        return Decoded(self.decode(data, at_least))

    def array(self, image: str, at_least: int | None = None, sha256: str | None = None) -> Pixels:
        """Return the pixels of an image, (H, W) or (H, W, 3) uint8.

        Raises ImageError when it cannot be read or decoded, SourceError when its bytes do not have `sha256`.
        """
        data = self.data(image)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise changed(image)
        return self.decode(data, at_least)

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield work(item) in order; what reads from far away has several on their way at once."""
        return map(work, items)

    def sha256(self, image: str) -> str:
        """Return the SHA-256 of the bytes of an image; raises ImageError when they cannot be read."""
        return hashlib.sha256(self.data(image)).hexdigest()


class EncodedReader(Reader):
    """Reads images whose bytes are those of files, wherever they lie."""

    def decode(self, data: bytes, at_least: int | None = None) -> Pixels:
        return decode(data, at_least, self.decoding)

    def examine(self, data: bytes, at_least: int | None = None) -> Decoded:
        return examine(data, at_least, self.decoding)


class FileReader(EncodedReader):
    """Reads images that are files below a root folder."""

    root: str

    def __init__(self, root: str, decoding: Decoding) -> None:
        self.root = root
        self.decoding = decoding

    def under(self, decoding: Decoding) -> FileReader:
        return self if decoding == self.decoding else FileReader(self.root, decoding)

    def data(self, image: str) -> bytes:
        return read_bytes(os.path.join(self.root, image))


@dataclass(kw_only=True)
class Source(ABC):
    """A source that was opened: what it holds, what it refused, and what the user should know about it.

    `root` is the real path of the folder below which image names are files, None when images are no files.
    `identity` tells two sources apart that would build under one name; `rejected` holds (image name, reason).
    `left_out`: the files that are no images of it.
    """

    spec: str
    title: str
    root: str | None
    identity: str
    images: list[SourceImage]
    labelled: bool
    rejected: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    decoding: Decoding = PRESENT

    def words(self) -> list[str]:
        """Return what is said of a build's source when it is looked at again: doubts, and what was left out.

        Without labels a build was told so when it was made.
        """
        return [*(self.notes if self.labelled else []), *self.left_out.words()]

    @abstractmethod
    def fingerprint(self, memory: HashMemory) -> Fingerprint:
        """Return sorted (relative path, size in bytes, SHA-256) of everything that decides what this source gives.

        What lies in a store has the store's own word for its content in place of the SHA-256 (remote.py).
        """

    def promised(self, listing: Fingerprint) -> dict[str, str]:
        """Return the SHA-256 of each image that a fingerprint promises, by name; "" of one that could not be read."""
        return {name: "" if size < 0 else sha256 for name, size, sha256 in listing}

    def check(self, listing: Fingerprint) -> None:  # noqa: B027 - most promise all of them
        """Raise SourceError where an image whose digest the fingerprint does not promise changed since it was taken."""

    @abstractmethod
    def reader(self) -> Reader:
        """Return a reader of the images."""


@dataclass(kw_only=True)
class FileSource(Source):
    """A source whose images are files below `root`; `rows` is the digest of a table that lists them, if one does.

    `columns` are the names of further columns of that table, which each image has its `extras` in, `extra_rows` the
    digest of these. `mended`: the labels of images, by name, that a file of labels gives, where folder or table
    have others.
    """

    root: str
    rows: tuple[int, str] | None = None
    columns: tuple[str, ...] = ()
    extra_rows: tuple[int, str] | None = None
    mended: dict[str, str] = field(default_factory=dict)

    def fingerprint(self, memory: HashMemory) -> Fingerprint:
        entries = self._entries(memory)
        # What is refused stands in quarantine.csv, so it decides the artifact too. Reasons may name places; left out.
        entries += [(name, -1, "rejected") for name, _ in self.rejected if self.rows is None]
        if self.rows is not None:
            entries.append(("", *self.rows))
        if self.extra_rows is not None:
            entries.append(("", *self.extra_rows))
        return sorted(entries)

    def _entries(self, memory: HashMemory) -> Fingerprint:
        return fingerprint_files(self.root, [image.image for image in self.images], memory)

    def reader(self) -> Reader:
        return FileReader(self.root, self.decoding)


def fingerprint_files(root: str, names: list[str], memory: HashMemory) -> Fingerprint:
    """Return (name, size, SHA-256) of files below a root; one that cannot be read has size -1 and "unreadable"."""
    found = memory.many([os.path.join(root, name) for name in names])
    unreadable = (-1, "unreadable")
    return [
        (name, *(unreadable if isinstance(entry, OSError) else entry)) for name, entry in zip(names, found, strict=True)
    ]


def changed(image: str) -> SourceError:
    """Return the error for an image whose bytes are not those that were seen first."""
    return SourceError(
        f"{image!r} changed while it was being read", hint="run the same build again when nothing writes to the source"
    )
