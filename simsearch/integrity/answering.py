"""A sample of answers of a build against exact search over its features."""

from __future__ import annotations

import json

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.artifacts import Artifact
from simsearch.changes.state import MASKED, rows_of
from simsearch.errors import VectorsError
from simsearch.evaluation.systems import gather
from simsearch.home import Build
from simsearch.stages.index import CORPUS, GALLERY
from simsearch.vectors.exact import exact_neighbours
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.index import Deleted, FaissIndex, Index
from simsearch.vectors.normalize import normalize

SAMPLE = 200  # rows that are searched with
K = 10
BLOCK = 65_536
ROUNDING = 1e-5  # scores of one pair, summed in another order
LEAST_EXACT = 0.999  # of an index that promises exact answers
STANDARD_ERRORS, SLACK = 3.0, 0.02  # how far a sample may stay behind the recorded ann_recall
HALF = 0.5  # of it, where the index has other rows than were measured
FEW = "fewer than two rows: there is nothing to compare"


def compared_answers(
    build: Build, evaluated: Artifact | None, dataset: Artifact, embed: Artifact, index: Artifact
) -> str:
    """Search with a sample of rows, their own left out, through the index and exactly.

    What is recorded is about the gallery: an index that has other rows besides, or was synced, may find fewer of its
    neighbours (of a class that it was not trained on), and says no only where it finds less than half as many.
    """
    opened, masked = open_index(index), rows_of(index, MASKED)
    gallery, recorded = int(index.facts["gallery"]), _recorded(evaluated)
    measured = opened.ntotal == gallery and not len(masked)
    with FeatureFile(embed.file("features.h5")) as features:
        if GALLERY in index.manifest["files"]:
            least = None if recorded is None else (recorded, 1.0)
            _sampled(build, open_index(index, GALLERY), features, masked[:0], least)
        least = None if recorded is None else (recorded, 1.0 if measured else HALF)
        told = _sampled(build, opened, features, masked, least)
    if recorded is None and not opened.is_flat:
        return f"{told}; nothing is recorded to compare it with"
    if opened.is_flat or told == FEW:
        return told
    return f"{told}, recorded is {recorded:.4f}" + ("" if measured else " for the gallery as it was built")


def _sampled(
    build: Build, opened: Index, features: FeatureFile, masked: Integers, least: tuple[float, float] | None
) -> str:
    """How much of the exact answers an index gives; VectorsError when it is less than `least`, (recorded, share)."""
    live = np.setdiff1d(np.arange(opened.ntotal), masked)
    k = min(K, len(live) - 1)
    if k < 1:
        return FEW
    sample = np.sort(np.random.default_rng(0).permutation(live)[:SAMPLE])
    queries = normalize(gather(features, sample))
    wanted = np.zeros(opened.ntotal, dtype=np.bool_)
    wanted[live] = True
    blocks = zip(range(0, opened.ntotal, BLOCK), features.blocks(0, opened.ntotal, BLOCK), strict=True)
    base = (normalize(block[wanted[start:][: len(block)]]) for start, block in blocks)
    exact, exact_rows = exact_neighbours(queries, (block for block in base if len(block)), k + 1)
    exact = _without(live[exact_rows], exact, sample, k)
    deleted = Deleted(masked, opened.ntotal) if len(masked) else None
    scores, rows, _ = opened.search(queries, k + 1, build.record.search, deleted=deleted)
    true = _true_scores(features, queries, rows)
    scores, true = (_without(rows, values, sample, k) for values in (scores, true))
    if opened.stores_vectors and not np.abs(scores - true).max() < ROUNDING:
        raise VectorsError(f"a score differs from that of the features by {np.abs(scores - true).max():.3g}")
    recalls = (true >= exact[:, -1:] - ROUNDING).mean(axis=1)
    recall = float(recalls.mean())
    told = f"{recall:.4f} of the exact first {k} for {len(sample)} rows"
    if opened.is_flat:
        if recall < LEAST_EXACT:
            raise VectorsError(f"{told}, where all were expected")
    elif least is not None:
        recorded, share = least
        if recall < share * recorded - SLACK - STANDARD_ERRORS * float(recalls.std()) / len(recalls) ** 0.5:
            raise VectorsError(f"{told}, recorded is {recorded:.4f}")
    return told


def _without(rows: Integers, values: Floats, own: Integers, k: int) -> Floats:
    """The first k values (Q, k) of those (Q, k + 1) that are not of a query's own row."""
    order = np.argsort(rows == own[:, None], axis=1, kind="stable")[:, :k]
    return np.take_along_axis(values, order, axis=1)


def _true_scores(features: FeatureFile, queries: Floats, rows: Integers) -> Floats:
    found = np.unique(rows)
    stored = normalize(gather(features, found))
    scores: Floats = np.einsum("qd,qkd->qk", queries, stored[np.searchsorted(found, rows)])
    return scores


def _recorded(evaluated: Artifact | None) -> float | None:
    if evaluated is None:
        return None
    shares = json.loads(evaluated.file("report.json").read_bytes())["index"]["ann_recall"]
    share = shares.get(str(K)) or next(reversed(shares.values()), None)
    return None if share is None else float(share)


def open_index(index: Artifact, name: str = CORPUS) -> Index:
    """Return an index of an index artifact, read from its file."""
    return FaissIndex.load(index.file(name), factory=str(index.facts["factory"]))
