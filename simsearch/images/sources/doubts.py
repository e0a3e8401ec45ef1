"""What is said where the folders of a tree may mean something else than they are taken for, and how to go on then."""

from __future__ import annotations

import glob
import json
import os
import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from simsearch.console import some
from simsearch.images.sources.source import split_of

MASKS = re.compile(r"ground[ _-]?truths?|gt|(seg|segmentation)?[ _-]?masks?|annotations?|segmentations?", re.IGNORECASE)
LIKE_A_SPLIT = re.compile(
    r"((fold|split|part|subset|batch|cv|train|training|test|testing|val|valid|validation|dev|eval)[ _.-]?\d+)"
    r"|hold[ _-]?outs?|held[ _-]?out|unlabell?ed|(train|training|test|testing|val|valid|validation)[ _.-]\w+",
    re.IGNORECASE,
)
# A folder of photos in a set for detection or segmentation; beside it `labels` are no photos.
_PHOTOS = re.compile(r"(jpeg|rgb)?[ _-]?(images?|imgs?)|photos?", re.IGNORECASE)
_BESIDE_PHOTOS = re.compile(r"labels?", re.IGNORECASE)
_NO_LABELS = "--set dataset.labels=false"
SHOWN = 4

Folders = tuple[str, ...]


def doubts(
    paths: Iterable[Sequence[str]],
    labels: Collection[str],
    label_at: int,
    split_at: int | None,
    splits: Mapping[str, str | None],
) -> list[str]:
    """Return what is to be said of labelled images: their `paths`, parted, and at which level label and split stand.

    `splits`: what each folder at `split_at` is taken for.
    """
    tree = {tuple(parts[:-1]) for parts in paths if len(parts) > 1}
    notes = []
    if split_at is None:
        notes += _like_splits(labels) + _no_splits_below(tree)
    elif label_at < split_at and any(len(folders) > split_at + 1 for folders in tree):
        shown = some(sorted(labels))
        notes.append(f"labels are the folders above the splits ({shown}), not those below: build {min(labels)}")
    elif None in splits.values():
        notes.append(f"{some(sorted(splits))} is the only split: searched with its own images")
    notes += masks(tree, label_at)
    if len(labels) == 1:
        notes += _one_label(tree, min(labels), label_at, split_at)
    return notes


def masks(tree: Collection[Folders], label_at: int | None) -> list[str]:
    """Return what is said of folders of masks that are taken as labels, those at `label_at`, or as photos."""
    at: defaultdict[int, set[str]] = defaultdict(set)
    for folders in tree:
        for level, name in enumerate(folders):
            at[level].add(name)
    as_labels: set[str] = set()
    as_photos: set[str] = set()
    patterns: list[str] = []
    for level, names in sorted(at.items()):
        photos = {name for name in names if _PHOTOS.fullmatch(name)}
        # Further below, "gt" is rather a car than the truth.
        found = {name for name in names if MASKS.fullmatch(name) and (level == label_at or name.lower() != "gt")}
        found |= {name for name in names if photos and _BESIDE_PHOTOS.fullmatch(name)}
        (as_labels if level == label_at else as_photos).update(found)
        patterns += [("*/" if level else "") + glob.escape(name) + "/**" for name in sorted(found)]
    if not patterns:
        return []
    rest = set() if label_at is None else at[label_at] - as_labels
    bare = f", and {_NO_LABELS} where {some(sorted(rest))} " if rest and all(map(_PHOTOS.fullmatch, rest)) else ""
    if bare:
        bare += "is no label either" if len(rest) == 1 else "are no labels either"
    said = sorted(as_labels or as_photos)
    one = len(said) == 1
    what = "photos" if not as_labels else "a label" if one else "labels"
    return [
        f"warning: {some(said)} may hold masks and {'is' if one else 'are'} taken as {what}: where that is wrong, "
        f"leave {'it' if one else 'them'} out, as {_exclude(list(dict.fromkeys(patterns)))}{bare}"
    ]


