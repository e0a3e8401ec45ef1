"""How many photos in the gallery: recall@1 against 1, 2, 4, 8, ... photos a label, with the embedder as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from simsearch.arrays import Doubles, Flags, Floats, Integers, Labels
from simsearch.evaluation.systems import FeatureSource, Task, gather
from simsearch.statistics.over_labels import difference_interval, error_over_labels, share_interval
from simsearch.vectors.normalize import normalize

LEAST_LABELS = 10  # with fewer, or fewer that change, nothing is told of other labels
LEAST_POINTS = 4  # three to fit, and one that they must foretell
ORDERS = 5
MOST_QUERIES = 1000
MOST_THIN = 200  # labels that are listed
_BLOCK_NUMBERS = 4_000_000  # scores at a time: 16 MB, twice


@dataclass(frozen=True)
class GalleryCurve:
    """recall@1 at each of `counts` gallery photos a label, and its 95 % interval over labels.

    The same `labels` and `queries` at every point; only photos of these labels are searched. `gain`: what the last
    doubling brought, its interval, None where fewer than 10 labels have a query that changes. `foretold`: the gain that
    a power law through all points but the last expects of it, None where none can be laid through them.
    """

    counts: Sequence[int]
    recall: Sequence[float]
    intervals: Sequence[tuple[float, float]]
    labels: int
    queries: int
    orders: int
    gain: float
    gain_interval: tuple[float, float] | None
    foretold: float | None

    @property
    def forecast(self) -> bool:
        """Whether the next doubling likely brings at most as much as the last, which was foretold."""
        if self.gain_interval is None or self.foretold is None or self.gain <= 0:
            return False
        return self.gain_interval[0] <= self.foretold <= self.gain_interval[1]


def photos_a_label(task: Task) -> tuple[Labels, Integers]:
    """Return the labels that have queries, (n,), and how many gallery photos each of their queries can find, (n,)."""
    assert task.relevant is not None
    asked = np.flatnonzero(task.query_labels >= 0)
    names, of_query = np.unique(task.query_labels[asked], return_inverse=True)
    least = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(least, of_query.ravel(), task.relevant[asked])
    return names, least


def last_count(photos: Integers) -> int:
    """Return the largest power of two that half of the labels have, and at least 10 of them; 0 where that is below 2.

    `photos` (n,) are those of each label.
    """
    needed = max(LEAST_LABELS, math.ceil(len(photos) / 2))
    reached = int(np.sort(photos)[::-1][needed - 1]) if len(photos) >= needed else 0
    return 0 if reached < 2 else 1 << (reached.bit_length() - 1)


def gallery_curve(
    source: FeatureSource, task: Task, *, orders: int = ORDERS, most_queries: int = MOST_QUERIES, seed: int = 0
) -> GalleryCurve | None:
    """Return recall@1 of exact cosine search with the first 1, 2, 4, ... photos of each label; None for few labels.

    The labels are those with queries and at least `last_count` photos that each of these can find. A label's photos
    stand in a seeded order, each gallery holds the one before, and the mean is over `orders` of them. A query's own row
    and group are never found, and where another label scores as high, the query is wrong. Beyond `most_queries` a
    seeded draw of the queries is taken. Raises VectorsError for a feature without direction.
    """
    if task.relevant is None:
        return None
    names, photos = photos_a_label(task)
    last = last_count(photos)
    if not last:
        return None
    names = names[photos >= last]
    random = np.random.default_rng(seed)
    asked = np.flatnonzero(np.isin(task.query_labels, names))
    asked = np.sort(random.permutation(asked)[:most_queries])
    label = np.searchsorted(names, task.query_labels[asked])
    counts = [1 << level for level in range(last.bit_length())]
    true, given, weights = _mistakes(source, task, asked, names, label, len(counts), orders, random)
    trials = np.bincount(label, minlength=len(names))
    shares = weights.sum(axis=0) / len(asked)
    errors = [error_over_labels(true, given, column, trials) for column in weights.T]
    erring = [len(np.unique(true[column > 0])) for column in weights.T]
    parts = zip(shares, errors, erring, strict=True)
    ends = [share_interval(float(1 - p), error, len(names), some) for p, error, some in parts]
    change = weights[:, -2] - weights[:, -1]
    gain = float(shares[-2] - shares[-1])
    interval = None
    if len(np.unique(np.concatenate((true[change != 0], given[change != 0])))) >= LEAST_LABELS:
        interval = difference_interval(gain, error_over_labels(true, given, change, trials), len(names))
    recall = (1 - shares).tolist()
    return GalleryCurve(counts, recall, ends, len(names), len(asked), orders, gain, interval, foretold_gain(shares))


def curve_report(curve: GalleryCurve, task: Task, name: Callable[[int], str | None]) -> dict[str, Any]:
    """Return the curve ready for report.json, with the first 200 labels that are too thin for it, thinnest first."""
    names, photos = photos_a_label(task)
    thin = [(int(n), name(int(label))) for label, n in zip(names, photos, strict=True) if n < curve.counts[-1]]
    listed = [{"label": label, "photos": n} for n, label in sorted(thin, key=lambda one: (one[0], one[1] or ""))]
    told = {"forecast": curve.forecast, "thin": listed[:MOST_THIN], "thin_total": len(thin)}
    return {**asdict(curve), **told}


def foretold_gain(errors: Doubles) -> float | None:
    """Return what the last doubling takes off `errors` (n,), each at twice the photos of the one before, as foretold.

    By error = a n^-b with b > 0, the least squares line on log axes through all but the last: each doubling then takes
    off less than the one before. None for fewer than four points, an error of 0 among those before, or no such b.
    """
    before = errors[:-1]
    if len(errors) < LEAST_POINTS or before.min() <= 0:
        return None
    slope, start = np.polyfit(np.arange(len(before)), np.log(before), 1)
    return float(before[-1] - np.exp(start + slope * len(before))) if slope < 0 else None


def _mistakes(
    source: FeatureSource,
    task: Task,
    asked: Integers,
    names: Labels,
    label: Integers,
    levels: int,
    orders: int,
    random: np.random.Generator,
) -> tuple[Integers, Integers, Doubles]:
    """Return each couple (label of queries, label found instead), twice (M,), and how many queries at each count."""
    rows = np.flatnonzero(np.isin(task.gallery_labels, names))
    rows = rows[np.argsort(task.gallery_labels[rows], kind="stable")]  # side by side, to be gathered from one place
    of_row = np.searchsorted(names, task.gallery_labels[rows])
    base, queries = normalize(gather(source, rows)), normalize(gather(source, task.query_rows[asked]))
    shuffled = [np.lexsort((random.random(len(rows)), of_row)) for _ in range(orders)]
    first = np.searchsorted(of_row, np.arange(len(names) + 1))
    size = max(1, _BLOCK_NUMBERS // len(rows))
    codes, columns = [], []
    for start in range(0, len(asked), size):
        span = slice(start, start + size)
        scores = queries[span] @ base.T
        own = task.own.part(asked[span]).is_own(rows[None, :])
        scores[own] = -np.inf
        for order in shuffled:
            for level, (other, wrong) in enumerate(_answers(scores, own, order, first, label[span], levels)):
                codes.append(label[span][wrong] * len(names) + other[wrong])
                columns.append(np.full(int(wrong.sum()), level))
    couples, place = np.unique(np.concatenate(codes), return_inverse=True)
    weights = np.zeros((len(couples), levels))
    np.add.at(weights, (place.ravel(), np.concatenate(columns)), 1 / orders)
    return couples // len(names), couples % len(names), weights


def _answers(
    scores: Floats, own: Flags, order: Integers, first: Integers, label: Integers, levels: int
) -> Iterator[tuple[Integers, Flags]]:
    """Yield at each count the best other label of each query (B,), and whether it scores as high as the query's own.

    One running maximum a label serves all counts.
    """
    last = 1 << (levels - 1)
    # (B, last, L): maxima then run over whole rows of labels, which is faster than over short runs of photos.
    columns = order[first[:-1] + np.arange(last)[:, None]]
    taken = scores.take(columns.ravel(), axis=1).reshape(len(scores), last, -1)
    queries = np.arange(len(scores))
    for i in np.flatnonzero(own.any(axis=1)):  # the next photos of its label move up to the place of a query's own
        rows = order[first[label[i]] : first[label[i] + 1]]
        taken[i, :, label[i]] = scores[i, rows[~own[i, rows]][:last]]
    best = taken[:, 0]
    for level in range(levels):
        if level:
            best = np.maximum(best, taken[:, 1 << (level - 1) : 1 << level].max(axis=1))
        others = best.copy()
        others[queries, label] = -np.inf
        other = others.argmax(axis=1)
        yield other, others[queries, other] >= best[queries, label]
