"""Where the pictures of a montage stand: hits wrap beside their query, queries flow into columns, all of one size.

A picture of 50 queries in one column would be 10,000 px high, one of 100 hits in one line 16,000 px wide. Of all ways
to wrap, the one is taken whose shape is nearest to a page's, with the largest tiles that keep it below 4,000 px.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_PIXELS = 4000  # of either side
TILES = (144, 120, 96, 80)
PAD, MARGIN, GAP = 12, 20, 36  # between tiles, around all, and between queries where hits wrap or stand in columns
SHORT, LONG = 5, 14  # hits that always stand in one line, and the most that ever do
WIDEST, TALLEST = 4 / 3, 1 / 2  # width to height: between them every shape is as good

Place = tuple[int, int]


@dataclass(frozen=True)
class Flow:
    """A layout: the side of a tile, its height with captions, hits in a line, and the queries of each column.

    `hits` is how many of each query are shown; queries beyond those of the columns are left out.
    """

    tile: int
    cell: int
    across: int
    columns: tuple[int, ...]
    hits: tuple[int, ...]

    @property
    def queries(self) -> int:
        """How many queries are shown."""
        return sum(self.columns)

    @property
    def size(self) -> Place:
        """Width and height in pixels."""
        heights = [sum(map(self._height, self._of(column))) for column in range(len(self.columns))]
        gaps = [self.gap * (count - 1) for count in self.columns]
        width = len(self.columns) * self._width + (len(self.columns) - 1) * GAP
        return 2 * MARGIN + width, 2 * MARGIN + max(map(sum, zip(heights, gaps, strict=True)))

    @property
    def gap(self) -> int:
        """Pixels between one query and the next one below it."""
        return PAD if max(self.hits, default=0) <= self.across and len(self.columns) == 1 else GAP

    def places(self) -> Iterator[tuple[Place, list[Place]]]:
        """Yield the corner of each query and those of its hits."""
        for column in range(len(self.columns)):
            left, top = MARGIN + column * (self._width + GAP), MARGIN
            for hits in self._of(column):
                yield (left, top), [self._hit(left, top, number) for number in range(hits)]
                top += self._height(hits) + self.gap

    def _hit(self, left: int, top: int, number: int) -> Place:
        line, place = divmod(number, self.across)
        return left + PAD + (place + 1) * (self.tile + PAD), top + line * (self.cell + PAD)

    @property
    def _width(self) -> int:
        return self.tile + PAD + self.across * (self.tile + PAD)

    def _height(self, hits: int) -> int:
        return max(1, math.ceil(hits / self.across)) * (self.cell + PAD) - PAD

    def _of(self, column: int) -> Sequence[int]:
        first = sum(self.columns[:column])
        return self.hits[first : first + self.columns[column]]


def in_lines(hits: Sequence[int], captions: int) -> Flow:
    """Return the layout of a line a query, to be compared one with another; `captions` is their height below a tile."""
    return Flow(TILES[0], TILES[0] + captions, max(1, *hits), (len(hits),), tuple(hits))


def flow(hits: Sequence[int], captions: int) -> Flow:
    """Return the layout of queries with so many hits each, at least one query; `captions` is their height below a tile.

    What does not fit with the smallest tiles is left out: hits beyond what one query can show, then the last queries.
    """
    for tile in TILES:
        if found := _best(hits, tile, captions):
            return found
    room = MOST_PIXELS - 2 * MARGIN
    lines = (room + PAD) // (tile + captions + PAD)
    most = lines * ((room - tile - PAD) // (tile + PAD))
    few = [min(count, most) for count in hits]
    fits, beyond = 1, len(few)  # one query of `most` hits does
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        fits, beyond = (middle, beyond) if _best(few[:middle], tile, captions) else (fits, middle)
    found = _best(few[:fits], tile, captions)
    assert found is not None
    return found


def _best(hits: Sequence[int], tile: int, captions: int) -> Flow | None:
    """Return the layout of the best shape with tiles of a size; None where none is small enough."""
    most, room = max(1, *hits), (MOST_PIXELS - 2 * MARGIN - tile - PAD) // (tile + PAD)
    across = [most] if most <= SHORT else range(SHORT, min(most, LONG) + 1)
    if most > LONG * LONG:
        across = [*across, *range(LONG + 1, room + 1)]
    flows = (
        Flow(tile, tile + captions, line, tuple(_balanced(len(hits), columns)), tuple(hits))
        for line in across
        for columns in range(1, min(len(hits), room // (line + 1) + 1) + 1)  # no more are narrow enough
    )
    fitting = [found for found in flows if max(found.size) <= MOST_PIXELS]
    return min(fitting, key=_badness, default=None)


def _badness(found: Flow) -> tuple[float, int]:
    """Return how far a layout is from a page's shape and how much of it is empty, then the lines: few are better."""
    width, height = found.size
    shape = width / height
    off = max(0.0, math.log(shape / WIDEST), math.log(TALLEST / shape))
    used = sum(1 + count for count in found.hits) * (found.tile + PAD) * (found.cell + PAD)
    return off + 1 - used / (width * height), -found.across


def _balanced(queries: int, columns: int) -> Iterator[int]:
    """Yield how many queries stand in each column: the first ones have one more where they do not divide."""
    each, more = divmod(queries, columns)
    yield from (each + (column < more) for column in range(columns))