def _like_splits(labels: Collection[str]) -> list[str]:
    like = sorted(name for name in labels if split_of(name) or LIKE_A_SPLIT.fullmatch(name))
    if not like:
        return []
    others = sorted(set(labels) - set(like))
    named = {name for name in labels if split_of(name)}
    odd = sorted(name for name in set(labels) - named if not MASKS.fullmatch(name))
    if _several(named) and 0 < len(odd) <= SHOWN:  # without these, the others are splits
        how = (
            f"leave out {some(odd)}, as {_exclude([f'{glob.escape(name)}/**' for name in odd])}, "
            f"or give {'it' if len(odd) == 1 else 'each'} the name of a split"
        )
    else:
        out = _exclude([f"{glob.escape(like[0])}/**"])
        how = f"name the folders on top train, val and test, or leave it out, as {out}"
    one = len(like) == 1
    return [
        f"warning: {some(like)} {'looks like a split' if one else 'look like splits'} of a data "
        f"set and {'is' if one else 'are'} taken as {'a label' if one else 'labels'}"
        + (f", beside {some(others)}" if others else "")
        + f": where that is wrong, {how}"
    ]


def _no_splits_below(tree: Collection[Folders]) -> list[str]:
    """What is said of splits below the labels that are not taken for such, as another folder stands beside them."""
    below = {folders[1] for folders in tree if len(folders) > 1}
    named = {name for name in below if split_of(name)}
    odd = sorted(name for name in below - named if not MASKS.fullmatch(name))
    if not _several(named) or (len({folders[0] for folders in tree}) == 1 and len(odd) > SHOWN):
        return []
    lead = f"warning: {some(sorted(named))} below the labels are not taken for splits, as "
    if not odd:
        return [f"{lead}images lie beside them: where that is wrong, move those images away"]
    how = _exclude([f"*/{glob.escape(name)}/**" for name in odd]) if len(odd) <= SHOWN else "dataset.exclude says"
    return [f"{lead}{some(odd)} {'is' if len(odd) == 1 else 'are'} beside them: to have them, leave that out, as {how}"]


def _one_label(tree: Collection[Folders], label: str, label_at: int, split_at: int | None) -> list[str]:
    if split_at is not None and _PHOTOS.fullmatch(label):
        return [
            f"warning: all images have one label, {label}, which may be the photos of a set for detection or "
            f"segmentation: where that is so, {_NO_LABELS}"
        ]
    if split_at is not None and label_at < split_at:
        return []
    below = {folders[label_at + 1] for folders in tree if len(folders) > label_at + 1}
    build = label
    common = os.path.commonpath(["/".join(folders) for folders in tree]).split("/")
    if len(below) == 1 and len(common) > 1:  # wrapped more than once, as x/data/train
        below = {folders[len(common)] for folders in tree if len(folders) > len(common)}
        build = "/".join(common)
    if len(below) < 2:
        return []
    what = "as splits" if _several(below) and all(map(split_of, below)) else "as labels"
    return [f"all images have one label, {label}; to take its {len(below):,} folders {what}, build {build}"]


def written_alike(names: Iterable[str]) -> list[str]:
    """What is said of labels that look alike: forms of Unicode, which are one label, and others, which are not."""
    forms = defaultdict(set)
    for name in names:
        forms[unicodedata.normalize("NFC", name)].add(name)
    twice = sorted(label for label, written in forms.items() if len(written) > 1)
    notes = [f"written in two forms of Unicode, and taken as one label each: {some(twice)}"] if twice else []
    return notes + look_alike(forms)


def look_alike(labels: Iterable[str]) -> list[str]:
    """What is said of labels, composed, that differ in case, or in spaces and characters that nobody sees."""
    cases, seen = defaultdict(set), defaultdict(set)
    for label in labels:
        cases[label.casefold()].add(label)
        if label:
            shown = label if label.isascii() else "".join(c for c in label if unicodedata.category(c) != "Cf")
            seen[" ".join(shown.split())].add(label)
    notes = []
    if apart := sorted(" and ".join(sorted(written)) for written in cases.values() if len(written) > 1):
        notes.append(f"differ in upper and lower case alone, and are labels of their own: {some(apart)}")
    if apart := sorted(" and ".join(map(ascii, sorted(written))) for written in seen.values() if len(written) > 1):
        notes.append(f"differ in spaces or invisible characters alone, and are labels of their own: {some(apart)}")
    return notes


def _several(names: Iterable[str]) -> bool:
    """Whether these are names of more than one split."""
    return len({split for name in names if (split := split_of(name))}) > 1


def _exclude(patterns: list[str]) -> str:
    return "--set " + shlex.quote(f"dataset.exclude={json.dumps(patterns, ensure_ascii=False)}")
