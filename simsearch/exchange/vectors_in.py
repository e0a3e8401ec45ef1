"""A build of vectors that were made elsewhere: no images and no embedder, but an index, its figures, and a name."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from simsearch.artifacts import digest_of
from simsearch.console import Progress, safe
from simsearch.errors import RecipeError, VectorsError
from simsearch.home import VECTORS, Build, Home, Record, checked_name
from simsearch.locks import working_seconds
from simsearch.pipeline.graph import record_of
from simsearch.pipeline.plan import Plan, now
from simsearch.pipeline.run import Outcome
from simsearch.recipe import make_recipe, tables
from simsearch.report.publish import publish_page
from simsearch.report.published import page_fault, publish_report
from simsearch.report.reading import name_build, report_of
from simsearch.stages.evaluate import evaluate
from simsearch.stages.index import checked_settings, missed_target, refuse_factory, search_settings
from simsearch.stages.index import index as indexed
from simsearch.stages.known import compared
from simsearch.stages.vectors import copied, vectors, without_pictures
from simsearch.vectors.formats import VectorFile, open_vectors

CORPUS = "gallery"  # [index] corpus of every build of vectors
OPTIONS = ("factory", "target_recall")  # keys of [index] that have an option of their own
LEFT_OUT = {("corpus", CORPUS), ("factory", "Flat")}


def run_import(path: str, home: Home, name: str, index: dict[str, Any], progress: Progress | None = None) -> Outcome:
    """Make the build `name` of a file or folder of vectors; return what came of it.

    `index` holds keys of [index]: factory, target_recall, nprobe, ... A factory whose search settings are not given has
    them tuned to ann_recall@10 0.95. Raises VectorsError for vectors that cannot be used, and RecipeError for keys of
    [index] or a name that cannot.
    """
    started = working_seconds()
    checked_name(name)
    progress = progress or Progress()
    if index.get("corpus", CORPUS) != CORPUS:
        raise RecipeError(
            f"index import: [index] corpus: expected {CORPUS}, seen {index['corpus']!r}",
            hint="the vectors that a file brings to search with are never searched in",
        )
    recipe = make_recipe({"dataset": {"source": "digits"}, "index": {**index, "corpus": CORPUS}}, "index import")
    place = Path(os.path.realpath(os.path.expanduser(path)) if path else "")
    evaluation = tables.Evaluation(baseline=False, map=False)
    before = home.build(name) if home.has_build(name) else None
    if before is not None and not before.of_vectors:
        raise RecipeError(
            f"build {name} exists in {home.path} and was made from {before.record.source}, not from vectors",
            hint="give another --name",
        )
    file = open_vectors(place if path else path)
    try:
        with home.writing(f"index import {name}", progress):
            rows, dim = file.vectors.shape
            refuse_factory(recipe.index.factory, dim, rows)  # before anything is copied
            table, notes = checked_settings(recipe.resolve().index, dim)
            heading = [f"{safe(place.name)}: {_shape(file)}", *map(safe, [*file.notes, *notes])]
            plan = Plan(home, progress, heading=heading)
            record = make_stages(plan, name, file, f"{VECTORS}{place}", table, evaluation)
            # An unchanged build keeps the time when it was made.
            same = before is not None and not plan.ran and before.stands_for(record)
            if before is not None and same:
                build = before
                publish_report(build, report_of(build))
            else:
                build = name_build(home, name, replace(record, when=now(), milvus=home.loaded(name)))
            report = report_of(build)
            if plan.ran or page_fault(build, report):
                publish_page(build, report, plan.stages, import_command(build) or "")
    finally:
        file.close()
    missed = missed_target(plan.stages["index"])
    return Outcome(build, report, plan.ran, working_seconds() - started, missed, changed=not same)


def import_command(build: Build) -> str | None:
    """The command that makes a build of vectors anew; None for a build of images."""
    if not build.of_vectors:
        return None
    index, place = build.record.recipe["index"], str(build.record.source).removeprefix(VECTORS)
    given = {key: value for key, value in index.items() if value is not None and (key, value) not in LEFT_OUT}
    words = ["simsearch", "index", "import", place, "--name", build.name]
    for key, value in given.items():
        words += [f"--{key.replace('_', '-')}", str(value)] if key in OPTIONS else ["--set", f"index.{key}={value}"]
    return shlex.join(words)


def _shape(file: VectorFile) -> str:
    rows, dim = file.vectors.shape
    queries = f", {file.queries.shape[0]:,} to search with" if file.queries else ""
    labels = f", {len(set(file.labels) - {''}):,} labels" if file.labels else ""
    return f"{rows:,} vectors, {dim}-d{queries}{labels}"


def make_stages(
    plan: Plan, name: str, file: VectorFile, place: str, index: tables.Index, evaluation: tables.Evaluation
) -> Record:
    """Make every stage; returns the build's record."""
    stamps = _stamps(file)
    listing = [
        [os.fsencode(os.path.relpath(path, file.path)).hex(), *plan.home.memory.size_and_sha256(path)]
        for path in file.files
    ]
    if file.separators:  # an earlier simsearch read no names from these files
        listing.append(["separators", file.separators])

    def unchanged() -> None:
        if _stamps(file) != stamps:
            raise VectorsError(
                f"{file.path} changed while it was read", hint="import it again when nothing writes to it"
            )

    data = without_pictures(plan.make(vectors(file, digest_of(sorted(listing)), unchanged)))
    embedded = plan.make(copied(file, data, unchanged))
    if file.neighbours is not None:
        plan.make(compared(file, data, embedded, unchanged))
    made = plan.make(indexed(data, embedded, index))
    plan.make(evaluate(name, data, {"recipe": embedded}, made, evaluation, index, few_shot=False))
    recipe = {
        "dataset": {"source": place, "split": "closed"},
        "index": index.model_dump(),
        "evaluation": evaluation.model_dump(),
    }
    return record_of(plan, recipe, place, None, search_settings(index, made))


def _stamps(file: VectorFile) -> list[tuple[int, int]]:
    found = [path.stat() for path in file.files]
    return [(status.st_size, status.st_mtime_ns) for status in found]
