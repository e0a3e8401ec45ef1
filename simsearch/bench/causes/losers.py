"""Which classes and queries lost most, and a picture of their neighbours before and after."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from simsearch.arrays import Pixels
from simsearch.bench.judging.metrics import METRICS, kept_name
from simsearch.bench.judging.pairing import shared_queries
from simsearch.bench.records import Finding, Loser, Result
from simsearch.evaluation.systems import gather
from simsearch.images.decode import decode
from simsearch.images.montage import MontageRow, montage_png
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
    """Return two rows a query as PNG: its neighbours in the accepted night, and tonight."""
    before, after = (
        _neighbours(side, [place[i] for place in places], word)
        for i, (side, word) in enumerate(zip(sides, ("before", "after"), strict=True))
    )
    return montage_png([row for pair in zip(before, after, strict=True) for row in pair])


def _neighbours(side: Side, places: list[int], word: str) -> list[MontageRow]:
    records = side.table.records
    queries = [record for record in records if record.query]
    chosen = [queries[place] for place in places]
    features = gather(side.features, np.array([query.row for query in chosen], dtype=np.int64))
    index = side.index
    wanted = min(NEIGHBOURS + 1, index.ntotal)
    scores, rows, _ = index.search(normalize(features), wanted, side.search, rows_below=side.table.gallery)
    shown = []
    with ThumbnailReader(side.artifacts["dataset"].path) as thumbnails:
        for query, near, near_scores in zip(chosen, rows.tolist(), scores.tolist(), strict=True):
            hits: list[tuple[Pixels | None, list[str]]] = []
            for row, score in zip(near, near_scores, strict=True):
                if row != query.row:
                    wrong = "" if records[row].label == query.label else "  wrong"
                    hits.append((decode(thumbnails[row]), [records[row].label, f"{score:.3f}{wrong}"]))
            shown.append(MontageRow(decode(thumbnails[query.row]), f"{word}: {query.label}", hits[:NEIGHBOURS]))
    return shown
