"""The four flags of every image: fit, val, gallery, query; closed set or class-disjoint.

Within a class the images are ranked by a hash of (seed, use, own sha256, own name), so that adding or renaming one
file moves at most the images next to a boundary, never all of them.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from simsearch.errors import SourceError
from simsearch.images.records import ImageRecord
from simsearch.images.source import SourceImage

QUERY_SHARE = 0.2
VAL_SHARE = 0.1


@dataclass(slots=True)
class _Row:
    image: SourceImage
    sha256: str
    fit: bool = False
    val: bool = False
    gallery: bool = False
    query: bool = False


def assign(
    images: Sequence[SourceImage],
    sha256: Sequence[str],
    *,
    split: str,
    test_classes: int | float,
    seed: int,
    labelled: bool,
) -> tuple[list[ImageRecord], list[str]]:
    """Return the records in row order (gallery, then query-only, then the rest, each by name) and one-line notes.

    Raises SourceError when the images cannot be split as asked.
    """
    rows = [_Row(image, digest) for image, digest in zip(images, sha256, strict=True)]
    rows.sort(key=lambda row: row.image.image)
    if not rows:
        raise SourceError("no image can be used")
    if split not in ("closed", "disjoint"):
        raise SourceError(f"dataset.split is {split!r}: expected closed or disjoint")
    if split == "disjoint":
        if not labelled:
            raise SourceError('dataset.split = "disjoint" needs labels, and this source has none')
        notes = _disjoint(rows, test_classes, seed)
    elif labelled:
        notes = _closed(rows, seed)
    else:
        notes = _unlabelled(rows, seed)
    rows.sort(key=lambda row: 0 if row.gallery else 1 if row.query else 2)
    return [_record(number, row) for number, row in enumerate(rows)], notes


def _record(number: int, row: _Row) -> ImageRecord:
    image = row.image
    return ImageRecord(number, image.image, image.label, row.fit, row.val, row.gallery, row.query, row.sha256)


def _closed(rows: list[_Row], seed: int) -> list[str]:
    notes = []
    if any(row.image.split == "test" for row in rows):
        for row in rows:
            row.query = row.image.split == "test"
        sizes = {label: len(members) for label, members in _by_label(rows).items()}
        _need_pairs(sizes)
        if all(row.query for row in rows):
            raise SourceError("every image belongs to the test split: nothing is left to search in")
        unseen = {row.image.label for row in rows} - {row.image.label for row in rows if not row.query}
        if unseen:
            notes.append(f"{_count(len(unseen))} only in the test split: searched with, never found")
    else:
        # Images that the source keeps for watching are never searched with.
        pools = _by_label([row for row in rows if row.image.split != "val"])
        sizes = {row.image.label: 0 for row in rows} | {label: len(members) for label, members in pools.items()}
        _need_pairs(sizes)
        for members in pools.values():
            if len(members) >= 2:
                for row in _ranked(members, seed, "query")[: max(1, _share(QUERY_SHARE, len(members)))]:
                    row.query = True
    for row in rows:
        row.gallery = row.fit = not row.query
    single = sum(size == 1 for size in sizes.values())
    if single:
        verb = "has" if single == 1 else "have"
        where = "kept in the gallery, never searched with"
        if any(row.image.split == "test" for row in rows):
            where = "kept as the source splits them"
        notes.append(f"{_count(single, verb)} one image: {where}")
    _hold_back(rows, seed, official=any(row.image.split == "val" for row in rows))
    return notes


def _disjoint(rows: list[_Row], test_classes: int | float, seed: int) -> list[str]:
    labels = sorted({row.image.label for row in rows})
    total = len(labels)
    count = test_classes if isinstance(test_classes, int) else _share(test_classes, total)
    share_out = isinstance(test_classes, float) and not 0 < test_classes < 1
    if share_out or isinstance(test_classes, bool) or not 2 <= count <= total - 2:
        raise SourceError(
            f"dataset.test_classes is {test_classes} and the source has {total} classes: "
            "both sides need at least 2 classes",
            hint="give a count of 2 or more that leaves 2 classes to train on, or a share between 0 and 1",
        )
    held_out = set(labels[total - count :])
    _need_pairs({label: len(members) for label, members in _by_label(rows).items() if label in held_out}, "test ")
    for row in rows:
        row.gallery = row.query = row.image.label in held_out
        row.fit = not row.gallery
    _hold_back(rows, seed, official=False)
    if any(row.image.split for row in rows):
        return ["class-disjoint: the source's own split is not used"]
    return []


def _unlabelled(rows: list[_Row], seed: int) -> list[str]:
    if any(row.image.split == "test" for row in rows) and not all(row.image.split == "test" for row in rows):
        chosen = [row for row in rows if row.image.split == "test"]
    else:
        count = max(1, _share(QUERY_SHARE, len(rows))) if len(rows) >= 2 else 0
        chosen = _ranked(rows, seed, "query")[:count]
    for row in chosen:
        row.query = True
    for row in rows:
        row.gallery = not row.query
    return []


def _hold_back(rows: list[_Row], seed: int, *, official: bool) -> None:
    """Move the official val images, or a tenth of each class, from fit to val."""
    fit = [row for row in rows if row.fit]
    if official:
        held = [row for row in fit if row.image.split == "val"]
    else:
        held = []
        for members in _by_label(fit).values():
            held += _ranked(members, seed, "val")[: _share(VAL_SHARE, len(members))]
    for row in held:
        row.fit, row.val = False, True


def _need_pairs(sizes: dict[str, int], kind: str = "") -> None:
    pairs = sum(size >= 2 for size in sizes.values())
    if pairs < 2:
        raise SourceError(
            f"{pairs} of {len(sizes)} {kind}classes {'has' if pairs == 1 else 'have'} two images or more: "
            "expected at least 2 such classes",
            hint="put at least two images into each of two class folders (class/x.jpg)",
        )


def _by_label(rows: list[_Row]) -> dict[str, list[_Row]]:
    classes: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        classes[row.image.label].append(row)
    return classes


def _ranked(rows: list[_Row], seed: int, use: str) -> list[_Row]:
    def rank(row: _Row) -> bytes:
        name = row.image.image.encode("utf-8", "surrogateescape")
        return hashlib.sha256(f"{seed}\0{use}\0{row.sha256}\0".encode() + name).digest()

    return sorted(rows, key=rank)


def _share(share: float, count: int) -> int:
    """Return the share of a count, halves rounded up (Python's round sends them to the even neighbour)."""
    return math.floor(share * count + 0.5)


def _count(classes: int, verb: str = "") -> str:
    verb = verb or ("is" if classes == 1 else "are")
    return f"{classes:,} {'class' if classes == 1 else 'classes'} {verb}"
