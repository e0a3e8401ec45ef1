"""A build of vectors that were made elsewhere: no images and no embedder, but an index, its figures, and a name."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from simsearch.artifacts import Workspace, digest_of
from simsearch.console import Progress, safe, say
from simsearch.errors import RecipeError, VectorsError
from simsearch.home import VECTORS, Build, Home, checked_name
from simsearch.pipeline.indexing import ensure_evaluate, ensure_index, search_settings
from simsearch.pipeline.plan import Plan, now
from simsearch.recipe.recipe import make_recipe
from simsearch.report.publish import publish_page
from simsearch.report.reading import name_build, report_of
from simsearch.stages.vectors import UNIT, copy_vectors, read_vectors, without_pictures
from simsearch.vectors.formats import VectorFile, open_vectors

KS = [1, 5, 10]


def run_import(path: str, home: Home, name: str, index: dict[str, Any]) -> tuple[Build, bool]:
    """Make the build `name` of a file or folder of vectors; returns it, and whether anything had to run.

    `index` holds keys of [index]: factory, or target_recall. Raises VectorsError for vectors that cannot be used, and
    RecipeError for a factory, target or name that cannot.
    """
    checked_name(name)
    recipe = make_recipe({"dataset": {"source": "digits"}, "index": {**index, "corpus": "gallery"}}, "index import")
    place = Path(os.path.realpath(os.path.expanduser(path)) if path else "")
    tables = {
        "dataset": {"source": f"{VECTORS}{place}", "split": "closed"},
        "index": recipe.resolve().index.model_dump(),
        "evaluation": {"k": KS, "baseline": False, "map": False},
    }
    before = home.build(name) if home.has_build(name) else None
    if before is not None and not before.of_vectors:
        raise RecipeError(
            f"build {name} exists in {home.path} and was made from {before.record['source']}, not from vectors",
            hint="give another --name",
        )
    file = open_vectors(place if path else path)
    try:
        with home.writing(f"index import {name}"):
            plan = Plan(home, heading=[f"{safe(place.name)}: {_shape(file)}", *map(safe, file.notes)])
            record = _stages(plan, name, file, tables)
            choice = plan.stages["index"].facts.get("choice")
            if choice is not None and not choice["reached"]:
                say(f"warning: {safe(choice['why'])}")
            build = _named(home, name, record, plan, before)
            if plan.ran or not build.page_path.is_file():
                publish_page(build, report_of(build), plan.stages, import_command(build) or "")
    finally:
        file.close()
    return build, bool(plan.ran)


def missed_target(build: Build) -> bool:
    """Whether the index of a build of vectors was chosen for a target that none reached."""
    with Home(build.home).reading() as store:
        choice = store.open("index", **build.record["stages"]["index"]).facts.get("choice")
    return choice is not None and not choice["reached"]


def import_command(build: Build) -> str | None:
    """The command that makes a build of vectors anew; None for a build of images."""
    if not build.of_vectors:
        return None
    index, place = build.record["recipe"]["index"], str(build.record["source"]).removeprefix(VECTORS)
    key = "factory" if index.get("target_recall") is None else "target_recall"
    choice = [] if index[key] == "Flat" else [f"--{key.replace('_', '-')}", str(index[key])]
    return shlex.join(["simsearch", "index", "import", place, "--name", build.name, *choice])


def _shape(file: VectorFile) -> str:
    rows, dim = file.vectors.shape
    queries = f", {file.queries.shape[0]:,} to search with" if file.queries else ""
    labels = f", {len(set(file.labels) - {''}):,} labels" if file.labels else ""
    return f"{rows:,} vectors, {dim}-d{queries}{labels}"


def _stages(plan: Plan, name: str, file: VectorFile, tables: dict[str, Any]) -> dict[str, Any]:
    """Ensure every stage; returns the build's record."""
    stamps = _stamps(file)
    listing = [
        [os.fsencode(os.path.relpath(path, file.path)).hex(), *plan.home.memory.size_and_sha256(path)]
        for path in file.files
    ]
    fingerprint = digest_of(sorted(listing))
    source = {"digest": fingerprint, "content": fingerprint}

    def unchanged() -> None:
        if _stamps(file) != stamps:
            raise VectorsError(
                f"{file.path} changed while it was read", hint="import it again when nothing writes to it"
            )

    def read(space: Workspace, progress: Progress) -> tuple[dict[str, Any], str]:
        facts = read_vectors(space, file, fingerprint, progress)
        unchanged()
        return facts, f"{facts['gallery']:,} vectors{_lengths(facts)}"

    def copy(space: Workspace, progress: Progress) -> tuple[dict[str, Any], str]:
        facts = copy_vectors(space, file, progress)
        unchanged()
        return facts, f"{facts['rows']:,} x {facts['dim']}, as they are"

    dataset = plan.ensure("dataset", "Read", {"kind": "vectors"}, {"source": source}, read)
    data = without_pictures(dataset)
    embedded = plan.ensure("embed", "Copied", {"kind": "vectors"}, {"dataset": data.view("rows")}, copy)
    index = ensure_index(plan, data, embedded, tables["index"])
    ensure_evaluate(plan, name, data, {"recipe": embedded}, index, tables)
    return {
        "recipe": tables,
        "source": tables["dataset"]["source"],
        "root": None,
        "labelled": bool(dataset.facts["labelled"]),
        "images": int(index.facts["ntotal"]),
        "search": search_settings(tables["index"], index),
        "stages": {stage: artifact.reference for stage, artifact in plan.stages.items()},
        "listed": True,
    }


def _stamps(file: VectorFile) -> list[tuple[int, int]]:
    found = [path.stat() for path in file.files]
    return [(status.st_size, status.st_mtime_ns) for status in found]


def _lengths(facts: dict[str, Any]) -> str:
    low, high = facts["norms"]
    if max(abs(low - 1), abs(high - 1)) <= UNIT:
        return " of length 1"
    return f" of lengths {low:.3g} to {high:.3g}: searched by their angle"


def _named(home: Home, name: str, record: dict[str, Any], plan: Plan, before: Build | None) -> Build:
    """The named build; an unchanged one keeps the time when it was made."""
    if before is not None and not plan.ran and {**before.record, **record} == before.record:
        return before
    return name_build(home, name, {**record, "when": now(), "pins": []})
