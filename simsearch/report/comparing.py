"""Builds compared by what their evaluations stored; nothing is searched or measured again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from simsearch.console import safe
from simsearch.errors import ArtifactError
from simsearch.home import Build, Home
from simsearch.images.records import RecordTable
from simsearch.report.compare import BuildComparison, BuildValues, compare_builds
from simsearch.report.reading import report_of

DIFFERENT_DATA = "the builds are of other data or splits: compared on the queries that both have"


def compare_with_base(home: Home, names: Sequence[str]) -> Iterator[BuildComparison]:
    """Yield how each further build differs from the first, which is the `other` of every comparison.

    Raises ArtifactError for a build that is missing or damaged, and for two builds without a query in common.
    """
    builds = [home.build(name) for name in names]
    base = stored_values(home, builds[0])
    for build in builds[1:]:
        found = compare_builds(stored_values(home, build), base)
        if not found.shared:
            raise ArtifactError(
                f"{build.name} and {base.name} have no query in common: they were made from "
                f"{safe(build.record['source'])} and {safe(builds[0].record['source'])}",
                hint="compare builds of the same images; a query is the same when name and content of its image are",
            )
        if build.measured["dataset"]["content"] != builds[0].measured["dataset"]["content"]:
            found = replace(found, notes=[DIFFERENT_DATA, *found.notes])
        yield found


def stored_values(home: Home, build: Build) -> BuildValues:
    """Return what a build stored about its queries; each is known by name and content of its image."""
    stages = build.measured
    with home.reading() as store:
        dataset, evaluated = (store.open(name, **stages[name]) for name in ("dataset", "evaluate"))
    with np.load(evaluated.file("queries.npz"), allow_pickle=False) as file:
        values = {key: file[key] for key in file.files}
    records = RecordTable(dataset.path)
    # Other data may use the same names, as 7/0001.png.
    images = [f"{record.image}\0{record.sha256}" for record in map(records.__getitem__, values["rows"].tolist())]
    return BuildValues(build.name, report_of(build), values, images)
