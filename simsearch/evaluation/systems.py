"""The seven systems over one set of queries: exact search three ways in two feature spaces, and the index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from simsearch.arrays import Flags, Floats, Integers, Labels
from simsearch.console import Tell
from simsearch.evaluation.comparison import BASELINES, HEADLINE
from simsearch.evaluation.measured import SystemResult, evaluate_system
from simsearch.evaluation.own import Own
from simsearch.evaluation.retrieval import relevant_counts
from simsearch.evaluation.verification import verify
from simsearch.vectors.exact import Neighbours, exact_search
from simsearch.vectors.normalize import normalize

Found = tuple[slice, Integers]

SYSTEMS = (*BASELINES, "recipe/raw-l2", "recipe/raw-ip", "recipe/cosine", HEADLINE)

_READ = 65_536


@dataclass(frozen=True)
class Nearest:
    """What exact cosine search found: k-th best scores (Q, len(ks)), and the first row and its score, each (Q,)."""

    thresholds: Floats
    rows: Integers
    scores: Floats


class FeatureSource(Protocol):
    """Raw features (N, D) float32 in row order, as FeatureFile gives them."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def read(self, start: int, stop: int) -> Floats: ...


@dataclass(frozen=True)
class Task:
    """What is searched: gallery rows [0, gallery) with the rows of the queries, and the labels of both, if any.

    A query row that lies in the gallery is searched leave-one-out: its own row is never among its neighbours, and, with
    `groups` (N,) of all rows (negative: one of its own), no row of its group.
    """

    gallery: int
    query_rows: Integers
    labels: Labels | None
    ks: tuple[int, ...]
    groups: Labels | None = None
    own: Own = field(init=False)
    relevant: Integers | None = field(init=False)

    def __post_init__(self) -> None:
        own = Own.of(self.query_rows, self.gallery, self.groups)
        object.__setattr__(self, "own", own)
        counts = None
        if self.labels is not None:
            counts = relevant_counts(self.query_labels, self.gallery_labels, own)
        object.__setattr__(self, "relevant", counts)

    @property
    def query_labels(self) -> Labels:
        """Labels of the queries, (Q,)."""
        assert self.labels is not None
        return self.labels[self.query_rows]

    @property
    def gallery_labels(self) -> Labels:
        """Labels of the gallery, (G,)."""
        assert self.labels is not None
        return self.labels[: self.gallery]

    @property
    def neighbours(self) -> int:
        """How many rows any query can get back: G less the most that a query leaves out as its own."""
        return self.gallery - self.own.most

    @property
    def query_groups(self) -> Labels | None:
        """Groups of the queries, (Q,); None where groups are not in use."""
        return self.own.groups

    def search(self, asked: Floats, base: Floats, depth: int, metric: Literal["ip", "l2"]) -> Iterator[Neighbours]:
        """Yield what `exact_search` finds that is not a query's own, for at least the first `depth` (or all) of each.

        Where a query's group is larger than that of others, what it gets beyond `neighbours` may be its own.
        """
        if self.own.groups is None:
            yield from exact_search(asked, base, depth, metric, self.own.rows)
            return
        for span, scores, rows in exact_search(asked, base, depth + self.own.most, metric):
            left, beside = self.own.part(span).without(rows, scores)
            yield span, beside, left

    def measure(self, found: Iterator[Found], boundary: Flags | None, *, deep: bool) -> SystemResult:
        """Return the figures of one system; none (and the search still runs) without labels."""
        if self.relevant is None:
            for _ in found:
                pass
            return SystemResult()
        return evaluate_system(
            found,
            self.query_labels,
            self.gallery_labels,
            relevant=self.relevant,
            boundary=boundary,
            ks=self.ks,
            deep=deep,
            most=self.neighbours,
        )


def blocks(source: FeatureSource, rows: int) -> Iterator[Floats]:
    """Yield the first `rows` of the features in blocks, (n, D) float32."""
    for start in range(0, rows, _READ):
        yield source.read(start, min(start + _READ, rows))


def gather(source: FeatureSource, rows: Integers) -> Floats:
    """Return the features of `rows`, (n, D) float32, reading the file in blocks."""
    features = np.empty((len(rows), source.shape[1]), dtype=np.float32)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    for start in range(0, source.shape[0], _READ):
        span = slice(*np.searchsorted(ordered, (start, start + _READ)))
        if span.start < span.stop:
            first, last = int(ordered[span.start]), int(ordered[span.stop - 1]) + 1
            features[order[span]] = source.read(first, last)[ordered[span] - first]
    return features


def exact_systems(
    prefix: Literal["baseline", "recipe"],
    source: FeatureSource,
    task: Task,
    boundary: Flags | None,
    *,
    name: Callable[[int], str] | None,
    progress: Tell,
) -> tuple[Mapping[str, SystemResult], Nearest]:
    """Return the results of raw-l2, raw-ip and cosine, and what cosine search found.

    The gallery is held once raw and once normalized; distances are never more than a block. `name(row)` names an
    image. Without labels nothing but cosine is searched. Raises VectorsError for a feature without direction.
    """
    queries, gallery = gather(source, task.query_rows), source.read(0, task.gallery)
    depth = max(*task.ks, 0 if task.relevant is None else int(task.relevant.max(initial=0)))
    count = len(queries)
    thresholds = np.empty((count, len(task.ks)), dtype=np.float32)
    nearest = Nearest(thresholds, np.empty(count, dtype=np.int64), np.empty(count, dtype=np.float32))
    columns = np.minimum(task.ks, task.neighbours) - 1
    results: dict[str, SystemResult] = {}

    def search(kind: str, metric: Literal["ip", "l2"], asked: Floats, base: Floats) -> None:
        progress(f"{prefix}/{kind}: exact search of {len(asked):,} queries in {len(base):,} rows")

        def found() -> Iterator[Found]:
            for span, scores, rows in task.search(asked, base, depth, metric):
                if kind == "cosine":
                    nearest.thresholds[span] = scores[:, columns]
                    nearest.rows[span], nearest.scores[span] = rows[:, 0], scores[:, 0]
                yield span, rows

        result = task.measure(found(), boundary, deep=True)
        if task.relevant is not None:
            progress(f"{prefix}/{kind}: verification of pairs of {len(asked):,} queries")
            # Cosines by the squared distance of embeddings: the same order, and no cancellation near 1.
            score: Literal["ip", "l2"] = "ip" if kind == "raw-ip" else "l2"
            result = result.verified(verify(asked, task.query_labels, score, groups=task.query_groups))
        results[f"{prefix}/{kind}"] = result

    # Cosine first: normalization names an image without direction, which the raw searches could not.
    query_name = None if name is None else lambda i: name(int(task.query_rows[i]))
    search("cosine", "ip", normalize(queries, name=query_name), normalize(gallery, name=name))
    if task.relevant is None:
        return dict.fromkeys((f"{prefix}/raw-l2", f"{prefix}/raw-ip", f"{prefix}/cosine"), SystemResult()), nearest
    search("raw-l2", "l2", queries, gallery)
    search("raw-ip", "ip", queries, gallery)
    return results, nearest
