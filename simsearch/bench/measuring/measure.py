"""One cell, measured: built in the night's scratch area, then turned into figures and values of single queries."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from simsearch.artifacts import Artifact
from simsearch.bench.judging.metrics import METRICS, kept_name
from simsearch.bench.measuring import speed
from simsearch.bench.measuring.defects import defect_figures, tried_images
from simsearch.bench.measuring.machine import peak_memory, reset_peak
from simsearch.bench.measuring.scratch import NightHome
from simsearch.bench.records import Cell, NightFigure, Result, kept
from simsearch.console import safe
from simsearch.embedder.bundle.trained import open_trained, preprocess_of
from simsearch.errors import InvariantError, SimsearchError, disk_error
from simsearch.evaluation.figures import FIGURES, Figure, places
from simsearch.evaluation.systems import gather
from simsearch.home import Home
from simsearch.images.records import RecordTable
from simsearch.pipeline.graph import Pipeline
from simsearch.pipeline.plan import Plan
from simsearch.recipe.files import find_recipe
from simsearch.stages.common import Data
from simsearch.stages.index import gallery_index
from simsearch.statistics.intervals import percentile_intervals
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import Search

SYSTEM = "recipe/index"
EXACT = "recipe/cosine"
QUALITY = [figure for figure in FIGURES if figure.key in METRICS]
TIMED_K = 10
TIMED_IMAGES = 64
TIMED_STAGES = ("train", "embed", "index", "evaluate")
# What may go wrong in a part of a night without ending the others.
FAILURES = (
    SimsearchError, OSError, MemoryError, ArithmeticError, ValueError, LookupError, RuntimeError, TypeError,
    AttributeError, ImportError,
)  # fmt: skip

Tables = dict[str, Any]


def words_of(error: BaseException) -> str:
    """Return words for an error."""
    return error.message if isinstance(error, SimsearchError) else f"{type(error).__name__}: {error}"


def run_cell(
    cell: Cell, night: NightHome, home: Home, reference: speed.Reference | None, plan: Plan | None = None
) -> Result:
    """Return the result of a cell, a failed one where something raised: the others of the night are still run.

    Its stages are those of `plan`, by default all of them made in the night's home. Without a `reference` nothing is
    timed.
    """
    plan = plan or Plan(night, night.progress)
    try:
        return _measured(cell, plan, home, reference)
    except FAILURES as error:
        if isinstance(error, ImportError) and isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise  # Ctrl-C while a library was being loaded
        full = disk_error(error, home.path)
        if full is not None:
            raise full from error  # the same command goes on once there is space: nothing was measured
        message, broken = words_of(error), isinstance(error, InvariantError)
    night.progress.say(f"FAILED        {safe(cell.name)}, stage {plan.at}: {safe(message)}")
    return Result(cell, "failed", stage=plan.at, error=message, broken=broken)


def _measured(cell: Cell, plan: Plan, home: Home, reference: speed.Reference | None) -> Result:
    named = find_recipe(cell.argument, list(cell.settings))
    reset_peak()
    pipeline = Pipeline(plan, named.recipe)
    # The data sets are the home's; nothing else that the night writes is.
    with home.writing("bench", plan.progress):
        source, data = pipeline.read(named.name, renamed=True)
    record = pipeline.run(named.name, source, data)
    stages = plan.stages
    report = json.loads(stages["evaluate"].file("report.json").read_bytes())
    with np.load(stages["evaluate"].file("queries.npz"), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    rows = arrays["rows"]
    values = per_query(arrays, report["k"])
    memory = peak_memory()
    started = time.perf_counter()
    timing = [] if reference is None else time_answers(data, stages, record.search, rows, reference)
    took = time.perf_counter() - started
    size = sum(file["size"] for name, a in stages.items() if name != "dataset" for file in a.manifest["files"].values())
    seconds = {name: float(artifact.manifest["seconds"]) for name, artifact in stages.items()}
    found = stages["defects"].path if "defects" in stages else None
    measured = [
        *sorted(quality_figures(report, values), key=lambda figure: (figure.k is None, figure.k or 0)),
        *([] if found is None else defect_figures(found)),
        *timing,
        *(NightFigure("seconds", None, name, taken, n=1) for name, taken in seconds.items()),
        NightFigure("seconds", None, "timing of answers", took, n=1),
        NightFigure("bytes", None, "all", float(size), n=1),
    ]
    if memory is not None:
        measured.append(NightFigure("peak_memory", None, "all", float(memory), n=1))
    table = RecordTable(data.artifact.path)
    tried, per_image = ((), {}) if found is None else tried_images(found, table)
    return Result(
        cell,
        "measured",
        digests={name: artifact.reference for name, artifact in stages.items()},
        seconds=seconds,
        figures=tuple(measured),
        queries=tuple(kept(table[int(row)].image) for row in rows),
        per_query=values,
        tried=tried,
        per_image=per_image,
    )


def per_query(arrays: Tables, ks: list[int]) -> Tables:
    """Return the values of single queries, by the names under which the history keeps them; "boundary" is a mask."""
    found: Tables = {}
    for figure in QUALITY:
        for place in places(figure, ks):
            stored = [place.stored(system) for system in _systems(figure)]
            found |= {kept_name(*place[:2]): arrays[name] for name in reversed(stored) if name in arrays}
    found |= {f"ann_recall@{k}": arrays[f"{SYSTEM}/ann@{k}"] for k in ks if f"{SYSTEM}/ann@{k}" in arrays}
    if "boundary" in arrays:
        found["boundary"] = arrays["boundary"]
    return {name: values.astype(np.float64) for name, values in found.items()}


def quality_figures(report: Tables, values: Tables) -> Iterator[NightFigure]:
    """Yield every quality figure of a report with its interval and the number of queries (or pairs) that it is over."""
    systems = report["systems"]
    for figure in QUALITY:
        for place in places(figure, report["k"]):
            trees = (systems[name] for name in _systems(figure) if name in systems)
            tree = next((tree for tree in trees if place.of(tree) is not None), None)
            if tree is None:
                continue
            low, high = place.of(tree.get("intervals")) or (None, None)
            n = (report.get("verification") or {}).get("pairs")
            column = values.get(kept_name(*place[:2]))
            if column is not None:
                n = int((~np.isnan(column) & (place.scope == "all" or values["boundary"] > 0)).sum())
            k = None if place.k is None else int(place.k)
            yield NightFigure(place.key, k, place.scope, float(place.of(tree)), low, high, n)
    for k in report["k"]:
        shares = values.get(f"ann_recall@{k}")
        if shares is not None:
            low, high = percentile_intervals(shares[:, None], resamples=500)[0].tolist()
            yield NightFigure("ann_recall", k, "all", float(shares.mean()), low, high, len(shares))


def _systems(figure: Figure) -> tuple[str, ...]:
    """Return whose figure is taken, the first that has it: an approximate index has no deep ones of its own."""
    return (SYSTEM, EXACT) if figure.deep else (SYSTEM,)


def time_answers(
    data: Data,
    stages: Mapping[str, Artifact],
    search: Search,
    rows: Any,
    reference: speed.Reference,
    repeats: int = speed.REPEATS,
) -> list[NightFigure]:
    """Return the figures of speed: from pixels to neighbours, one image at a time, and a batch of embeddings."""
    preprocess = preprocess_of(stages["train"])
    runtime = open_trained(stages["train"], threads=1)
    index = gallery_index(stages["index"])
    chosen = rows[np.linspace(0, len(rows) - 1, min(TIMED_IMAGES, len(rows))).astype(np.int64)]
    table = RecordTable(data.artifact.path)
    pictures = [data.reader.array(table[int(row)].image, preprocess.at_least) for row in chosen]
    with FeatureFile(stages["embed"].file("features.h5")) as file:
        embeddings = normalize(gather(file, rows[: speed.BATCH]))
    k = min(TIMED_K, index.ntotal)

    def answer(i: int) -> object:
        pixels = preprocess.normalize(preprocess.fit(pictures[i])[None])
        return index.search(normalize(runtime.features(pixels)), k, search)

    def batch() -> int:
        index.search(embeddings, k, search)
        return len(embeddings)

    return speed.measure(reference, answer, len(pictures), batch, repeats=repeats)


def speed_again(result: Result, night: NightHome, reference: speed.Reference, repeats: int) -> list[NightFigure] | None:
    """Return the speed figures of a measured cell, timed once more; None where its artifacts are not there."""
    try:
        stages = {stage: night.store.open(stage, **result.digests[stage]) for stage in TIMED_STAGES}
        with np.load(stages["evaluate"].file("queries.npz"), allow_pickle=False) as stored:
            rows = stored["rows"]
        search = search_of(stages["evaluate"])
        return time_answers(data_of(result.cell, night), stages, search, rows, reference, repeats)
    except FAILURES:
        return None


def data_of(cell: Cell, night: NightHome) -> Data:
    """Return the dataset artifact of a cell and the reader of its source, as they are now."""
    named = find_recipe(cell.argument, list(cell.settings))
    return Pipeline(Plan(night, night.progress), named.recipe).read(named.name, renamed=True)[1]


def search_of(evaluated: Artifact) -> Search:
    """Return the search settings that an evaluate artifact was measured with."""
    return Search.from_json(evaluated.manifest["settings"])
