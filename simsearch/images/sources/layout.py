"""What the folders of a tree say of its images: labels and splits; what is no photo of a label is left aside, and said.

By rules 2 split folders have any of the usual names, in any case, and lie on top (train/LABEL/x.jpg) or below the
labels (LABEL/train/x.jpg); masks beside them and a test folder without labels are left aside; labels are composed
(NFC). By rules 1, which earlier builds hold to, every folder on top is a label where one of them is no split.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from simsearch.console import some
from simsearch.images.formats.decoding import RULES
from simsearch.images.sources.doubts import MASKS, doubts, masks, written_alike
from simsearch.images.sources.source import UNLABELLED, SourceImage, split_of

NO_LABEL = "no label: lies beside the class folders"
ALL_IMAGES = "--set dataset.labels=false takes all images, without labels"
FIRST_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}  # by rules 1

Parts = list[str]


@dataclass
class Layout:
    """The images of a tree as its folders label and split them, those that it refuses, and what is to be said.

    `aside`: how many images were left aside, by folder; `said` are those of the `notes` that say so.
    """

    images: list[SourceImage]
    labelled: bool
    rejected: list[tuple[str, str]]
    notes: list[str]
    aside: Counter[str]
    said: list[str]


@dataclass
class _Reading:
    """At which level of a path stand split and label; `splits` gives the split of a folder, `aside` what is no photo.

    `split_at` is None where no level holds split folders alone.
    """

    split_at: int | None = None
    label_at: int = 0
    splits: dict[str, str | None] = field(default_factory=dict)
    aside: set[str] = field(default_factory=set)

    def split(self, parts: Parts) -> str | None:
        """The split of an image, if its folders say one."""
        at = self.split_at
        return self.splits.get(parts[at]) if at is not None and len(parts) > at + 1 else None

    def label(self, parts: Parts) -> str:
        """The label of an image as its folder is written, "" where it lies too high in the tree."""
        return parts[self.label_at] if len(parts) > self.label_at + 1 else ""

    def is_aside(self, parts: Parts) -> bool:
        """Whether it lies in a folder of masks beside the splits."""
        at = self.split_at
        return at is not None and len(parts) > at + 1 and parts[at] in self.aside


def label(paths: Sequence[str], rules: int = RULES, *, labels: bool = True) -> Layout:
    """Return what the folders on the way to each image say, by `rules`; without `labels` all are used, without one."""
    tree = whole = [path.split("/") for path in paths]
    read = _read_first(tree) if rules == 1 else _read(tree)
    notes: list[str] = []
    if rules > 1:
        tree = _without_masks(tree, read, notes)
        if labels:
            tree = _without_flat_splits(tree, read, notes)
    aside, said = _missing_in(tree, whole, read), list(notes)
    written = [read.label(parts) for parts in tree] if labels else [""] * len(tree)
    names = {name: unicodedata.normalize("NFC", name) if rules > 1 else name for name in set(written)}
    kept = paths if len(tree) == len(paths) else ["/".join(parts) for parts in tree]
    splits: Iterable[str | None] = repeat(None) if read.split_at is None else map(read.split, tree)
    images = [SourceImage(path, names[name], split) for path, name, split in zip(kept, written, splits, strict=False)]
    labelled = any(names.values())
    rejected = [(image.image, NO_LABEL) for image in images if labelled and not image.label]
    if rules > 1 and labelled:
        notes += doubts(tree, names.keys() - {""}, read.label_at, read.split_at, read.splits)
        notes += written_alike(name for name in names if name)
    elif rules > 1:
        notes += masks({tuple(parts[:-1]) for parts in tree}, None)
    if not labels:
        notes.insert(0, UNLABELLED)
    elif not labelled:
        notes.insert(0, "flat folder: building without labels (put images into one folder a label to measure quality)")
    return Layout([image for image in images if image.label or not labelled], labelled, rejected, notes, aside, said)


def _read_first(tree: list[Parts]) -> _Reading:
    # A folder without images, as annotations/, says nothing about the others.
    top = {parts[0] for parts in tree if len(parts) > 1}
    splits = {name: FIRST_NAMES[name.lower()] for name in top if name.lower() in FIRST_NAMES}
    if len(splits) == len(top) and "train" in splits.values():
        return _Reading(0, 1, dict(splits))
    return _Reading()


def _read(tree: list[Parts]) -> _Reading:
    nested = [parts for parts in tree if len(parts) > 1]
    for level in (0, 1):
        if not all(len(parts) > level + 1 for parts in nested):
            break
        folders = {parts[level] for parts in nested}
        splits = {name: split for name in folders if (split := split_of(name))}
        aside = {name for name in folders - splits.keys() if MASKS.fullmatch(name)}
        if not splits or folders != splits.keys() | aside:
            continue
        # Labels below the splits; or above them, but for one folder that holds all, as an archive that was unpacked.
        wrapped = len({parts[0] for parts in nested}) == 1 and any(len(parts) > level + 2 for parts in nested)
        label_at = level + 1 if level == 0 or wrapped else 0
        alone = set(splits.values()) in ({"val"}, {"test"})  # nothing that it is set apart from
        return _Reading(level, label_at, {name: None if alone else split for name, split in splits.items()}, aside)
    return _Reading()


def _without_masks(tree: list[Parts], read: _Reading, notes: list[str]) -> list[Parts]:
    kept = [parts for parts in tree if not read.is_aside(parts)] if read.aside else tree
    if len(kept) < len(tree):
        notes.append(f"{_images(len(tree) - len(kept))} left aside, no photos: {some(sorted(read.aside))}")
    return kept


def _without_flat_splits(tree: list[Parts], read: _Reading, notes: list[str]) -> list[Parts]:
    """Leave out what lies in a val or test folder without label folders, where train has them."""
    if read.split_at is None or read.label_at < read.split_at:
        return tree
    of_folder: defaultdict[str, list[bool]] = defaultdict(list)
    for parts in tree:
        if len(parts) > read.split_at + 1:
            of_folder[parts[read.split_at]].append(bool(read.label(parts)))
    if not any(read.splits[folder] == "train" and any(labelled) for folder, labelled in of_folder.items()):
        return tree
    flat = {name: len(has) for name, has in of_folder.items() if read.splits[name] != "train" and not any(has)}
    for folder, count in sorted(flat.items()):
        notes.append(f"{folder} has no label folders: {_images(count)} left aside ({ALL_IMAGES})")
    return [parts for parts in tree if len(parts) <= read.split_at + 1 or parts[read.split_at] not in flat]


def _missing_in(tree: list[Parts], whole: list[Parts], read: _Reading) -> Counter[str]:
    """How many images of the whole tree were left aside, by the folder that was."""
    if len(tree) == len(whole) or read.split_at is None:
        return Counter()
    kept, at = set(map(id, tree)), read.split_at
    return Counter(parts[at] for parts in whole if id(parts) not in kept)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
