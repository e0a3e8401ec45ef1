"""What the folders of a tree say of its images: labels and splits; what is no photo of a label is left aside, and said.

By rules 2 split folders have any of the usual names, in any case, and lie on top (train/LABEL/x.jpg) or below the
labels (LABEL/train/x.jpg); masks beside them and a test folder without labels are left aside; labels are composed
(NFC). By rules 1, which earlier builds hold to, every folder on top is a label where one of them is no split.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from simsearch.images.formats.decoding import RULES
from simsearch.images.sources.source import SPLIT_NAMES, UNLABELLED, SourceImage

NO_LABEL = "no label: lies beside the class folders"
ALL_IMAGES = "--set dataset.labels=false takes all images, without labels"
FIRST_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}  # by rules 1
MASKS = re.compile(r"ground[ _-]?truths?|gt|(seg|segmentation)?[ _-]?masks?|annotations?|segmentations?", re.IGNORECASE)
LIKE_A_SPLIT = re.compile(
    r"((fold|split|part|subset|batch|cv|train|training|test|testing|val|valid|validation|dev|eval)[ _.-]?\d+)"
    r"|hold[ _-]?outs?|held[ _-]?out|unlabell?ed|(train|training|test|testing|val|valid|validation)[ _.-]\w+",
    re.IGNORECASE,
)
SHOWN = 4

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
        notes += [*_doubts(tree, read), *_written_twice(name for name in names if name)]
    if not labels:
        notes.insert(0, UNLABELLED)
    elif not labelled:
        notes.insert(0, "flat folder: building without labels (put images into one folder a label to measure quality)")
    return Layout([image for image in images if image.label or not labelled], labelled, rejected, notes, aside, said)


def split_of(folder: str) -> str | None:
    """Return the split that a folder of one of the usual names holds, in any case: train, val or test."""
    return SPLIT_NAMES.get(re.sub("[ -]", "_", folder.lower()))


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
        notes.append(f"{_images(len(tree) - len(kept))} left aside, no photos: {_some(sorted(read.aside))}")
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


def _doubts(tree: list[Parts], read: _Reading) -> list[str]:
    """What is said where folders may mean something else than they are taken for."""
    notes = []
    nested = [parts for parts in tree if len(parts) > 1]
    below = {parts[read.label_at + 1] for parts in nested if len(parts) > read.label_at + 2}
    labels = {name for parts in nested if (name := read.label(parts))}
    if read.split_at is None:
        like = sorted(name for name in labels if split_of(name) or LIKE_A_SPLIT.fullmatch(name))
        masks = sorted(name for name in labels if MASKS.fullmatch(name))
        change = "or leave it out, as --set 'dataset.exclude=[\"{}/**\"]'"
        if like:
            others = sorted(labels - set(like))
            notes.append(
                f"warning: {_some(like)} {'looks like a split' if len(like) == 1 else 'look like splits'} of a data "
                f"set and {'is' if len(like) == 1 else 'are'} taken as {'a label' if len(like) == 1 else 'labels'}"
                + (f", beside {_some(others)}" if others else "")
                + f": where that is wrong, name the folders on top train, val and test, {change.format(like[0])}"
            )
        if masks:
            notes.append(
                f"warning: {_some(masks)} may hold masks and {'is' if len(masks) == 1 else 'are'} taken as "
                f"{'a label' if len(masks) == 1 else 'labels'}: where that is wrong, {change.format(masks[0])[3:]}"
            )
    elif read.label_at < read.split_at and any(len(parts) > read.split_at + 2 for parts in nested):
        first = sorted(labels)[0]
        notes.append(
            f"labels are the folders above the splits ({_some(sorted(labels))}), not those below: build {first}"
        )
    elif None in read.splits.values():
        notes.append(f"{_some(sorted(read.splits))} is the only split: searched with its own images")
    if len(labels) == 1 and len(below) > 1 and not (read.split_at is not None and read.label_at < read.split_at):
        (only,) = labels
        notes.append(f"all images have one label, {only}; to take its {len(below):,} folders as labels, build {only}")
    return notes


def _written_twice(names: Iterable[str]) -> list[str]:
    """What is said of labels that look alike: forms of Unicode, which are one label, and cases, which are not."""
    forms, cases = defaultdict(set), defaultdict(set)
    for name in names:
        composed = unicodedata.normalize("NFC", name)
        forms[composed].add(name)
        cases[composed.casefold()].add(composed)
    notes = []
    if twice := sorted(label for label, written in forms.items() if len(written) > 1):
        notes.append(f"written in two forms of Unicode, and taken as one label each: {_some(twice)}")
    if apart := sorted(" and ".join(sorted(written)) for written in cases.values() if len(written) > 1):
        notes.append(f"differ in upper and lower case alone, and are labels of their own: {_some(apart)}")
    return notes


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
