"""What a page says, without order and markup: the set of its sentences and figures; and how two such sets differ."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

SILENT = {"script", "style"}
INLINE = {"a", "abbr", "b", "code", "em", "i", "mark", "small", "span", "strong", "sub", "sup", "tspan"}
SPOKEN = ("alt", "title", "aria-label", "content")  # attributes that are read to people
NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:e[-+]?\d+)?|(?<![\w.])[-+−]?\.\d+")
SENTENCE_END = re.compile(r"(?<=[.;:!?])\s+(?=[A-Z])")
DAYS = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]* "
MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
DROPPED = (  # what differs from run to run
    (re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]+(?:[-+]\d\d:\d\d)?)?"), "DATE"),
    (re.compile(rf"({DAYS})?\d{{1,2}} ({MONTHS})[a-z]*( \d{{4}})?(, \d\d:\d\d)?"), "DATE"),
    (re.compile(r"[\d,.]+ (s|ms|min|queries/s|queries a second|images/s)\b"), r"N \1"),
    (
        re.compile(r"\d+ %(?= (?:before|after|of the points)\b)"),
        "N %",
    ),  # of the map: t-SNE differs from processor to processor
)
# Whole pieces: digests of any length, whole per cents of the map, versions, seconds of a stage, the machine.
DROPPED_PIECES = re.compile(r"[0-9a-f]{12,64}|\d+ %|\d+(\.\d+){2}\S*|\d+\.\d|.*\d cores?\b.*")


class _Pieces(HTMLParser):
    """Collects the text between tags that are not inline, and spoken attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = [""]
        self._silent = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._silent += tag in SILENT
        if tag not in INLINE:
            self.pieces.append("")
        viewport = any(value == "viewport" for _, value in attributes)
        spoken = [value for name, value in attributes if name in SPOKEN and value and not viewport]
        self.pieces[-1:-1] = spoken

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in SILENT
        if tag not in INLINE:
            self.pieces.append("")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces[-1] += data


STEEP = ("/stranger_rate", "/false_accept_rate")


def page_words(page: str, place: str = "") -> list[str]:
    """The sentences and figures of an HTML page, sorted, each once; `place`, a folder's path, is left out."""
    parser = _Pieces()
    parser.feed(page)
    parser.close()
    return [piece for piece in said(parser.pieces, place) if not DROPPED_PIECES.fullmatch(piece)]


def said(pieces: Iterable[str], place: str = "") -> list[str]:
    """The sentences of `pieces`, sorted, each once, without dates and times."""
    found = set()
    for piece in pieces:
        text = " ".join(piece.split())
        text = text.replace(place, "PLACE") if place else text
        for pattern, instead in DROPPED:
            text = pattern.sub(instead, text)
        found |= set(SENTENCE_END.split(text))
    return sorted(found - {""})


def words_differ(expected: list[str], found: list[str]) -> list[str]:
    """What is said on one side only; figures may differ by one in their last digit, as rounding has it."""
    missing, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    for one in list(missing):
        alike = next((other for other in more if _alike(one, other)), None)
        if alike is not None:
            missing.remove(one)
            more.remove(alike)
    return [f"- {one}" for one in missing] + [f"+ {one}" for one in more]


def _alike(one: str, other: str) -> bool:
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(a == b or _close(a, b) for a, b in pairs)


def _close(a: str, b: str) -> bool:
    decimals = len(a.partition(".")[2])
    if not decimals or decimals != len(b.partition(".")[2]) or "e" in a + b:
        return False
    left, right = (float(text.replace(",", "").replace("−", "-")) for text in (a, b))
    return abs(left - right) < 1.01 * 10**-decimals


def differ(expected: Any, found: Any, within: float = 1e-5, at: str = "") -> list[str]:
    """Where two JSON values differ, in words; numbers may differ by `within`, and by as much of their size.

    Rates of scores may differ by 1e-3: between two entries of their table that are all but equal they rise steeply.
    """
    if at.endswith(STEEP):
        within = max(within, 1e-3)
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = [f"{at}: only on one side: {sorted(expected.keys() ^ found.keys())}"] * (expected.keys() != found.keys())
        both = sorted(expected.keys() & found.keys())
        return keys + [line for key in both for line in differ(expected[key], found[key], within, f"{at}/{key}")]
    if isinstance(expected, list) and isinstance(found, list):
        if any(isinstance(one, dict) and one.keys() >= {"rank", "row", "score"} for one in expected):
            return _hits_differ(expected, found, within, at)
        if len(expected) != len(found):
            return [f"{at}: {len(expected)} expected, {len(found)} seen"]
        return [
            line
            for i, (one, other) in enumerate(zip(expected, found, strict=True))
            for line in differ(one, other, within, f"{at}/{i}")
        ]
    if isinstance(expected, str) and isinstance(found, str):
        return [f"{at}: {line}" for line in words_differ([expected], [found])]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (expected, found))
    if numbers and abs(expected - found) <= within * max(1.0, abs(expected)):
        return []
    same = type(expected) is type(found) and expected == found
    return [] if same else [f"{at}: {expected!r} expected, {found!r} seen"]


def _hits_differ(expected: list[Any], found: list[Any], within: float, at: str) -> list[str]:
    """Hits of nearly equal scores may change places, also over the end of the list."""
    lines = differ([hit["score"] for hit in expected], [hit["score"] for hit in found], within, f"{at}/score")
    seen = {hit["row"]: hit for hit in found}
    for hit in expected:
        other = seen.get(hit["row"])
        if other is not None:
            lines += differ({**hit, "rank": 0}, {**other, "rank": 0}, within, f"{at}/row {hit['row']}")
        elif abs(hit["score"] - expected[-1]["score"]) > within:
            lines.append(f"{at}: row {hit['row']} expected, not seen")
    return lines
