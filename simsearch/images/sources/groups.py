"""Groups: pictures of one object, burst or series, which no split may part. Told by a pattern over paths, or by a list.

The key of a group is looked for in the path below the root without its split folder: `train/a/1_exp1.jpg` and
`test/a/1_exp2.jpg` are of one group, `a/1_exp1.jpg` and `b/1_exp1.jpg` are of two unless the pattern says otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from simsearch.errors import SourceError
from simsearch.images.sources.source import SourceImage, split_of

HINT = (
    r"dataset.group is a regular expression, as '(.*)_exp\d+'; its first parenthesis, or all that matches, is the group"
)


def by_pattern(images: Sequence[SourceImage], pattern: str) -> list[SourceImage]:
    """Return the images with the group that `pattern` finds in each path, "" where it finds none.

    Raises SourceError for a pattern that is none, or finds no group at all.
    """
    try:
        search = re.compile(pattern).search
    except (re.error, RecursionError, OverflowError) as error:
        raise SourceError(f"dataset.group is '{pattern}', no regular expression: {error}", hint=HINT) from None
    found = [replace(image, group=tidy(_key(search(_path(image))))) for image in images]
    if images and not any(image.group for image in found):
        raise SourceError(
            f"dataset.group '{pattern}' matches none of {len(images):,} images, as {_path(images[0])!r}", hint=HINT
        )
    return found


def told(images: Iterable[SourceImage], where: str) -> list[str]:
    """Return what is to be said of the groups of images that `where` tells (a pattern, a column).

    Raises SourceError where all images are one group: no split leaves anything on the other side.
    """
    images = list(images)
    sizes = Counter(image.group for image in images)
    alone = sizes.pop("", 0)
    if len(sizes) == 1 and not alone and len(images) > 1:
        only = next(iter(sizes))
        raise SourceError(
            f"{where} puts all {len(images):,} images into one group, {only!r}: nothing would be left to search in",
            hint="a group is one object, burst or series; leave dataset.group out, or tell more of them apart",
        )
    several = sum(size > 1 for size in sizes.values())
    groups = f"{len(sizes) + alone:,} groups of {len(images):,} images"
    notes = [f"{groups}, the largest of {max(sizes.values(), default=1):,}, by {where}"]
    if not several:
        notes = [f"{where} finds no two images of one group: it changes nothing"]
    if alone:
        first = next(image.image for image in images if not image.group)
        notes.append(f"{_images(alone)} without a group, as {first!r}: each is one of its own")
    labels: dict[str, set[str]] = {}
    for image in images:
        labels.setdefault(image.group, set()).add(image.label)
    mixed = sorted(group for group, seen in labels.items() if group and len(seen) > 1)
    if mixed:
        seen = ", ".join(sorted(labels[mixed[0]])[:3])
        notes.append(
            f"{len(mixed):,} {'group has' if len(mixed) == 1 else 'groups have'} images of several labels, "
            f"as {mixed[0]!r} ({seen}): wrong labels, or a group that is no single object"
        )
    return notes


def tidy(group: str) -> str:
    """Return a group's key as it is compared: composed (NFC), without space around."""
    return unicodedata.normalize("NFC", group).strip()


def _path(image: SourceImage) -> str:
    parts = image.image.split("/")
    for level, folder in enumerate(parts[:-1][:2] if image.split else ()):
        if split_of(folder) == image.split:
            return "/".join(parts[:level] + parts[level + 1 :])
    return image.image


def _key(found: re.Match[str] | None) -> str:
    if found is None:
        return ""
    return (found[1] if found.re.groups else found[0]) or ""


def _images(count: int) -> str:
    return f"{count:,} {'image is' if count == 1 else 'images are'}"
