"""Builds compared on the queries that both have: differences with intervals, or "no difference seen".

Nothing is searched or measured again: the values are those that their evaluations stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Doubles
from simsearch.console import safe
from simsearch.errors import ArtifactError
from simsearch.evaluation.comparison import HEADLINE, difference_seen, judged
from simsearch.evaluation.figures import FIGURES, Place, places
from simsearch.evaluation.paired import paired_differences
from simsearch.home import Build, Home
from simsearch.images.records import RecordTable
from simsearch.report.columns import ends, row, wrapped
from simsearch.report.reading import report_of
from simsearch.report.verdict import TOO_FEW, too_few
from simsearch.statistics.significance import holm

DIFFERENT_DATA = "the builds are of other data or splits: compared on the queries that both have"
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


def compare_with_base(home: Home, names: Sequence[str]) -> Iterator[BuildComparison]:
    """Yield how each further build differs from the first, which is the `other` of every comparison.

    Raises ArtifactError for a build that is missing or damaged, and for two builds without a query in common.
    """
    builds = [home.readable(name).whole() for name in names]
    base = stored_values(builds[0])
    for build in builds[1:]:
        found = compare_builds(stored_values(build), base)
        if not found.shared:
            raise ArtifactError(
                f"{build.name} and {base.name} have no query in common: they were made from "
                f"{safe(build.record.source)} and {safe(builds[0].record.source)}",
                hint="compare builds of the same images; a query is the same when name and content of its image are",
            )
        if build.measured["dataset"]["content"] != builds[0].measured["dataset"]["content"]:
            found = replace(found, notes=[DIFFERENT_DATA, *found.notes])
        yield found


def stored_values(build: Build) -> BuildValues:
    """Return what a build stored about its queries; each is known by name and content of its image."""
    stages = build.measured
    with Home(build.home).reading() as store:
        dataset, evaluated = (store.open(name, **stages[name]) for name in ("dataset", "evaluate"))
    with np.load(evaluated.file("queries.npz"), allow_pickle=False) as file:
        values = {key: file[key] for key in file.files}
    records = RecordTable(dataset.path)
    # Other data may use the same names, as 7/0001.png.
    images = [f"{record.image}\0{record.sha256}" for record in map(records.__getitem__, values["rows"].tolist())]
    return BuildValues(build.name, report_of(build), values, images)


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
    near = np.zeros(len(shared), dtype=np.bool_)
    for build, rows in ((one, rows_one), (other, rows_other)):
        if "boundary" in build.values:
            near |= build.values["boundary"][rows]
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
        word = entry.word
        if too_few(entry.n, entry.interval, seen=word in ("better", "worse")):
            figures, word = (figures[0], "", "", ""), TOO_FEW
        lines.append(f"{row(_WIDTHS, Place(entry.metric, entry.k).title, entry.scope, *figures):<61} {word}")
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


def _judged(one: BuildValues, other: BuildValues) -> list[tuple[Place, str]]:
    """Return the judged figures that both builds have, each with the first system that has it in both."""
    ks = sorted(set(one.report["k"]) & set(other.report["k"]))
    found: dict[Place, str] = {}
    for figure in sorted((one for one in FIGURES if one.least is not None), key=lambda figure: figure.by is None):
        for place in sorted(places(figure, ks), key=lambda place: figure.scopes.index(place.scope)):
            for system in _SYSTEMS:
                if place.stored(system) in one.values.keys() & other.values.keys():
                    found.setdefault(place, system)
    return list(found.items())


def _differences(kept: Sequence[tuple[Place, str]], pairs: Sequence[Doubles]) -> list[BuildDifference]:
    """Return what is known of each figure's pairs of values, (Q, 2), NaN = no pair."""
    found = paired_differences(np.stack([pair[:, 0] - pair[:, 1] for pair in pairs], axis=1))
    known = [one for one in found if one is not None]
    corrected = holm([one.p_value for one in known])
    entries = []
    for (place, system), pair, one, p_holm in zip(kept, pairs, known, corrected, strict=True):
        mean, other = np.nanmean(pair, axis=0).tolist()
        word = judged(place, one.difference, difference_seen(p_holm, one.interval))
        head = (*place, system, one.n, mean, other)
        entries.append(BuildDifference(*head, one.difference, list(one.interval), one.p_value, p_holm, word))
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
        metrics = [
            f"{Place(entry.metric, entry.k).title} {entry.scope}"
            for entry in found.entries
            if entry.word == word and not too_few(entry.n, entry.interval, seen=True)
        ]
        if metrics:
            said.append(f"{found.one} is {word} than {found.other} in {', '.join(metrics)}")
    if not said:
        few = [too_few(entry.n, entry.interval, seen=False) for entry in found.entries]
        return next((one for one in few if one), "no difference seen") if all(few) else "no difference seen"
    of = f"of {len(found.entries)} figures; p < 0.05 after Holm's correction for their number"
    return "; ".join(said) + f" ({of})"
