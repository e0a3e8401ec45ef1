"""Which rows of a data set are normal, and what each is for: fitted on, counted for the threshold, or tried.

No group of images is ever in two of these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Doubles, Flags, Integers, Labels
from simsearch.console import safe, some
from simsearch.defects.conformal import groups_needed, numbered
from simsearch.defects.outliers import outliers
from simsearch.errors import RecipeError, VectorsError, near_words, nearest
from simsearch.evaluation.own import numbered as group_numbers
from simsearch.images.records import ImageRecord
from simsearch.recipe.defects import AUTO, Defects

CALIBRATION = 0.3  # share of the groups that set the threshold, where they are not needed to fit
LEAST_NORMALS = 2
MOST_NUMBERS = 4096  # of a feature, whose scatter method mahalanobis tells in a bearable time
SPLIT, LEFT_OUT = "split", "leave one group out"


@dataclass(frozen=True)
class Parts:
    """Rows, each ascending: normal ones that are fitted on, set the threshold and are tried; defective ones, tried.

    `at_hand`: defective ones that choose the method, and are not tried.

    `how` the threshold is set: by `calibration`, or by the rows of `fit` with each group left out in turn, when
    `calibration` is those same rows. `groups` (N,) of every row, None where images have none.
    """

    fit: Integers
    calibration: Integers
    test: Integers
    defects: Integers
    at_hand: Integers
    how: str
    groups: Labels | None

    def groups_of(self, rows: Integers) -> Labels | None:
        """Return the group of each of some rows."""
        return None if self.groups is None else self.groups[rows]

    def count(self, rows: Integers) -> int:
        """Return how many groups some rows are of."""
        return int(numbered(self.groups_of(rows), len(rows)).max(initial=-1)) + 1


def check_normals(records: Sequence[ImageRecord], table: Defects) -> None:
    """Raise RecipeError for a label that no image has, and for too few images of it."""
    labels = sorted({record.label for record in records} - {""})
    if table.normal is not None and table.normal not in labels:
        said, near = near_words(table.normal, nearest(table.normal, labels))
        hint = f"labels here: {safe(some(labels, 8))}" if labels else "no image has a label: leave it out"
        raise RecipeError(f"[defects] normal: no image has the label {table.normal!r}{said}", near=near, hint=hint)
    if table.normal is None and len(labels) > 1:
        raise RecipeError(
            f"[defects] normal is missing: the images have {len(labels):,} labels ({safe(some(labels))})",
            hint=f"--set defects.normal={labels[0]!r} names the label of normal images; "
            "--set dataset.labels=false takes all images as normal",
        )
    normals = sum(table.normal in (None, record.label) for record in records)
    if normals < LEAST_NORMALS:
        raise VectorsError(
            f"expected at least {LEAST_NORMALS} normal images, seen {normals}",
            hint="how far normal images differ cannot be told from fewer: give more of them",
        )


def parts(records: Sequence[ImageRecord], table: Defects, *, learned: bool, deleted: Integers | None = None) -> Parts:
    """Return what each row is for; `learned`: the embedder was trained on the fit images.

    Where there are defective images, normal query images are tried beside them. What a trained embedder has seen sets
    no threshold: that do the normal val images and half of the query images. Of an embedder that was not trained a part
    of the groups does, or, where that part is too small for the rate, every group left out in turn.
    Rows that a sync deleted are for nothing; what it added is fitted on, or sets the threshold.
    """
    groups = group_numbers([record.group for record in records])
    there = ~np.isin(np.arange(len(records)), [] if deleted is None else deleted)
    normal = np.array([table.normal in (None, record.label) for record in records]) & there
    other = ~normal & there
    fit, query = (np.array([getattr(record, flag) for record in records]) for flag in ("fit", "query"))
    held = fit | np.array([record.val for record in records])
    seen = held if learned or table.method == AUTO else np.zeros(len(records), dtype=np.bool_)
    tried = normal & query if other.any() else np.zeros(len(records), dtype=np.bool_)
    number = numbered(groups, len(records))
    if learned:
        rows = normal & query
        half = rows & _some(number, rows, 0.5)
        calibration, fitted, tried = (normal & ~fit & ~query) | half, normal & fit, tried & ~half
        how = SPLIT
    else:
        pool = normal & ~tried & ~np.isin(number, number[tried])
        calibration = pool & _some(number, pool, CALIBRATION)
        enough = len(np.unique(number[calibration])) >= groups_needed(table.false_alarms)
        fitted, how = (pool & ~calibration, SPLIT) if enough else (pool, LEFT_OUT)
        calibration = calibration if enough else pool
    return Parts(
        fit=np.flatnonzero(fitted),
        calibration=np.flatnonzero(calibration),
        test=np.flatnonzero(tried),
        defects=np.flatnonzero(other & ~seen),
        at_hand=np.flatnonzero(other & seen),
        how=how,
        groups=groups,
    )


def refuse_outliers(records: Sequence[ImageRecord], rows: Integers, scores: Doubles) -> None:
    """Raise VectorsError, which names them, for normal images whose defect scores (N,) are far above the others'."""
    if len(far := outliers(scores)):
        worst = [records[row].image for row in rows[far].tolist()]
        raise VectorsError(
            f"{len(far):,} of {len(scores):,} normal images are far from all others: {safe(some(worst))}",
            hint="look at them: defective ones do not belong there; --set defects.outliers=keep takes them as normal",
        )


def _some(number: Integers, rows: Flags, share: float) -> Flags:
    """Return which rows are of a share of the groups of `rows`, drawn by a fixed seed."""
    known = np.unique(number[rows])
    drawn = np.random.default_rng(0).permutation(known)[: math.ceil(share * len(known))]
    return np.isin(number, drawn)
