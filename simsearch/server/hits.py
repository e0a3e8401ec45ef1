"""Hits as JSON: what never changes of a row is encoded once, as most of the time of an answer went into that."""

from __future__ import annotations

import json
from collections.abc import Callable

from simsearch.search import Hit

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
        said, without, there, plain = self._kept.get(row) or self._encoded(hit)
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

    def _encoded(self, hit: Hit) -> tuple[str, str, str, str]:
        row = hit.row
        thumbnail = json.dumps(f"{self._images}/{row}/thumbnail" if self._pictures else None)
        said = f'"label":{json.dumps(hit.label)},"image":{json.dumps(hit.image)},"row":{row},'
        without = f'"thumbnail":{thumbnail},"full":null'
        there = f'"thumbnail":{thumbnail},"full":{json.dumps(f"{self._images}/{row}/full")}'
        plain = f'{said}"same_file":false,"false_accept_rate":null,"stranger_rate":null,{without}}}'
        found = said, without, there, plain
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[row] = found
        return found
