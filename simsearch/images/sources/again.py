"""A reader of images made again in another process, from plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simsearch.images.formats.decoding import Decoding
from simsearch.images.sources.remote import RemoteReader
from simsearch.images.sources.source import FileReader, Reader
from simsearch.images.sources.unpacked import PixelReader


def written(reader: Reader) -> dict[str, Any]:
    """Return what `read_again` makes the same reader of."""
    own = {"decoding": reader.decoding.to_json()}
    if isinstance(reader, PixelReader):
        return {**own, "file": str(reader.path), "shape": list(reader.shape), "sizes": reader.sizes}
    if isinstance(reader, RemoteReader):
        return {**own, "url": reader.url}
    return {**own, "root": str(reader.root)}


def read_again(values: Mapping[str, Any]) -> Reader:
    """Return the reader that `written` was given."""
    decoding = Decoding.from_json(values["decoding"])
    if "url" in values:
        return RemoteReader(values["url"], decoding)
    if "root" in values:
        return FileReader(values["root"], decoding)
    reader = PixelReader(Path(values["file"]), tuple(values["shape"]), dict(values["sizes"]))
    reader.decoding = decoding
    return reader
