"""folder:URL: a folder of images in a store, laid out like one of this machine (layout.py).

Its fingerprint has what the store says of each object: size, and a checksum (md5, crc32c, ETag), else when it was
written; where a store says neither, its bytes are read for their SHA-256. What is read is hashed as files are, and an
image that is not what the data set was made of is refused. While the data set is made no object may change: the store
is asked again at its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from simsearch.errors import ImageError
from simsearch.hashing import HashMemory
from simsearch.images.formats.decode import MAX_FILE_BYTES
from simsearch.images.formats.decoding import Decoding
from simsearch.images.formats.formats import suffixes
from simsearch.images.sources.folders import laid_out
from simsearch.images.sources.source import EncodedReader, FileSource, Fingerprint, Item, Result, changed
from simsearch.images.sources.store import READ, Store
from simsearch.images.sources.urls import checked_url, name_of, shown_url
from simsearch.images.sources.walk import Picking, walk_names

UNREADABLE = (-1, "unreadable")


@dataclass(kw_only=True)
class RemoteSource(FileSource):
    """A source whose images lie in a store, below the URL `root`; `stamps` tell what each holds."""

    store: Store
    stamps: dict[str, tuple[int, str]] = field(default_factory=dict)

    def _entries(self, memory: HashMemory) -> Fingerprint:
        # With the place: two of them may say the same of two objects, where they only say when these were written.
        return [(self.root, -1, "url"), *((image.image, *self.stamps[image.image]) for image in self.images)]

    def promised(self, listing: Fingerprint) -> dict[str, str]:
        return {name: stamp.removeprefix(READ) for name, _, stamp in listing if stamp.startswith(READ)}

    def check(self, listing: Fingerprint) -> None:
        names = [name for name, (_, stamp) in self.stamps.items() if not stamp.startswith(READ)]
        found = self.store.names()[0]
        now = stamps_of(self.store, {name: found[name] for name in names if name in found})
        for name in names:
            if now.get(name, UNREADABLE) != self.stamps[name]:
                raise changed(name)

    def reader(self) -> RemoteReader:
        return RemoteReader(self.root, self.decoding, self.store)


class RemoteReader(EncodedReader):
    """Reads images that lie in a store; another process reads them for itself, by the URL."""

    def __init__(self, url: str, decoding: Decoding, store: Store | None = None) -> None:
        self.url, self.decoding = url, decoding
        self._store = store or Store(url)

    def under(self, decoding: Decoding) -> RemoteReader:
        return self if decoding == self.decoding else RemoteReader(self.url, decoding, self._store)

    def data(self, image: str) -> bytes:
        return self._store.read(image)

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return self._store.each(work, items)


def open_remote(url: str, *, spec: str, picking: Picking, labels: bool) -> RemoteSource:
    """Return the source of the folder at `url`, as `open_folder` does of one on this machine.

    Raises SourceError when it cannot be listed or holds no image, MissingError without the library that reads it.
    """
    url = checked_url(url)
    store = Store(url)
    found, links, refused = store.names()
    scan = walk_names(url, found, picking)
    if links:
        scan.left.said.append(
            f"{len(links):,} {'link' if len(links) == 1 else 'links'} not followed (first: {min(links)})"
        )
    wanted = suffixes(picking.rules)
    scan.rejected += [one for one in refused if os.path.splitext(one[0])[1].lower() in wanted]
    large = {name for name in scan.images if (found[name].get("size") or 0) > MAX_FILE_BYTES}
    scan.rejected += [(name, f"too large: at most {MAX_FILE_BYTES:,} bytes") for name in large]
    scan.images = [name for name in scan.images if name not in large]
    parts = laid_out(scan, shown_url(url), picking, labels=labels)
    stamps = stamps_of(store, {image.image: found[image.image] for image in parts["images"]})
    return RemoteSource(
        spec=spec, title=name_of(url), root=url, identity=f"folder:{url}", store=store, stamps=stamps, **parts
    )


def stamps_of(store: Store, infos: dict[str, dict[str, object]]) -> dict[str, tuple[int, str]]:
    """Return what tells the content of each object."""

    def stamp(name: str) -> tuple[int, str]:
        try:
            return store.stamp(name, infos[name])
        except ImageError:  # it is set aside when its bytes are wanted
            return UNREADABLE

    return dict(zip(infos, store.each(stamp, infos), strict=True))
