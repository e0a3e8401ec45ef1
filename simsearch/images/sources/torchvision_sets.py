"""torchvision:NAME: which sets are known, which files they need, and how torchvision itself is asked for them.

torchvision is imported only when a set is unpacked for the first time; later runs read raw pixels (unpacked.py).
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsearch.arrays import Pixels
from simsearch.errors import SourceError
from simsearch.hashing import HashMemory
from simsearch.images.sources.source import Fingerprint, fingerprint_files
from simsearch.images.sources.unpacked import Part, UnpackedSource, open_unpacked, write_unpacked

DOWNLOAD_SECONDS = 30
EMNIST_SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")


@dataclass(frozen=True)
class _Set:
    """The files that torchvision reads of a set (patterns below the data folder), its splits and its options."""

    files: tuple[str, ...]
    options: tuple[str, ...] = ()
    parts: tuple[tuple[str, dict[str, bool]], ...] = (("train", {"train": True}), ("test", {"train": False}))


def _idx(stem: str, last: str = "t10k", options: tuple[str, ...] = ()) -> _Set:
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return _Set(tuple(f"{stem}{part}-{kind}" for part in ("train", last) for kind in kinds), options)


CIFAR = "cifar-10-batches-py"
SETS = {
    "MNIST": _idx("MNIST/raw/"),
    "FashionMNIST": _idx("FashionMNIST/raw/"),
    "KMNIST": _idx("KMNIST/raw/"),
    "EMNIST": _idx("EMNIST/raw/emnist-{split}-", "test", ("split",)),
    "CIFAR10": _Set(
        (*(f"{CIFAR}/data_batch_{n}" for n in range(1, 6)), f"{CIFAR}/test_batch", f"{CIFAR}/batches.meta")
    ),
    "CIFAR100": _Set(("cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta")),
    "Omniglot": _Set(
        ("omniglot-py/images_background/*/*/*.png", "omniglot-py/images_evaluation/*/*/*.png"),
        parts=(("train", {"background": True}), ("test", {"background": False})),
    ),
}


def open_torchvision(
    name: str, *, spec: str, home: Path, options: dict[str, Any], offline: bool, memory: HashMemory
) -> UnpackedSource:
    """Return the source of a torchvision set below `home`, downloaded and unpacked when that was not done before.

    Raises SourceError for an unknown set or option, and when the files are neither there nor to be had.
    """
    known = SETS.get(name)
    if known is None:
        raise SourceError(f"unknown data set torchvision:{name}: expected one of {', '.join(SETS)}")
    _check_options(name, known, options)
    patterns = [pattern.format(**options) for pattern in known.files]

    def fingerprint(hashes: HashMemory) -> Fingerprint:
        return sorted(fingerprint_files(str(home), _present(home, patterns), hashes))

    folder = _folder(home, name, options, fingerprint(memory))
    source = open_unpacked(folder, spec=spec, title=name, fingerprinter=fingerprint, memory=memory)
    if source is None:
        parts = _load(name, known, home, options, offline, patterns)
        folder = _folder(home, name, options, fingerprint(memory))
        try:
            write_unpacked(folder, parts)
        except OSError as error:
            raise SourceError(
                f"cannot write {name} to {str(folder)!r}: {error.strerror}", hint="give a --home that can be written"
            ) from None
        source = open_unpacked(folder, spec=spec, title=name, fingerprinter=fingerprint, memory=memory)
        if source is None:
            raise SourceError(
                f"{name} was unpacked to {str(folder)!r} and is not what was written", hint="check the disk"
            )
    chosen = " ".join(f"{key}={value}" for key, value in sorted(options.items()))
    source.identity = f"torchvision:{name}" + (f" {chosen}" if chosen else "")
    return source


def _check_options(name: str, known: _Set, options: dict[str, Any]) -> None:
    takes = ", ".join(known.options) or "none"
    for option in options:
        if option not in known.options:
            raise SourceError(f"unknown option {option!r} of torchvision:{name}: it takes {takes}")
    if "split" in known.options and options.get("split") not in EMNIST_SPLITS:
        seen = repr(options["split"]) if "split" in options else "nothing"
        raise SourceError(
            f"torchvision:{name} needs the option split, seen {seen}: expected one of {', '.join(EMNIST_SPLITS)}",
            hint='write options = { split = "balanced" } into [dataset]',
        )


def _folder(home: Path, name: str, options: dict[str, Any], fingerprint: Fingerprint) -> Path:
    digest = hashlib.sha256(json.dumps([fingerprint, options], sort_keys=True).encode()).hexdigest()
    return home / ".unpacked" / f"{name}-{digest[:16]}"


def _present(home: Path, patterns: list[str]) -> list[str]:
    """Return the files below `home` that match one of the patterns."""
    found = (path for pattern in patterns for path in glob.iglob(pattern, root_dir=home, include_hidden=True))
    return [path for path in found if os.path.isfile(home / path)]


def _load(
    name: str, known: _Set, home: Path, options: dict[str, Any], offline: bool, patterns: list[str]
) -> list[Part]:
    from torchvision import datasets

    cls = getattr(datasets, name)
    reasons = []
    for download in (False,) if offline else (False, True):
        try:
            with patient_network() if download else contextlib.nullcontext():
                home.mkdir(parents=True, exist_ok=True)
                sets = _construct(cls, known, home, options, download)
            return [_part(split, data) for split, data in sets]
        except Exception as error:  # torchvision and the network raise whatever they like
            reasons.append(" ".join(str(error).split())[:160] or type(error).__name__)
    missing = [pattern for pattern in patterns if not _present(home, [pattern])]
    lacks = f"it wants {', '.join(missing)}" if missing else "its files are damaged"
    why = "" if offline else f" (download failed: {reasons[-1]})"
    raise SourceError(
        f"torchvision:{name} is not under {str(home)!r}: {lacks}{why}",
        hint=f"put these files, unpacked, under {str(home)!r}, or run once with network access",
    )


def _construct(
    cls: Callable[..., Any], known: _Set, home: Path, options: dict[str, Any], download: bool
) -> list[tuple[str, Any]]:
    """Return (split, data set); Omniglot may have but one of its two halves, the others need both."""
    sets = []
    failure: Exception | None = None
    for split, arguments in known.parts:
        try:
            sets.append((split, cls(str(home), download=download, **options, **arguments)))
        except Exception as error:
            if "background" not in arguments:
                raise
            failure = error
    if failure is not None and not sets:
        raise failure
    return sets


@contextlib.contextmanager
def patient_network() -> Iterator[None]:
    """Give up connections that are silent for 30 s, which torch.hub would wait for; keep its progress off stdout."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_SECONDS)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _part(split: str, data: Any) -> Part:
    """Return the pixels (N, H, W) or (N, H, W, 3) and labels of a torchvision data set."""
    if hasattr(data, "data"):
        pixels: Pixels = np.ascontiguousarray(np.asarray(data.data), dtype=np.uint8)
        numbers = [int(target) for target in data.targets]
        return Part(split, pixels, np.array(numbers, dtype=np.int32), [_class_name(name) for name in data.classes])
    pairs = [(np.asarray(picture, dtype=np.uint8), int(target)) for picture, target in data]
    order = sorted(range(len(pairs)), key=lambda number: data._flat_character_images[number][0])
    classes = [name.replace(os.sep, "/") for name in data._characters]
    pixels = np.stack([pairs[number][0] for number in order])
    return Part(split, pixels, np.array([pairs[number][1] for number in order], dtype=np.int32), classes)


def _class_name(name: str) -> str:
    """Return "7" for torchvision's "7 - seven", and other names as they are."""
    number, dash, _ = name.partition(" - ")
    return number if dash and number.isdigit() else name
