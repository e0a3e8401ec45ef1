"""One hit of each group of near-identical ones: `query --collapse`, which alone imports this.

Hits are alike when their bytes are the same or their pictures look the same (`images.perceptual`). A score cannot tell:
copies of photos in another size scored 0.83 to 0.98 with each other, and a trained space brings whole labels above
0.999. Only in a build of vectors, which has no pictures, a score above 0.999 stands for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simsearch.arrays import Pixels
from simsearch.errors import VectorsError
from simsearch.images.perceptual import find_copy, near_hashes, reduction
from simsearch.images.records import RecordTable
from simsearch.images.thumbnails import ThumbnailReader
from simsearch.vectors.normalize import NEARLY_EQUAL

if TYPE_CHECKING:
    from simsearch.search.question import Answer
    from simsearch.vectors.index import Index

_LOOKS = 1 << 16  # pictures whose looks are remembered

Fetch = Callable[[int], "Answer"]
Find = Callable[[int], int | None]


class Alike:
    """Tells which rows of a build are near-identical; `pictures` is the folder of its thumbnails, None without any.

    Several threads may use it until `close`.
    """

    def __init__(self, records: RecordTable, pictures: Path | None, index: Index) -> None:
        self._records, self._index = records, index
        self._pictures = None if pictures is None else ThumbnailReader(pictures)
        self._look = lru_cache(_LOOKS)(self._reduced)

    def groups(self, rows: Sequence[int]) -> list[list[int]]:
        """Positions in `rows` in groups, in the order of their first: each is alike to that first one."""
        groups: list[list[int]] = []
        by_bytes: dict[str, int] = {}
        find = self._by_looks(rows, groups) if self._pictures else self._by_score(rows, groups)
        for position, row in enumerate(rows):
            digest = self._records[row].sha256
            group = by_bytes.get(digest)
            if group is None:
                group = find(position)
            if group is None:
                group = len(groups)
                groups.append([])
            groups[group].append(position)
            by_bytes[digest] = group
        return groups

    def _by_looks(self, rows: Sequence[int], groups: list[list[int]]) -> Find:
        firsts: dict[int, list[tuple[int, int]]] = {}  # of each hash: (group, row of its first)

        def find(position: int) -> int | None:
            look = self._look(rows[position])
            near = near_hashes(look)
            known = [first for one in near for first in firsts.get(one, ())]
            copy = find_copy(look, np.stack([self._look(row) for _, row in known])) if known else None
            if copy is not None:
                return known[copy][0]
            firsts.setdefault(near[0], []).append((len(groups), rows[position]))
            return None

        return find

    def _by_score(self, rows: Sequence[int], groups: list[list[int]]) -> Find:
        try:
            stored = [self._index.stored(row, row + 1) for row in rows]
        except VectorsError:  # some kinds of index do not give back what they store
            return lambda position: None
        vectors = np.concatenate(stored) if stored else np.empty((0, 1), dtype=np.float32)

        def find(position: int) -> int | None:
            scores = vectors[[members[0] for members in groups]] @ vectors[position]
            return int(np.argmax(scores)) if scores.max(initial=0) > NEARLY_EQUAL else None

        return find

    def collapse(self, k: int, answer: Answer, asked: int, fetch: Fetch) -> Answer:
        """Return the first hits of the first k groups, ranked again, `alike` saying how many more each stands for.

        `answer` holds what the question takes of the `asked` nearest, as `fetch(n)` gives it for the n nearest: more
        are fetched while nothing was refused and there are too few groups.
        """
        groups = self.groups([hit.row for hit in answer.hits])
        while len(groups) < k and len(answer.hits) == asked:
            asked *= 2
            more = fetch(asked)
            answer = replace(more, widened=more.widened or answer.widened)
            groups = self.groups([hit.row for hit in answer.hits])
        hits = tuple(
            answer.hits[members[0]]._replace(rank=rank, alike=len(members) - 1)
            for rank, members in enumerate(groups[:k], 1)
        )
        return replace(answer, hits=hits)

    def close(self) -> None:
        """Close the pictures."""
        if self._pictures is not None:
            self._pictures.close()

    def _reduced(self, row: int) -> Pixels:
        assert self._pictures is not None
        return reduction(self._pictures[row])
