"""A data set as raw pixels in one file, read back with pread so that memory does not grow with their number."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simsearch.arrays import Pixels
from simsearch.errors import ImageError
from simsearch.hashing import HashMemory, sha256_file
from simsearch.images.sources.digits import fresh_folder
from simsearch.images.sources.source import Fingerprint, Reader, Source, SourceImage

IMAGES, LABELS, META = "images.bin", "labels.npy", "meta.json"
FORMAT = 1


@dataclass(frozen=True)
class Part:
    """One split of a data set: pixels (N, H, W) or (N, H, W, 3) uint8, class numbers (N,), names of the classes."""

    split: str
    pixels: Pixels
    labels: npt.NDArray[np.int32]
    classes: list[str]


@dataclass(kw_only=True)
class UnpackedSource(Source):
    """A source of raw pixels; image names are split/label/index, as "train/7/00017"."""

    folder: Path
    shape: tuple[int, ...]
    sizes: dict[str, int]
    fingerprinter: Callable[[HashMemory], Fingerprint]

    def fingerprint(self, memory: HashMemory) -> Fingerprint:
        return self.fingerprinter(memory)

    def reader(self) -> PixelReader:
        reader = PixelReader(self.folder / IMAGES, self.shape, self.sizes)
        reader.decoding = self.decoding  # which nothing here needs, and the queries do
        return reader


class PixelReader(Reader):
    """Reads raw pixels by the split and the index that stand in an image's name."""

    def __init__(self, path: Path, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
        self.path, self.shape, self.sizes = path, shape, sizes
        self._file = path.open("rb")
        self._bytes = int(np.prod(shape))
        self._starts: dict[str, tuple[int, int]] = {}
        start = 0
        for split, size in sizes.items():
            self._starts[split] = start, size
            start += size

    def data(self, image: str) -> bytes:
        split, _, rest = image.partition("/")
        start, size = self._starts.get(split, (0, 0))
        number = rest.rpartition("/")[2]
        index = int(number) if number.isascii() and number.isdigit() else -1
        if not 0 <= index < size:
            raise ImageError(f"no image of that name: {image!r}")
        data = os.pread(self._file.fileno(), self._bytes, (start + index) * self._bytes)
        if len(data) != self._bytes:
            raise ImageError(f"truncated: {IMAGES} ends inside the picture")
        return data

    def decode(self, data: bytes, at_least: int | None = None) -> Pixels:
        return np.frombuffer(data, dtype=np.uint8).reshape(self.shape)

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()


def write_unpacked(folder: Path, parts: list[Part]) -> None:
    """Write the parts to a folder that appears whole or not at all; raises OSError."""
    with fresh_folder(folder, ".new-") as fresh:
        with (fresh / IMAGES).open("wb") as file:
            for part in parts:
                file.write(part.pixels.tobytes())
        classes: list[str] = []
        numbers = []
        for part in parts:
            numbers.append(part.labels + np.int32(len(classes)))
            classes += part.classes
        np.save(fresh / LABELS, np.concatenate(numbers).astype(np.int32), allow_pickle=False)
        meta = {
            "format": FORMAT,
            "shape": list(parts[0].pixels.shape[1:]),
            "splits": [[part.split, len(part.pixels)] for part in parts],
            "classes": classes,
            "sha256": {name: sha256_file(fresh / name) for name in (IMAGES, LABELS)},
        }
        (fresh / META).write_text(json.dumps(meta), encoding="utf-8")


def open_unpacked(
    folder: Path, *, spec: str, title: str, fingerprinter: Callable[[HashMemory], Fingerprint], memory: HashMemory
) -> UnpackedSource | None:
    """Return the source in a folder that `write_unpacked` wrote; None when there is none or it was damaged."""
    try:
        meta: dict[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
        if meta["format"] != FORMAT or any(
            memory.sha256(folder / name) != meta["sha256"][name] for name in meta["sha256"]
        ):
            return None
        numbers = np.load(folder / LABELS, allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    images: list[SourceImage] = []
    classes, sizes = meta["classes"], {split: int(size) for split, size in meta["splits"]}
    labels = [classes[number] for number in numbers.tolist()]
    start = 0
    for split, size in sizes.items():
        width = max(5, len(str(size - 1)))
        images += [
            SourceImage(f"{split}/{label}/{index:0{width}d}", label, split)
            for index, label in enumerate(labels[start : start + size])
        ]
        start += size
    images.sort(key=lambda image: image.image)
    return UnpackedSource(
        spec=spec,
        title=title,
        root=None,
        identity=spec,
        images=images,
        labelled=True,
        folder=folder,
        shape=tuple(meta["shape"]),
        sizes=sizes,
        fingerprinter=fingerprinter,
    )
