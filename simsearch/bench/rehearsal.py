"""A change of model, rehearsed: a build held against the one whose place it may take, by the rules of the nightly gate.

Nothing is measured again: the values of single queries are those that both builds stored when they were made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simsearch.arrays import Numbers
from simsearch.bench.causes import checks, rerun
from simsearch.bench.causes.pictures import before_and_after
from simsearch.bench.judging.compared import shared_queries
from simsearch.bench.judging.gate import quality
from simsearch.bench.judging.metrics import kept_name
from simsearch.bench.matrix import Gate, Limits, Matrix
from simsearch.bench.measuring.defects import Tried, tried_images
from simsearch.bench.measuring.measure import per_query
from simsearch.bench.records import Cell, Finding, Result
from simsearch.changes.corpora import check_same_corpus
from simsearch.console import safe
from simsearch.errors import ArtifactError
from simsearch.home import Build, Home
from simsearch.images.montage import Shown, format_of, montage
from simsearch.images.records import RecordTable
from simsearch.images.thumbnails import OFFSETS as THUMBNAILS
from simsearch.report.compare import ONE_TRAINING, BuildValues, stored_values
from simsearch.report.verdict import LEAST_QUERIES
from simsearch.stages.defects import TOLD
from simsearch.statistics.intervals import percentile_intervals
from simsearch.vectors.features import FeatureFile

RULES = Matrix((), Gate(), Limits(), "")
DEFECTS = "defects"  # the stage whose scores are judged too, where both builds have it
METRIC = "recall"  # whose values are right or wrong: a query changes sides
PICTURED = 5  # of those that went wrong, and of those that came right


@dataclass(frozen=True)
class LabelChange:
    """The share of right first hits of a label's `n` queries, before and after, and the 95 % interval of the change.

    The interval is None where fewer than 6 queries say nothing about others.
    """

    label: str
    n: int
    before: float
    after: float
    interval: tuple[float, float] | None

    @property
    def moved(self) -> int:
        """How many queries more are right, or fewer (below 0)."""
        return round((self.after - self.before) * self.n)


@dataclass(frozen=True)
class SideChange:
    """A query that was answered right and is wrong, or the reverse; its row in each of the builds."""

    image: str
    label: str
    rows: tuple[int, int] = field(repr=False)


@dataclass(frozen=True)
class Rehearsal:
    """What the gate says of the build `after` in the place of `before`, over the `shared` queries that both have.

    `figure` is what labels and changed sides are about: "recall@1". Labels that moved come first.
    """

    before: Build
    after: Build
    figure: str
    shared: int
    left_out: tuple[int, int]
    findings: tuple[Finding, ...]
    labels: tuple[LabelChange, ...]
    lost: tuple[SideChange, ...]
    gained: tuple[SideChange, ...]
    notes: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Whether no figure is worse, surely and by more than does not matter."""
        return not any(finding.worse for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `compare --gate --json`."""
        kept = ("metric", "k", "scope", "n", "before", "after", "difference", "interval", "p_value", "p_holm")
        return {
            "before": self.before.name,
            "after": self.after.name,
            "pass": self.passes,
            "shared": self.shared,
            "left_out": list(self.left_out),
            "findings": [
                {key: getattr(one, key) for key in (*kept, "worse", "better")} | {"least": RULES.least(one.metric)}
                for one in self.findings
            ],
            "figure": self.figure,
            "labels": [vars(one) for one in self.labels],
            "lost": [{"image": one.image, "label": one.label} for one in self.lost],
            "gained": [{"image": one.image, "label": one.label} for one in self.gained],
            "notes": list(self.notes),
        }


def rehearse(home: Home, name: str, other: str) -> Rehearsal:
    """Return what the gate says of the build `other` in the place of `name`.

    Raises ArtifactError for a build that is missing, damaged, provisional or without labels, for builds of different
    corpora (which tells what differs), and for two without a query or a k in common.
    """
    before, after = (home.build(one).whole() for one in (name, other))
    check_same_corpus(before, after, home)
    values = [stored_values(one) for one in (before, after)]
    results = [_result(home, *one) for one in zip((before, after), values, strict=True)]
    at = shared_queries(*results)
    for one in (before, after):
        if not one.record.labelled:
            raise ArtifactError(f"build {one.name} has no labels: nothing tells which of its answers are right")
    findings = quality(RULES, [(results[0], results[1])])
    figure = next((one for one in findings if one.metric == METRIC), None)
    if figure is None:
        raise ArtifactError(
            f"{before.name} and {after.name} have no labelled query at a k in common",
            hint=f"a query is the same when name and content of its image are; build {after.name} with the same "
            "[dataset] and [evaluation] k",
        )
    old, new = (one.per_query[kept_name(METRIC, figure.k)][places] for one, places in zip(results, at, strict=True))
    shown = [one.values["rows"][places] for one, places in zip(values, at, strict=True)]
    labels = _labels(home, after, shown[1])
    known = np.flatnonzero(~np.isnan(old) & ~np.isnan(new))
    sides = [
        SideChange(values[1].images[at[1][i]].partition("\0")[0], labels[i], (int(shown[0][i]), int(shown[1][i])))
        for i in known
    ]
    moves = (new - old)[known]
    return Rehearsal(
        before,
        after,
        kept_name(METRIC, figure.k),
        len(at[0]),
        (len(results[0].queries) - len(at[0]), len(results[1].queries) - len(at[1])),
        tuple(findings),
        tuple(_by_label([labels[i] for i in known], old[known], new[known])),
        tuple(side for side, move in zip(sides, moves, strict=True) if move < 0),
        tuple(side for side, move in zip(sides, moves, strict=True) if move > 0),
        tuple(_notes(values)),
    )


def draw(found: Rehearsal, home: Home, out: Path) -> Shown | None:
    """Draw the first queries that change sides, two lines each: their neighbours before and after.

    Those that went wrong come first. Returns what there is room for, None where no query changes sides: then nothing
    is written. Raises SimsearchError for a place that cannot be written, ArtifactError for builds without pictures.
    """
    format_of(out)
    chosen = [side.rows for side in (*found.lost[:PICTURED], *found.gained[:PICTURED])]
    if not chosen:
        return None
    with ExitStack() as stack:
        store = stack.enter_context(home.reading())
        sides = []
        for build in (found.before, found.after):
            stages = build.measured
            opened = {name: store.open(name, **stages[name]) for name in ("dataset", "embed", "index")}
            if THUMBNAILS not in opened["dataset"].manifest["files"]:
                raise ArtifactError(f"build {build.name} has no pictures", hint="leave --montage out")
            features = stack.enter_context(FeatureFile(opened["embed"].file("features.h5")))
            sides.append(checks.Side(opened, rerun.Listing.read(opened["dataset"]), features, build.record.search))
        return montage(before_and_after(chosen, (sides[0], sides[1])), out, lines=True)


def _result(home: Home, build: Build, values: BuildValues) -> Result:
    """Return a build as a cell of a night has it; the queries are known by name and content of their images."""
    found = per_query(dict(values.values), values.report["k"])
    cell = Cell(build.name, 0, "", (), build.name, ())
    tried, images = _tried(home, build)
    return Result(cell, "measured", queries=tuple(values.images), per_query=found, tried=tried, per_image=images)


def _tried(home: Home, build: Build) -> Tried:
    """Return the images that tried a build's defect scores; none where it has no such scores, or an older program's."""
    stages = build.measured
    if DEFECTS not in stages:
        return (), {}
    with home.reading() as store:
        scored, dataset = (store.open(stage, **stages[stage]) for stage in (DEFECTS, "dataset"))
        told = json.loads(scored.file(TOLD).read_bytes())
        return tried_images(scored.path, RecordTable(dataset.path)) if "scored" in told else ((), {})


def _labels(home: Home, build: Build, rows: Numbers) -> list[str]:
    with home.reading() as store:
        records = RecordTable(store.open("dataset", **build.measured["dataset"]).path)
    return [records[int(row)].label for row in rows]


def _by_label(labels: Sequence[str], old: Numbers, new: Numbers) -> list[LabelChange]:
    """Return how each label moved, the largest loss first, then the largest gain, then those that did not move."""
    places: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        places.setdefault(label, []).append(i)
    found = []
    for label, at in sorted(places.items()):
        interval = None
        if len(at) >= LEAST_QUERIES:
            low, high = percentile_intervals((new[at] - old[at])[:, None])[0].tolist()
            interval = (low, high)
        found.append(LabelChange(label, len(at), float(old[at].mean()), float(new[at].mean()), interval))
    return sorted(found, key=lambda one: (one.moved == 0, one.moved if one.moved < 0 else 0, -one.moved))


def _notes(values: Sequence[BuildValues]) -> Iterator[str]:
    reports: list[Mapping[str, Any]] = [one.report for one in values]
    galleries = [report["gallery"] for report in reports]
    if galleries[0] != galleries[1]:
        yield (
            f"figures are of the builds as they were made: {safe(values[0].name)} then searched {galleries[0]:,} "
            f"images, {safe(values[1].name)} {galleries[1]:,}; fewer are the easier task"
        )
    if not all(report.get("seeds") for report in reports):
        yield ONE_TRAINING
