"""Which classes and queries lost most, and a picture of their neighbours before and after."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from simsearch.arrays import Pixels
from simsearch.bench.judging.metrics import METRICS, kept_name
from simsearch.bench.judging.pairing import shared_queries
from simsearch.bench.records import Finding, Loser, Result
from simsearch.evaluation.systems import gather
from simsearch.images.decode import decode
from simsearch.images.montage import MontageRow, montage_png
from simsearch.images.records import ImageRecord
from simsearch.images.thumbnails import ThumbnailReader
from simsearch.vectors.normalize import normalize

if TYPE_CHECKING:
    from simsearch.bench.causes.checks import Side

CLASSES, QUERIES = 5, 5
PICTURED = 3
NEIGHBOURS = 6

Losers = tuple[tuple[Loser, ...], tuple[Loser, ...], bytes | None]


def losers(finding: Finding, before: Result, after: Result, sides: tuple[Side, Side]) -> Losers:
    """Return the classes and the queries of a finding that lost most, and a PNG of the first few queries."""
    one, other = shared_queries(before, after)
    name = kept_name(finding.metric, finding.k)
    old, new = before.per_query[name][one], after.per_query[name][other]
    loss = old - new if METRICS[finding.metric].higher_is_better else new - old
    records = [r for r in sides[1].table.records if r.query]
    labels = [records[i].label for i in other]
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for i, label in enumerate(labels):
        if not np.isnan(loss[i]):
            groups[label].append(i)
    classes = [Loser(label, len(at), float(old[at].mean()), float(new[at].mean())) for label, at in groups.items()]
    sign = METRICS[finding.metric].loss
    classes = sorted((c for c in classes if sign(c.before, c.after) > 0), key=lambda c: -sign(c.before, c.after) * c.n)
    worst = [int(i) for i in np.argsort(-np.nan_to_num(loss), kind="stable")[:QUERIES] if loss[i] > 0]
    queries = tuple(Loser(after.queries[other[i]], 1, float(old[i]), float(new[i])) for i in worst)
    shown = worst[:PICTURED]
    picture = _picture([(int(one[i]), int(other[i])) for i in shown], sides) if shown else None
    return tuple(classes[:CLASSES]), queries, picture


def _picture(places: list[tuple[int, int]], sides: tuple[Side, Side]) -> bytes:
    """Two rows a query: its neighbours in the accepted night, and tonight."""
    rows: list[MontageRow] = []
    shown = [
        _neighbours(side, [place[i] for place in places], word)
        for i, (side, word) in enumerate(zip(sides, ("before", "after"), strict=True))
    ]
    for pair in zip(*shown, strict=True):
        rows += pair
    return montage_png(rows)


def _neighbours(side: Side, places: list[int], word: str) -> list[MontageRow]:
    queries = [r for r in side.table.records if r.query]
    chosen = [queries[place] for place in places]
    features = gather(side.features, np.array([r.row for r in chosen], dtype=np.int64))
    index = side.index
    wanted = min(NEIGHBOURS + 1, index.ntotal)
    scores, rows, _ = index.search(normalize(features), wanted, side.search, rows_below=side.table.gallery)
    found = []
    with ThumbnailReader(side.artifacts["dataset"].path) as thumbnails:
        for record, near, near_scores in zip(chosen, rows.tolist(), scores.tolist(), strict=True):
            hits = _hits(record, near, near_scores, side.table.records, thumbnails)
            found.append(MontageRow(decode(thumbnails[record.row]), f"{word}: {record.label}", hits))
    return found


def _hits(
    query: ImageRecord, rows: list[int], scores: list[float], records: list[ImageRecord], thumbnails: ThumbnailReader
) -> list[tuple[Pixels | None, list[str]]]:
    shown: list[tuple[Any, list[str]]] = []
    for row, score in zip(rows, scores, strict=True):
        if row != query.row:
            right = records[row].label == query.label
            shown.append((decode(thumbnails[row]), [records[row].label, f"{score:.3f}" + ("" if right else "  wrong")]))
    return shown[:NEIGHBOURS]
