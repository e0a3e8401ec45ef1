"""The evaluate stage: features, index and labels to report.json, what pictures need, and per-query values.

Beside it the seeds stage: what the reports of several seeds show together.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from simsearch.arrays import Integers, Labels, Pixels
from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.home import SEEDS_FILE
from simsearch.images.thumbnails import OFFSETS as THUMBNAILS
from simsearch.images.thumbnails import ThumbnailReader
from simsearch.recipe import tables
from simsearch.stages.asked import MOST_QUERIES, measured_queries
from simsearch.stages.common import THREADS, Data
from simsearch.stages.index import gallery_index, search_settings
from simsearch.stages.step import Result, Step
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import Search

if TYPE_CHECKING:
    from simsearch.evaluation.details.beside import Beside
    from simsearch.vectors.features import FeatureFile

VERSION = 7


def evaluate(
    build: str,
    data: Data,
    embedded: dict[str, Artifact],
    index: Artifact,
    table: tables.Evaluation,
    searched: tables.Index,
    *,
    few_shot: bool,
    trained: Artifact | None = None,
    frozen: Artifact | None = None,
    untrained: str | None = None,
    beside: Beside | None = None,
) -> Step:
    """Return the step that measures the features of each system, and those of the recipe through `index`.

    `searched` says how; `few_shot`: the labels searched were not trained on. With `trained`, the recipe's embedder,
    a picture is timed too: that decides nothing that is measured, so it is no input. `frozen`: features that a head
    was trained on, which it is compared with. `untrained`: which of the features learnt from no label that is
    searched, if any: labels are doubted by these. `beside` makes the map.
    """
    search = search_settings(searched, index)
    settings = {**table.model_dump(), **search.to_json(), "few_shot": few_shot, "untrained": untrained}
    if data.facts["queries"] > MOST_QUERIES:  # those that measure all of them keep their addresses
        settings["queries"] = MOST_QUERIES
    inputs = {"dataset": data.artifact.reference, "index": index.reference}
    measured = {**embedded, "frozen": frozen} if frozen else embedded
    inputs |= {system: artifact.reference for system, artifact in measured.items()}
    work = Measuring(build, data, measured, index, table, search, few_shot, trained, untrained, beside).report
    return Step("evaluate", "Evaluated", VERSION, settings, inputs, work)


@dataclass(frozen=True)
class Measuring:
    """What a report is made from; `embedded` are the features of each system, the others as `evaluate` has them."""

    build: str
    data: Data
    embedded: dict[str, Artifact]
    index: Artifact
    table: tables.Evaluation
    search: Search
    few_shot: bool
    trained: Artifact | None
    untrained: str | None
    beside: Beside | None

    def report(self, space: Workspace, progress: Progress) -> Result:
        """Write report, details, far, strangers and map .json and queries.npz; returns facts, the headline in words."""
        from simsearch.evaluation.details.around import look_around
        from simsearch.evaluation.evaluate import Features
        from simsearch.evaluation.evaluate import evaluate as measure
        from simsearch.evaluation.own import numbered
        from simsearch.images.perceptual import lookalikes, reductions, twins
        from simsearch.report.summary import asked_words, optimistic_words, recall_words, summarize
        from simsearch.stages.answer_time import milliseconds_of_a_picture
        from simsearch.vectors.features import FeatureFile

        labels: list[str] = []
        of_images: list[str] = []
        digests = bytearray()
        every: list[int] = []
        val: list[int] = []
        for record in self.data.records():
            labels.append(record.label)
            of_images.append(record.group)
            digests += bytes.fromhex(record.sha256)
            if record.query:
                every.append(record.row)
            if record.val:
                val.append(record.row)
        queries = measured_queries(every, digests, MOST_QUERIES)
        names = sorted(set(labels) - {""})
        pictures = THUMBNAILS in self.data.artifact.manifest["files"]  # a build of vectors has none
        gallery = int(self.data.facts["gallery"])
        unmeasured = self.data.facts.get("unmeasured")
        number = {label: i for i, label in enumerate(names)}
        groups = numbered(of_images)
        copies = near = None
        if pictures:
            progress.tell("near twins across the split")
            reduced = reductions(self.data.artifact.path, threads=THREADS)
            copies = twins(reduced, queries, gallery, groups)
            near = _near_twins(self.data, reduced, np.array(queries), gallery, groups, copies)
        with ExitStack() as stack:
            # One file object for one artifact: systems that share features are measured once.
            paths = {system: artifact.file("features.h5") for system, artifact in self.embedded.items()}
            files = {path: stack.enter_context(FeatureFile(path)) for path in set(paths.values())}
            opened = {system: files[path] for system, path in paths.items()}
            found = measure(
                build=self.build,
                features=Features(**opened),
                gallery=gallery,
                query_rows=queries,
                labels=np.array([number.get(label, -1) for label in labels])
                if self.data.facts["labelled"] and not unmeasured
                else None,
                label_names=names,
                groups=groups,
                val_rows=[] if self.few_shot else val,  # where unseen labels are searched, val has seen ones
                index=gallery_index(self.index),
                index_bytes=int(self.index.facts["bytes"]),
                ks=self.table.k,
                search=self.search,
                few_shot=self.few_shot,
                name=self.data.name,
                twins=copies,
                near=near,
                progress=progress.tell,
            )
            progress.tell("duplicates in the corpus, and labels that may be mistakes")
            corpus = int(self.index.facts["ntotal"])
            looks = lookalikes(reduced, range(corpus)) if pictures else None
            corpus_labels = labels[:corpus] if self.data.facts["labelled"] and not unmeasured else None
            around = look_around(
                np.frombuffer(digests, "S32")[:corpus],
                looks,
                opened["recipe"],
                opened[self.untrained] if self.untrained else None,
                reduced[:corpus] if pictures else None,
                corpus_labels,
                None if groups is None else groups[:corpus],
            )
            found.report.update(around)
            # Earlier data sets say nothing of it.
            found.report.update(
                {key: self.data.facts[key] for key in ("left_out", "decoded") if key in self.data.facts}
            )
            if len(queries) < len(every):
                found.report["queries_of"] = len(every)
            if self.few_shot and self.data.facts["labelled"]:
                why = "the labels searched were not trained on"
                found.report["reasons"] |= {"false_accepts": why, "strangers": why}
            if unmeasured:
                found.report.update(classes=len(names), unmeasured=unmeasured)
                found.report["reasons"] = dict.fromkeys(found.report["reasons"], unmeasured)
            if self.trained is not None:
                progress.tell("how long a picture takes")
                took = milliseconds_of_a_picture(self.data, self.trained, gallery_index(self.index), self.search)
                found.report["milliseconds"] = took
            shown = None
            if self.table.map:
                progress.tell("map of the features before and after")
                shown = _map(opened, np.array(queries), labels, self.beside)
        report = {**found.report, "summary": summarize(found.report)}
        (space.out / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False))
        for name, value in (
            ("details", found.details),
            ("far", found.false_accepts),
            ("strangers", found.strangers),
            ("map", shown),
        ):
            (space.out / f"{name}.json").write_text(json.dumps(value, allow_nan=False))
        np.savez(space.out / "queries.npz", allow_pickle=False, **found.per_query)
        measured = recall_words(found.report) or "quality not measured"
        told = f"{measured}, {asked_words(found.report)}"
        return {"queries": len(queries)}, f"{told}, optimistic" if measured and optimistic_words(found.report) else told


def _near_twins(
    data: Data, reduced: Pixels, queries: Integers, gallery: int, groups: Labels | None, copies: Integers
) -> tuple[Integers, Integers]:
    """Return positions of the queries that have a near twin in the gallery, and of those looked at."""
    from simsearch.evaluation.details.near_twins import find_near_twins
    from simsearch.images.shots import BESIDES, Shots

    with ThumbnailReader(data.artifact.path) as thumbnails:
        shots = Shots(reduced, gallery, thumbnails.__getitem__)
        return find_near_twins(shots.besides, queries, gallery, groups, BESIDES, shots.same, copies)


def _map(
    opened: dict[str, FeatureFile], queries: Integers, labels: list[str], beside: Beside | None
) -> dict[str, Any] | None:
    """Return the queries as points in the plane, before (baseline) and after (recipe), ready for JSON."""
    from simsearch.evaluation.details.projection import project
    from simsearch.evaluation.systems import gather

    before = gather(opened["baseline"], queries) if "baseline" in opened else None
    make = project if beside is None else beside.project
    found = make(before, normalize(gather(opened["recipe"], queries)), [labels[row] for row in queries])
    if found is not None:
        found["rows"] = queries[found["rows"]].tolist()
        found |= {side: found[side].round(3).tolist() for side in ("before", "after") if found[side] is not None}
    return found


def seeds(trained: Sequence[int], evaluated: Sequence[Artifact], apart: int = 1) -> Step:
    """Return the step over the seeds `trained`, made from the evaluate artifact of each.

    The seeds of their references are `apart` from their own; 1 is how older versions made them.
    """
    inputs = {f"seed {seed}": artifact.reference for seed, artifact in zip(trained, evaluated, strict=True)}
    work = partial(compare_seeds, trained, evaluated, apart)
    settings = {"seeds": list(trained)} | ({"references_apart": apart} if apart > 1 else {})
    return Step("seeds", "Over seeds", 1, settings, inputs, work)


def compare_seeds(
    trained: Sequence[int], evaluated: Sequence[Artifact], apart: int, space: Workspace, progress: Progress
) -> Result:
    """Write seeds.json; returns the number of seeds."""
    from simsearch.report.over_seeds import over_seeds

    reports = [json.loads(artifact.file("report.json").read_bytes()) for artifact in evaluated]
    (space.out / SEEDS_FILE).write_text(json.dumps(over_seeds(reports, trained, apart), indent=1, allow_nan=False))
    return {"count": len(trained)}, f"{len(trained)} seeds, each a build"
