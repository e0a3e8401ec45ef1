"""What the folders of a tree say of its images: labels and, with split folders on top, splits."""

from __future__ import annotations

from collections.abc import Sequence

from simsearch.images.decoding import RULES
from simsearch.images.source import SPLIT_NAMES, SourceImage

NO_LABEL = "no label: lies beside the class folders"


def label(images: Sequence[str], rules: int = RULES) -> tuple[list[SourceImage], list[tuple[str, str | None]]]:
    """Return the images that have a label, and (name, split) of those that lie too high in the tree to have one."""
    # A folder without images, as annotations/, says nothing about the others.
    top = {path.partition("/")[0] for path in images if "/" in path}
    splits = {name: SPLIT_NAMES[name.lower()] for name in top if name.lower() in SPLIT_NAMES}
    with_splits = len(splits) == len(top) and "train" in splits.values()
    labelled, unlabelled = [], []
    for path in images:
        parts = path.split("/")
        split = splits.get(parts[0]) if with_splits and len(parts) > 1 else None
        depth = 1 if split else 0
        if len(parts) - 1 > depth:
            labelled.append(SourceImage(path, parts[depth], split))
        else:
            unlabelled.append((path, split))
    return labelled, unlabelled
