"""Two builds compared on the queries that both have: differences with intervals, or "no difference seen"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Doubles, Flags, Integers
from simsearch.evaluation.comparison import HEADLINE, judged
from simsearch.evaluation.figures import FIGURES, Place, places
from simsearch.evaluation.paired import paired_differences
from simsearch.report.columns import ends, row, wrapped
from simsearch.statistics.seen import difference_seen
from simsearch.statistics.significance import holm

ONE_TRAINING = "one training each: another seed of the same recipe may differ as much"

_SYSTEMS = (HEADLINE, "recipe/cosine")  # an approximate index has no deep figures
_WIDTHS = (11, 9, -7, -8, -19, -7)


@dataclass(frozen=True)
class BuildValues:
    """What a build says about its queries: report.json, queries.npz by key, and the image names of its rows (Q,)."""

    name: str
    report: Mapping[str, Any]
    values: Mapping[str, NDArray[Any]]
    images: Sequence[str]


@dataclass(frozen=True)
class BuildDifference:
    """How one build differs from another in a figure over `n` queries; k is None for a figure without one.

    `one` and `other` are their means, `difference` is one - other, `p_holm` is corrected for the number of figures.
    `word` says of `one` "better", "worse" or "no difference seen".
    """

    metric: str
    k: float | None
    scope: str
    system: str
    n: int
    one: float
    other: float
    difference: float
    interval: list[float]
    p_value: float
    p_holm: float
    word: str

    @property
    def title(self) -> str:
        """The name of the figure."""
        return Place(self.metric, self.k).title


@dataclass(frozen=True)
class BuildComparison:
    """Build `one` against `other` over `shared` queries; `left_out` counts the queries that only one of them has.

    `notes` are sentences on what to bear in mind.
    """

    one: str
    other: str
    shared: int
    left_out: tuple[int, int]
    entries: list[BuildDifference]
    notes: list[str]


def compare_builds(one: BuildValues, other: BuildValues) -> BuildComparison:
    """Return how `one` differs from `other` in every judged figure.

    Figures are those through the index, at the k that both measured; deep ones those of exact search where an index has
    none. A query is the same when its image has the same name. Boundary queries are those of either build, as each was
    chosen by a reference of its own. A difference is seen when its 95 % interval leaves out 0 and p < 0.05 after Holm's
    correction over all figures of the two. Raises ValueError when the names of a build are not as many as its values.
    """
    place_one, place_other = _places(one), _places(other)
    shared = [image for image in one.images if image in place_other]
    rows_one = np.array([place_one[image] for image in shared], dtype=np.int64)
    rows_other = np.array([place_other[image] for image in shared], dtype=np.int64)
    near = _boundary(one, rows_one) | _boundary(other, rows_other)
    kept: list[tuple[Place, str]] = []
    pairs: list[Doubles] = []
    for place, system in _judged(one, other):
        key = place.stored(system)
        pair = np.stack((one.values[key][rows_one], other.values[key][rows_other]), axis=1).astype(np.float64)
        pair[np.isnan(pair).any(axis=1)] = np.nan
        if place.scope == "boundary":
            pair[~near] = np.nan
        if not np.isnan(pair).all():
            kept.append((place, system))
            pairs.append(pair)
    entries = _differences(kept, pairs) if pairs else []
    left_out = (len(place_one) - len(shared), len(place_other) - len(shared))
    return BuildComparison(one.name, other.name, len(shared), left_out, entries, _notes(one, other, entries))


def render_comparison(found: BuildComparison) -> str:
    """Return the comparison as plain text of at most 80 columns."""
    title = f"{found.one} - {found.other} over {found.shared:,} queries that both have"
    if any(found.left_out):
        only = zip((found.one, found.other), found.left_out, strict=True)
        title += "; left out: " + ", ".join(f"{count:,} only in {name}" for name, count in only if count)
    lines = wrapped(title)
    if found.entries:
        lines += ["", row(_WIDTHS, "metric", "scope", "n", "diff", "95 % interval", "p Holm")]
    for entry in found.entries:
        figures = (f"{entry.n:,}", f"{entry.difference:+.4f}", ends(entry.interval, "+.4f"), f"{entry.p_holm:.4f}")
        lines.append(f"{row(_WIDTHS, entry.title, entry.scope, *figures)} {entry.word}")
    if found.entries:
        lines += ["", *wrapped(_verdict(found))]
    for note in found.notes:
        lines += wrapped(f"note: {note}")
    return "\n".join(lines)


def _places(build: BuildValues) -> dict[str, int]:
    places = {image: i for i, image in enumerate(build.images)}
    if len(places) != len(build.images) or len(places) != len(build.values["rows"]):
        raise ValueError(
            f"{build.name}: expected {len(build.values['rows'])} different image names, seen {len(places)} "
            f"in {len(build.images)}"
        )
    return places


def _boundary(build: BuildValues, rows: Integers) -> Flags:
    if "boundary" not in build.values:
        return np.zeros(len(rows), dtype=np.bool_)
    return np.asarray(build.values["boundary"][rows], dtype=np.bool_)


def _judged(one: BuildValues, other: BuildValues) -> list[tuple[Place, str]]:
    """Return the judged figures that both builds have, each with the first system that has it in both."""
    ks = sorted(set(one.report["k"]) & set(other.report["k"]))
    found = []
    for figure in sorted(FIGURES, key=lambda figure: figure.by is None):
        for scope in figure.scopes if figure.least is not None else ():
            for place in (place for place in places(figure, ks) if place.scope == scope):
                both = (s for s in _SYSTEMS if place.stored(s) in one.values and place.stored(s) in other.values)
                found += [(place, system) for system in islice(both, 1)]
    return found


def _differences(kept: Sequence[tuple[Place, str]], pairs: Sequence[Doubles]) -> list[BuildDifference]:
    """Return what is known of each figure's pairs of values, (Q, 2), NaN = no pair."""
    found = paired_differences(np.stack([pair[:, 0] - pair[:, 1] for pair in pairs], axis=1))
    known = [one for one in found if one is not None]
    corrected = holm([one.p_value for one in known])
    entries = []
    for (place, system), pair, one, p_holm in zip(kept, pairs, known, corrected, strict=True):
        means = np.nanmean(pair, axis=0).tolist()
        word = judged(place, one.difference, difference_seen(p_holm, one.interval))
        entries.append(
            BuildDifference(
                *place, system, one.n, means[0], means[1], one.difference, list(one.interval), one.p_value, p_holm, word
            )
        )
    return entries


def _notes(one: BuildValues, other: BuildValues, entries: list[BuildDifference]) -> list[str]:
    notes = []
    galleries = [build.report["gallery"] for build in (one, other)]
    if galleries[0] != galleries[1]:
        notes.append(f"the galleries differ: {galleries[0]:,} and {galleries[1]:,} images are searched")
    if not entries:
        notes.append("nothing to compare: no query with labels, and a k, that both builds have")
    elif not set(one.report["k"]) & set(other.report["k"]):
        notes.append("no k that both builds measured")
    if not all(build.report.get("seeds") for build in (one, other)):
        notes.append(ONE_TRAINING)
    return notes


def _verdict(found: BuildComparison) -> str:
    """Return one sentence: in what the first build is better, in what worse, or that no difference is seen."""
    said = []
    for word in ("better", "worse"):
        metrics = [f"{entry.title} {entry.scope}" for entry in found.entries if entry.word == word]
        if metrics:
            said.append(f"{found.one} is {word} than {found.other} in {', '.join(metrics)}")
    if not said:
        return "no difference seen"
    of = f"of {len(found.entries)} figures; p < 0.05 after Holm's correction for their number"
    return "; ".join(said) + f" ({of})"
