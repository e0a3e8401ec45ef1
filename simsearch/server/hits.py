"""Hits as JSON: what never changes of a row is encoded once, as most of the time of an answer went into that."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain

from simsearch.images.records import RecordTable
from simsearch.search import Hit
from simsearch.vectors.index import Neighbours

_KEPT = 1 << 15  # rows whose words are remembered
_WORDS = {True: "true", False: "false", None: "null"}


class HitTexts:
    """The hits of one state of a build as texts of JSON; several threads may use it.

    `images` is what the addresses of its rows begin with, `pictures` whether rows have any, `path` finds the file of an
    image by its name.
    """

    def __init__(self, images: str, path: Callable[[str], str | None], *, pictures: bool) -> None:
        self._images, self._path, self._pictures = images, path, pictures
        self._kept: dict[int, tuple[str, str, str, str]] = {}

    def text(self, hit: Hit, *, looked: bool = False) -> str:
        """Return the keys of a hit in `query --json`, but for its path: the addresses of its pictures.

        `looked`: whether its file is looked for, which a search by vectors has not done.
        """
        (rank, score, _, image, path, row, same, rate, alike, strangers, at_most, strangers_at_most, _) = hit
        said, without, there, plain = self._kept.get(row) or self._encoded(row, hit.label, image)
        here = path is not None or (looked and self._path(image) is not None)
        if rate is None and strangers is None and alike is None and not (same or here):
            return f'{{"rank":{rank},"score":{score!r},{plain}'
        more = "" if alike is None else f'"alike":{alike},'
        more += f'"stranger_rate":{"null" if strangers is None else repr(strangers)},'
        if at_most:
            more += '"false_accept_rate_at_most":true,'
        if strangers_at_most:
            more += '"stranger_rate_at_most":true,'
        return (
            f'{{"rank":{rank},"score":{score!r},{said}"same_file":{_WORDS[same]},'
            f'"false_accept_rate":{"null" if rate is None else repr(rate)},{more}{there if here else without}}}'
        )

    def of_rows(self, found: Neighbours, offset: int, records: RecordTable) -> list[str]:
        """Return the hits of each query from the one at `offset` on, joined: what `text` gives of score and row alone.

        All hits of a query are filled into one text: one by one they took three times as long.
        """
        count = found.rows.shape[1]
        blank = ",".join([f'{{"rank":{rank},"score":%r,%s' for rank in range(offset + 1, count + 1)])
        kept, texts = self._kept, []
        for scores, rows in zip(found.scores[:, offset:].tolist(), found.rows[:, offset:].tolist(), strict=True):
            words = [(kept.get(row) or self._encoded(row, records[row].label, records[row].image))[3] for row in rows]
            texts.append(blank % tuple(chain.from_iterable(zip(scores, words, strict=True))))
        return texts

    def _encoded(self, row: int, label: str, image: str) -> tuple[str, str, str, str]:
        thumbnail = json.dumps(f"{self._images}/{row}/thumbnail" if self._pictures else None)
        said = f'"label":{json.dumps(label)},"image":{json.dumps(image)},"row":{row},'
        without = f'"thumbnail":{thumbnail},"full":null'
        there = f'"thumbnail":{thumbnail},"full":{json.dumps(f"{self._images}/{row}/full")}'
        plain = f'{said}"same_file":false,"false_accept_rate":null,"stranger_rate":null,{without}}}'
        found = said, without, there, plain
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[row] = found
        return found
