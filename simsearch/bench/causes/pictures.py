"""Queries with their neighbours before and after a change, two lines each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from simsearch.bench.causes.checks import Side
from simsearch.evaluation.systems import gather
from simsearch.images.formats.decode import decode
from simsearch.images.montage import MontageRow, Tile
from simsearch.images.thumbnails import ThumbnailReader
from simsearch.vectors.normalize import normalize

NEIGHBOURS = 6


def before_and_after(rows: Sequence[tuple[int, int]], sides: tuple[Side, Side]) -> list[MontageRow]:
    """Return two lines for each query, which has a row in each of the two sides: its neighbours in one, in the other.

    Its own group is left out, as it is when figures are taken.
    """
    before, after = (
        _neighbours(side, [pair[number] for pair in rows], word)
        for number, (side, word) in enumerate(zip(sides, ("before", "after"), strict=True))
    )
    return [line for pair in zip(before, after, strict=True) for line in pair]


def _neighbours(side: Side, chosen: Sequence[int], word: str) -> list[MontageRow]:
    records = side.table.records
    features = gather(side.features, np.array(chosen, dtype=np.int64))
    index = side.index
    sizes = Counter(record.group for record in records if record.group)
    own = max(sizes[records[row].group] for row in chosen) + 1
    wanted = min(NEIGHBOURS + own, index.ntotal)
    scores, rows, _ = index.search(normalize(features), wanted, side.search, rows_below=side.table.gallery)
    shown = []
    with ThumbnailReader(side.artifacts["dataset"].path) as thumbnails:
        for query, near, near_scores in zip(
            map(records.__getitem__, chosen), rows.tolist(), scores.tolist(), strict=True
        ):
            hits: list[Tile] = []
            for row, score in zip(near, near_scores, strict=True):
                if row != query.row and not (query.group and records[row].group == query.group):
                    wrong = "" if records[row].label == query.label else "  wrong"
                    hits.append(Tile(decode(thumbnails[row]), [records[row].label, f"{score:.3f}{wrong}"]))
            shown.append(MontageRow(decode(thumbnails[query.row]), f"{word}: {query.label}", hits[:NEIGHBOURS]))
    return shown
