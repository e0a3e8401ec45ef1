"""What a split data set cannot give: figures of quality, or a training. The reasons are said, and kept as facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from simsearch.images.records import ImageRecord


def why_unmeasured(records: Sequence[ImageRecord]) -> tuple[str, str] | None:
    """Return why the answers to labelled images cannot be judged, and what to do; None where they can."""
    # The images (or groups) that a label has in the gallery: one, or None for several.
    found: dict[str, str | None] = {}
    for record in records:
        if record.gallery:
            own = record.group or record.image
            found[record.label] = own if found.get(record.label, own) == own else None
    if len(found) == 1:
        only = next(iter(found))
        why = f"all images that are searched have one label, {only!r}, so that every answer would be right"
        return why, "put images of a second label there to measure"
    if any(r.query and r.label in found and found[r.label] != (r.group or r.image) for r in records):
        return None
    if None not in found.values() and found.keys() == {record.label for record in records}:
        one = "group of images" if any(record.group for record in records) else "image"
        why = f"each of {len(found):,} labels has one {one}"
        return why, "put a second photo of a label there, or test/LABEL/ beside train/LABEL/, to measure"
    why = "no image that is searched with has another of its label to find"
    return why, "put images of the labels of test into train to measure"


def why_untrained(records: Sequence[ImageRecord]) -> str | None:
    """Return why nothing can be learnt of labels; None where it can."""
    sizes = Counter(record.label for record in records if record.fit)
    if not sizes and len({record.label for record in records}) < len(records):
        return "no image is left to train on"
    if len(sizes) == 1:
        return f"all images to train on have one label, {next(iter(sizes))!r}"
    return "no label has two images to train on" if max(sizes.values(), default=0) < 2 else None
