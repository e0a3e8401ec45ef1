"""Masks that lie beside pictures: files of what is where in them, found by the names of folders and files alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator

from simsearch.images.formats.formats import suffixes
from simsearch.images.sources.doubts import MASKS

ENDING = "_mask"  # which the name of a mask may have behind that of its picture, as MVTec's do

Folders = tuple[str, ...]


def masks_of(root: str, images: Iterable[str]) -> dict[str, str]:
    """Return the mask of each image that has one; both are paths below `root`, as names of images are.

    A mask has its picture's name, or that and `_mask`, with any suffix of pictures. Its folders are those of its
    picture, with a folder of masks (ground_truth, masks, ...) in place of one of them, or before or behind one:
    ground_truth/cut/000_mask.png is of test/cut/000.png, masks/cut/000.png of cut/000.jpg. Folders on top come first.
    What would be the mask of several images is that of none.
    """
    known: dict[Folders, list[dict[str, str]]] = {}
    found: dict[str, str] = {}
    for image in images:
        *folders, name = image.split("/")
        place = tuple(folders)
        if place not in known:
            known[place] = [held for one in _places(root, place) if (held := _held(root, one))]
        stem = os.path.splitext(name)[0]
        mask = next((held[stem] for held in known[place] if stem in held), None)
        if mask is not None:
            found[image] = mask
    claimed = Counter(found.values())
    return {image: mask for image, mask in found.items() if claimed[mask] == 1}


def _places(root: str, folders: Folders) -> Iterator[Folders]:
    """Yield where the masks of pictures in `folders` may lie."""
    for level in range(len(folders) + 1):
        above, below = folders[:level], folders[level:]
        for name in _names(root, above):
            yield from dict.fromkeys(((*above, name, *below[1:]), (*above, name, *below)))


def _names(root: str, folders: Folders) -> list[str]:
    try:
        with os.scandir(os.path.join(root, *folders)) as entries:
            return sorted(one.name for one in entries if MASKS.fullmatch(one.name) and one.is_dir())
    except OSError:
        return []


def _held(root: str, folders: Folders) -> dict[str, str]:
    """Return the pictures of a folder by the stem of whose masks they would be; nothing where there is no folder."""
    try:
        with os.scandir(os.path.join(root, *folders)) as entries:
            names = sorted(one.name for one in entries if one.is_file())
    except OSError:
        return {}
    held: dict[str, str] = {}
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in suffixes():
            for of in dict.fromkeys((stem, stem.removesuffix(ENDING))):
                held.setdefault(of, "/".join((*folders, name)))
    return held
