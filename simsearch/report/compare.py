"""Two builds compared on the queries that both have: differences with intervals, or "no difference seen"."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Doubles, Flags, Integers
from simsearch.evaluation.paired import HEADLINE, paired_differences
from simsearch.statistics.significance import holm

_WIDTH = 80
ONE_TRAINING = "one training each: another seed of the same recipe may differ as much"

_LEVEL = 0.05
_MAP_SYSTEMS = (HEADLINE, "recipe/cosine")  # an approximate index has no MAP@R


@dataclass(frozen=True)
class BuildValues:
    """What a build says about its queries: report.json, queries.npz by key, and the image names of its rows (Q,)."""

    name: str
    report: Mapping[str, Any]
    values: Mapping[str, NDArray[Any]]
    images: Sequence[str]


@dataclass(frozen=True)
class BuildComparison:
    """Build `one` against `other` over `shared` queries; `left_out` counts the queries that only one of them has.

    Entries: {"metric", "k" (None for map_at_r), "scope" ("all" or "boundary"), "system", "n", "one" and "other" (their
    means), "difference" (one - other), "interval" [low, high], "p_value", "p_holm" (corrected for the number of
    entries), "word"}; word says of `one` "better", "worse" or "no difference seen". `notes` are sentences on what to
    bear in mind.
    """

    one: str
    other: str
    shared: int
    left_out: tuple[int, int]
    entries: list[dict[str, Any]]
    notes: list[str]


def compare_builds(one: BuildValues, other: BuildValues) -> BuildComparison:
    """Return how `one` differs from `other` in recall@k, error@k over all and over boundary queries, and MAP@R.

    Figures are those through the index, at the k that both measured; MAP@R is that of exact search where an index has
    none. A query is the same when its image has the same name. Boundary queries are those of either build, as each was
    chosen by a reference of its own. A difference is seen when its 95 % interval leaves out 0 and p < 0.05 after Holm's
    correction over all figures of the two. Raises ValueError when the names of a build are not as many as its values.
    """
    place_one, place_other = _places(one), _places(other)
    shared = [image for image in one.images if image in place_other]
    rows_one = np.array([place_one[image] for image in shared], dtype=np.int64)
    rows_other = np.array([place_other[image] for image in shared], dtype=np.int64)
    near = _boundary(one, rows_one) | _boundary(other, rows_other)
    entries: list[dict[str, Any]] = []
    pairs: list[Doubles] = []
    for metric, k, scope, key in _figures(one, other):
        pair = np.stack((one.values[key][rows_one], other.values[key][rows_other]), axis=1).astype(np.float64)
        pair[np.isnan(pair).any(axis=1)] = np.nan
        if scope == "boundary":
            pair[~near] = np.nan
        if not np.isnan(pair).all():
            entries.append({"metric": metric, "k": k, "scope": scope, "system": key.rpartition("/")[0]})
            pairs.append(pair)
    if pairs:
        found = paired_differences(np.stack([pair[:, 0] - pair[:, 1] for pair in pairs], axis=1))
        assert None not in found  # columns without a pair were left out above
        corrected = holm([known.p_value for known in found if known is not None])
        for entry, pair, known, p_holm in zip(entries, pairs, found, corrected, strict=True):
            assert known is not None
            low, high = known.interval
            seen = p_holm < _LEVEL and (low > 0 or high < 0)
            lower_is_better = entry["metric"] == "cross_boundary_error"
            word = "better" if (known.difference < 0) == lower_is_better else "worse"
            entry["n"] = known.n
            entry["one"], entry["other"] = np.nanmean(pair, axis=0).tolist()
            entry["difference"], entry["interval"] = known.difference, list(known.interval)
            entry["p_value"], entry["p_holm"] = known.p_value, p_holm
            entry["word"] = word if seen else "no difference seen"
    left_out = (len(place_one) - len(shared), len(place_other) - len(shared))
    return BuildComparison(one.name, other.name, len(shared), left_out, entries, _notes(one, other, entries))


def render_comparison(found: BuildComparison) -> str:
    """Return the comparison as plain text of at most 80 columns."""
    title = f"{found.one} - {found.other} over {found.shared:,} queries that both have"
    if any(found.left_out):
        only = zip((found.one, found.other), found.left_out, strict=True)
        title += "; left out: " + ", ".join(f"{count:,} only in {name}" for name, count in only if count)
    lines = _wrapped(title)
    if found.entries:
        lines += ["", _line("metric", "scope", "n", "diff", "95 % interval", "p Holm", "")]
    for entry in found.entries:
        low, high = entry["interval"]
        lines.append(
            _line(
                _metric(entry),
                entry["scope"],
                f"{entry['n']:,}",
                f"{entry['difference']:+.4f}",
                f"[{low:+.4f}, {high:+.4f}]",
                f"{entry['p_holm']:.4f}",
                entry["word"],
            )
        )
    if found.entries:
        lines += ["", *_wrapped(_verdict(found))]
    for note in found.notes:
        lines += _wrapped(f"note: {note}")
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


def _figures(one: BuildValues, other: BuildValues) -> list[tuple[str, int | None, str, str]]:
    """Return (metric, k, scope, key in queries.npz) of what both builds have."""
    ks = sorted(set(one.report["k"]) & set(other.report["k"]))
    wanted: list[tuple[str, int | None, str, str]] = []
    wanted += [("recall", k, "all", f"{HEADLINE}/hit@{k}") for k in ks]
    for scope in ("all", "boundary"):
        wanted += [("cross_boundary_error", k, scope, f"{HEADLINE}/error@{k}") for k in ks]
    both = [figure for figure in wanted if figure[3] in one.values and figure[3] in other.values]
    keys = (f"{system}/average_precision" for system in _MAP_SYSTEMS)
    average = next((key for key in keys if key in one.values and key in other.values), None)
    return both if average is None else [*both, ("map_at_r", None, "all", average)]


def _notes(one: BuildValues, other: BuildValues, entries: list[dict[str, Any]]) -> list[str]:
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
        metrics = [f"{_metric(e)} {e['scope']}" for e in found.entries if e["word"] == word]
        if metrics:
            said.append(f"{found.one} is {word} than {found.other} in {', '.join(metrics)}")
    if not said:
        return "no difference seen"
    of = f"of {len(found.entries)} figures; p < 0.05 after Holm's correction for their number"
    return "; ".join(said) + f" ({of})"


def _metric(entry: dict[str, Any]) -> str:
    names = {"recall": "recall", "cross_boundary_error": "error", "map_at_r": "MAP@R"}
    return names[entry["metric"]] + ("" if entry["k"] is None else f"@{entry['k']}")


def _line(metric: str, scope: str, n: str, difference: str, interval: str, p: str, word: str) -> str:
    return f"{metric:<11}{scope:<9}{n:>7}{difference:>8}{interval:>19}{p:>7} {word}".rstrip()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
