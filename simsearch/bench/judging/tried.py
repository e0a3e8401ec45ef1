"""Defects of two nights: the images that tried the scores of both, and the two figures compared over them.

Scores of two nights have two scales: what is compared is which images a score sets above which others, and which ones
its threshold calls defective. Images of one group are one value of a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from simsearch.arrays import Doubles, Flags, Integers, Numbers
from simsearch.bench.judging.compared import Compared, Pair
from simsearch.bench.judging.metrics import AUROC, DEFECTS, FALSE_ALARMS, METRICS
from simsearch.bench.records import Result
from simsearch.defects.conformal import numbered
from simsearch.statistics.ranks import auroc, auroc_differences, outscored


def shared_images(before: Result, after: Result) -> tuple[Integers, Integers]:
    """Return where the images that tried both nights' scores stand in each, (n,) and (n,), in the order of `after`.

    An image that was normal in one night and defective in the other is not shared.
    """
    if not before.tried or not after.tried:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    place = {key: i for i, key in enumerate(zip(before.tried, before.per_image["defective"].tolist(), strict=True))}
    roles = zip(after.tried, after.per_image["defective"].tolist(), strict=True)
    found = [(place[key], i) for i, key in enumerate(roles) if key in place]
    columns = np.array(found, dtype=np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def compared_defects(before: Result, after: Result) -> Iterator[Compared]:
    """Yield image AUROC and false alarm rate of a cell, over the images that tried both nights' scores."""
    one, other = shared_images(before, after)
    if not len(one):
        return
    defective = after.per_image["defective"][other] > 0
    normal = ~defective
    groups = _groups(before.per_image["group"][one], after.per_image["group"][other])
    name = after.cell.name
    if defective.any() and normal.any():
        old, new = _sides(before, one, defective), _sides(after, other, defective)
        of = numbered(np.concatenate((groups[defective], groups[normal])), len(groups))
        moved = np.round(auroc_differences(old, new, of), 9)
        yield Compared(name, (AUROC, None, "all"), auroc(*old), auroc(*new), moved, len(one))
    if normal.any():
        of = numbered(groups[normal], int(normal.sum()))
        was, now = (
            np.bincount(of, weights=result.per_image["flagged"][rows][normal]) / np.bincount(of)
            for result, rows in ((before, one), (after, other))
        )
        key, moved = (FALSE_ALARMS, None, "all"), np.round(now - was, 9)
        yield Compared(name, key, float(was.mean()), float(now.mean()), moved, int(normal.sum()))


def each_image(metric: str, result: Result, rows: Integers) -> tuple[Integers, Doubles]:
    """Return which of the images in `rows` a figure is told of, as places in `rows` (n,), and its value for each."""
    defective = result.per_image["defective"][rows] > 0
    if metric == FALSE_ALARMS:
        return np.flatnonzero(~defective), np.asarray(result.per_image["flagged"][rows][~defective], dtype=np.float64)
    return np.flatnonzero(defective), outscored(*_sides(result, rows, defective))


def apart(before: Result, after: Result) -> bool:
    """Return whether both nights have a figure of defects that cannot be compared, for want of shared images."""
    both = _measured(before) & _measured(after)
    return bool(both - {entry.key[0] for entry in compared_defects(before, after)})


def changes(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield what of defects is not compared, or not over all images, in words, once a recipe."""
    for before, after in pairs:
        lost, new = (_measured(one) - _measured(other) for one, other in ((before, after), (after, before)))
        for names, why in ((lost, "tonight has none"), (new, "the accepted night has none")):
            told = " and ".join(METRICS[name].words for name in DEFECTS if name in names)
            if told:
                yield f"{after.cell.recipe}: {told} could not be compared: {why}"
        shared = len(shared_images(before, after)[0])
        if before.tried and after.tried and not shared == len(before.tried) == len(after.tried):
            yield (
                f"{after.cell.recipe}: other images tried the defect scores: compared on the {shared:,} that both "
                f"nights have ({len(before.tried):,} in the accepted night, {len(after.tried):,} tonight)"
            )


def _measured(result: Result) -> set[str]:
    return {figure.metric for figure in result.figures} & set(DEFECTS) if result.tried else set()


def _sides(result: Result, rows: Integers, defective: Flags) -> tuple[Numbers, Numbers]:
    scores = result.per_image["score"][rows]
    return scores[defective], scores[~defective]


def _groups(before: Numbers, after: Numbers) -> Integers:
    """Return the groups of shared images, by that night's which has fewer: images alike to either are not parted."""
    found = [numbered(groups.astype(np.int64), len(groups)) for groups in (before, after)]
    return min(found, key=lambda numbers: int(numbers.max()))
