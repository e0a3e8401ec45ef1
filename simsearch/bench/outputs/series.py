"""From nights to lines: which nights are drawn, what changed between them, and each cell's figures over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simsearch.bench.judging.metrics import METRICS, Key
from simsearch.bench.outputs import contents
from simsearch.bench.records import Cell, Night, NightFigure, Result, Story
from simsearch.page.html import count

MOST_NIGHTS = 60

Drawn = tuple[Night, tuple[Result, ...]]


def nights(story: Story) -> list[Drawn]:
    """Return every night of the trend, oldest first, tonight last also where the trend lacks it."""
    found = [drawn for drawn in story.trend if drawn[0].number != story.night.number]
    return [*found, (story.night, contents.results(story))]


def drawn(story: Story) -> list[Drawn]:
    """Return the newest 60 nights of the trend; the accepted one stands first where it is older."""
    every = nights(story)
    newest = every[-MOST_NIGHTS:]
    if story.accepted is not None and all(night.number != story.accepted.number for night, _ in newest):
        older = [both for both in every[:-MOST_NIGHTS] if both[0].number == story.accepted.number]
        newest = [*older, *newest[len(older) :]]
    return newest


def older(story: Story, shown: int) -> int:
    """Return how many nights of the trend are not among the `shown` ones."""
    return len(nights(story)) - shown


def left_out(older: int) -> str:
    """Return where nights that are not shown are, in words."""
    return f"{count(older, 'older night is', 'older nights are')} in the history and its export."


def breaks(story: Story, shown: Sequence[Drawn], metric: str) -> frozenset[int]:
    """Return the places before which lines of a metric part.

    That is after an accepted night that was drawn out of its turn, and for times where the machine changed.
    """
    found = {1} if len(shown) > 1 and nights(story)[-len(shown)][0].number != shown[0][0].number else set()
    if METRICS[metric].unit in ("ms", "s", "1/s"):
        prints = [night.fingerprint for night, _ in shown]
        found |= {place for place in range(1, len(prints)) if prints[place] != prints[place - 1]}
    return frozenset(found)


def events(before: Night, after: Night) -> dict[str, str]:
    """Return what changed from one night to the next, in words, by kind: versions, machine, matrix, code."""
    found = {}
    names = [*after.versions, *(name for name in before.versions if name not in after.versions)]
    moved = [(name, before.versions.get(name), after.versions.get(name)) for name in names]
    versions = [f"{name} {old or 'none'} -> {new or 'none'}" for name, old, new in moved if old != new]
    if versions:
        found["versions"] = ", ".join(versions)
    if before.fingerprint != after.fingerprint:
        same = before.machine == after.machine
        found["machine"] = f"{after.machine}, changed" if same else f"{before.machine} -> {after.machine}"
    if before.matrix != after.matrix:
        found["matrix"] = "another matrix file"
    if before.commit != after.commit:
        found["code"] = f"commit {(before.commit or 'unknown')[:10]} -> {(after.commit or 'unknown')[:10]}"
    elif before.code != after.code:
        found["code"] = "changed within one commit"
    return found


def marks(story: Story, shown: Sequence[Drawn]) -> list[dict[str, str]]:
    """Return for each night that is drawn what is marked at it, by kind: accepted, versions, machine, matrix, code."""
    held = {} if story.accepted is None else {story.accepted.number: ""}
    accepted = {**held, **story.accepts}
    found: list[dict[str, str]] = []
    for place, (night, _) in enumerate(shown):
        here = {"accepted": accepted[night.number] or "accepted"} if night.number in accepted else {}
        found.append(here | (events(shown[place - 1][0], night) if place else {}))
    return found


def keys(shown: Sequence[Drawn], names: Sequence[str]) -> list[Key]:
    """Return the figures that any of the cells has: in the order of METRICS, k and scopes as tonight has them."""
    found: dict[Key, None] = {}
    for _, results in reversed(shown):
        for result in results:
            if result.cell.name in names:
                found |= {figure.key: None for figure in result.figures if contents.known(figure)}
    order = list(METRICS)
    return sorted(found, key=lambda key: (order.index(key[0]), key[1] or 0))


def lines(shown: Sequence[Drawn], cells: Sequence[Cell]) -> Iterator[tuple[Cell, list[Result | None]]]:
    """Yield each cell with its results over the nights.

    A cell is followed by its name; in a night without it by its place in the matrix, unless another of `cells` has
    the name that stands there: so a line goes on when a search setting is changed.
    """
    names = {cell.name for cell in cells}
    for cell in cells:
        name = cell.name
        found: list[Result | None] = []
        for _, results in reversed(shown):
            by_name = {result.cell.name: result for result in results}
            result = by_name.get(name)
            if result is None:
                same = [other for other in results if _place(other.cell) == _place(cell)]
                result = next((other for other in same if other.cell.name not in names), None)
            if result is not None:
                name = result.cell.name
            found.append(result)
        yield cell, found[::-1]


def figures(results: Sequence[Result | None], key: Key) -> list[NightFigure | None]:
    """Return one figure of a cell over the nights, from what `lines` yields for it; None where a night lacks it."""
    return [
        None if result is None else next((f for f in result.figures if f.key == key and contents.known(f)), None)
        for result in results
    ]


def _place(cell: Cell) -> tuple[str, int, tuple[int, int]]:
    return cell.recipe, cell.seed, cell.slot
