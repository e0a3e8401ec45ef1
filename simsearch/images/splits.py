"""The four flags of every image: fit, val, gallery, query; closed set or class-disjoint.

Within a class the images are ranked by a hash of (seed, use, own sha256, own name), so that adding or renaming one
file moves at most the images next to a boundary, never all of them. Images of a group go together and are ranked by
its key. An official split that parts a group is kept, counted and said. Labels that are to stay unseen are only
searched with, in the closed set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from simsearch.console import safe, some
from simsearch.errors import SourceError, near_words, nearest
from simsearch.images.choosing import Row, by_group, by_label, choose, share_of
from simsearch.images.records import ImageRecord
from simsearch.images.sources.source import SourceImage

QUERY_SHARE = 0.2
VAL_SHARE = 0.1


def assign(
    images: Sequence[SourceImage],
    sha256: Sequence[str],
    *,
    split: str,
    test_classes: int | float,
    seed: int,
    labelled: bool,
    unseen: Collection[str] = (),
) -> tuple[list[ImageRecord], list[str]]:
    """Return the records in row order (gallery, then query-only, then the rest, each by name) and one-line notes.

    Labels that are `unseen`, and what shares a group with them, are neither trained on nor searched in. Raises
    SourceError when the images cannot be split as asked.
    """
    rows = [Row(image, digest) for image, digest in zip(images, sha256, strict=True)]
    rows.sort(key=lambda row: row.image.image)
    if not rows:
        raise SourceError("no image can be used")
    if split not in ("closed", "disjoint"):
        raise SourceError(f"dataset.split is {split!r}: expected closed or disjoint")
    if unseen:
        _check_unseen(unseen, {row.image.label for row in rows} - {""}, split)
    if split == "disjoint":
        if not labelled:
            raise SourceError(
                'dataset.split = "disjoint" needs labels, and this source has none',
                hint="--set dataset.split=closed needs none; dataset.labels = false takes away those that there are",
            )
        notes = _disjoint(rows, test_classes, seed)
    elif labelled:
        notes = _closed(rows, seed, unseen)
    else:
        notes = _unlabelled(rows, seed)
    notes += _parted(rows)
    rows.sort(key=lambda row: 0 if row.gallery else 1 if row.query else 2)
    return [_record(number, row) for number, row in enumerate(rows)], notes


def _record(number: int, row: Row) -> ImageRecord:
    image, flags = row.image, (row.fit, row.val, row.gallery, row.query)
    return ImageRecord(number, image.image, image.label, *flags, row.sha256, image.group, image.extras)


def _check_unseen(unseen: Collection[str], labels: set[str], split: str) -> None:
    if split == "disjoint":
        raise SourceError(
            'dataset.split = "disjoint" tells which labels are not trained on, and so does defects.unseen = '
            f"{list(unseen)}",
            hint="leave one of them out",
        )
    for label in sorted(set(unseen) - labels):
        said, near = near_words(label, nearest(label, sorted(labels)))
        raise SourceError(
            f"defects.unseen: no image has the label {label!r}{said}",
            near=near,
            hint=f"labels here: {safe(some(sorted(labels), 8))}" if labels else "no image has a label: leave it out",
        )


def _closed(rows: list[Row], seed: int, unseen: Collection[str]) -> list[str]:
    notes, grouped = [], _grouped(rows)
    apart = {row.key for row in rows if row.image.label in unseen}
    for row in rows:
        row.query = row.key in apart
    if unseen:
        held = sum(row.query for row in rows)
        if held == len(rows):
            raise SourceError(
                "defects.unseen leaves nothing to train on and to search in: all images have these labels, or groups "
                "with them",
                hint="name fewer labels",
            )
        groups = " and the groups of their images" if grouped else ""
        notes.append(f"{some(sorted(unseen))}{groups}: {held:,} images are neither trained on nor searched in")
    if any(row.image.split == "test" for row in rows):
        for row in rows:
            row.query |= row.image.split == "test"
        sizes = _sizes(rows)
        if all(row.query for row in rows):
            raise SourceError(
                "every image belongs to the test split: nothing is left to search in",
                hint="give images of another split, or leave the split out, so that one is made",
            )
        alone = {row.image.label for row in rows} - {row.image.label for row in rows if not row.query} - set(unseen)
        if alone:
            notes.append(f"{_count(len(alone))} only in the test split: searched with, never found")
    else:
        # Images that the source keeps for watching are never searched with.
        watched = {row.key for row in rows if row.image.split == "val"}
        pool = [row for row in rows if row.key not in watched | apart]
        sizes = {row.image.label: 0 for row in rows} | _sizes(pool)
        chosen = choose(pool, QUERY_SHARE, seed, "query", one_at_least=True)
        if not chosen and not apart:
            return _alone(rows, pool or rows, seed)
        for row in chosen:
            row.query = True
    for row in rows:
        row.gallery = row.fit = not row.query
    single = sum(size == 1 for size in sizes.values())
    if single:
        verb = "has" if single == 1 else "have"
        where = "kept in the gallery, never searched with"
        if any(row.image.split == "test" for row in rows):
            where = "kept as the source splits them"
        notes.append(f"{_count(single, verb)} one {'group' if grouped else 'image'}: {where}")
    _hold_back(rows, seed, official=any(row.image.split == "val" for row in rows))
    return notes


def _alone(rows: list[Row], pool: list[Row], seed: int) -> list[str]:
    """Where no label can be parted: all are searched in, and some are searched with, each without itself."""
    apart = [Row(replace(row.image, label=""), row.sha256) for row in pool]
    chosen = {row.image.image for row in choose(apart, QUERY_SHARE, seed, "query", one_at_least=True)}
    for row in rows:
        row.gallery, row.val, row.query = True, row.image.split == "val", row.image.image in chosen
    return []


def _disjoint(rows: list[Row], test_classes: int | float, seed: int) -> list[str]:
    labels = sorted({row.image.label for row in rows})
    total = len(labels)
    count = test_classes if isinstance(test_classes, int) else share_of(test_classes, total)
    share_out = isinstance(test_classes, float) and not 0 < test_classes < 1
    if share_out or isinstance(test_classes, bool) or not 2 <= count <= total - 2:
        raise SourceError(
            f"dataset.test_classes is {test_classes} and the source has {total} classes: "
            "both sides need at least 2 classes",
            hint="give a count of 2 or more that leaves 2 classes to train on, or a share between 0 and 1",
        )
    held_out = set(labels[total - count :])
    sizes = {label: size for label, size in _sizes(rows).items() if label in held_out}
    _need_pairs(sizes, "test ", grouped=_grouped(rows))
    for row in rows:
        row.gallery = row.query = row.image.label in held_out
        row.fit = not row.gallery
    notes = ["class-disjoint: the source's own split is not used"] if any(row.image.split for row in rows) else []
    searched = {row.key for row in rows if row.gallery}
    both = [row for row in rows if row.fit and row.key in searched]
    for row in both:
        row.fit = False
    if both:
        images = "1 image is" if len(both) == 1 else f"{len(both):,} images are"
        notes.append(f"{images} not trained on: their groups have images of labels that are searched")
    _hold_back(rows, seed, official=False)
    return notes


def _unlabelled(rows: list[Row], seed: int) -> list[str]:
    if any(row.image.split == "test" for row in rows) and not all(row.image.split == "test" for row in rows):
        chosen = [row for row in rows if row.image.split == "test"]
    else:
        chosen = choose(rows, QUERY_SHARE, seed, "query", one_at_least=True)
    for row in chosen:
        row.query = True
    for row in rows:
        row.gallery = not row.query
    return []


def _hold_back(rows: list[Row], seed: int, *, official: bool) -> None:
    """Move the official val images, or a tenth of each class, from fit to val."""
    fit = [row for row in rows if row.fit]
    if official:
        held = [row for row in fit if row.image.split == "val"]
    else:
        held = choose(fit, VAL_SHARE, seed, "val", one_at_least=False)
    for row in held:
        row.fit, row.val = False, True


def _grouped(rows: Iterable[Row]) -> bool:
    return any(row.image.group for row in rows)


def _sizes(rows: list[Row]) -> dict[str, int]:
    """Return how many groups (images, where none has a group) each label has."""
    return {label: len({row.key for row in members}) for label, members in by_label(rows).items()}


def _parted(rows: list[Row]) -> list[str]:
    """Return a note of the groups that the source's own split parts, if any."""
    used = [row for row in rows if row.fit or row.val or row.gallery or row.query]
    groups = by_group(used).values()
    parted = [members for members in groups if len({(row.fit, row.val, row.query) for row in members}) > 1]
    if not parted:
        return []
    are = "group is" if len(parted) == 1 else "groups are"
    return [
        f"{len(parted):,} {are} on both sides of the split ({sum(map(len, parted)):,} images, as "
        f"{parted[0][0].image.group!r}): kept as the source splits them; no query finds its own group in evaluation"
    ]


def _need_pairs(sizes: dict[str, int], kind: str = "", *, grouped: bool = False) -> None:
    pairs = sum(size >= 2 for size in sizes.values())
    if pairs < 2:
        two, put = "two images or more", "put at least two images into each of two class folders (class/x.jpg)"
        if grouped:
            two, put = "two groups or more", "images of one group are never searched for one another: see dataset.group"
        raise SourceError(
            f"{pairs} of {len(sizes)} {kind}classes {'has' if pairs == 1 else 'have'} {two}: "
            "expected at least 2 such classes",
            hint=f"{put}; --set dataset.split=closed builds without figures, too",
        )


def _count(classes: int, verb: str = "") -> str:
    verb = verb or ("is" if classes == 1 else "are")
    return f"{classes:,} {'class' if classes == 1 else 'classes'} {verb}"
