"""What a build, a fine-tuning or a sync would take, before it starts: rows, memory, disk, time. Nothing is written.

Times are rough: they tell minutes from hours. Those of a build come from what stages took on two cores
(docs/results.md), those of what follows one from the seconds that its own stages took.
"""

from __future__ import annotations

import json
import math
from typing import Any

from simsearch.artifacts import MANIFEST, Artifact
from simsearch.changes.compare import Changes
from simsearch.errors import SourceError
from simsearch.hashing import HashMemory
from simsearch.home import Build, Home, checked_name
from simsearch.images.limits import why_untrained
from simsearch.images.splits import QUERY_SHARE, VAL_SHARE, assign
from simsearch.names import build_name
from simsearch.pipeline.graph import open_dataset
from simsearch.pipeline.rules import kept_labels, older_defaults, older_rules
from simsearch.pipeline.systems import device_words
from simsearch.recipe import Recipe, filled
from simsearch.recipe.defaults import epochs_for
from simsearch.recipe.files import NamedRecipe, find_recipe
from simsearch.stages.index import refuse_factory

DIGITS, DIGITS_GALLERY = 1_797, 1_438
LIBRARIES = 700_000_000  # bytes of a process that has loaded torch
THUMBNAIL = 2_500  # bytes, at 96 px
FIT_SHARE = (1 - QUERY_SHARE) * (1 - VAL_SHARE)
READ = 8e-4  # seconds an image: a JPEG decoded, hashed and made small
HEAD_STEP = 1e-5
SMALL_EXPORT, EXPORT = 1.5, 4.0  # seconds a network: made, written as a bundle and compared
SMALL_NETWORK, NETWORK = 1_000_000, 20_000_000  # bytes on disk, weights and bundle; mnist_cnn, MobileNetV2
FORWARD_BYTES = 500_000_000  # of memory, for the layers of a batch of photos
GRAPH = 5e-5  # seconds a row of HNSW32 at 64-d
LISTS = 1e-5  # seconds a row of every other kind
EXACT = 2e-12  # seconds a query, row and number of exact search
SEARCHES = 7  # in one evaluation: systems, and depth of MAP@R
SYNC, SYNC_ROW = 0.5, 1e-5  # seconds a sync, and a row that it looks at
# A training step on an image against embedding it: its gradients are twice the work again, and torch's kernels are
# slower than the bundle's runtime. Measured with MobileNetV2 at 160 and 224 px on 2 cores: 7 and 8.
STEP_OVER_EMBEDDING = 8.0
NAME_LEFT = 54  # of the 64 characters of a build's name
MINUTE = 60.0


def forecast(named: NamedRecipe, home: Home, *, name: str | None = None) -> dict[str, Any]:
    """Return images, labels, rows, dim, bytes of memory and disk, and seconds by stage; JSON-ready.

    Raises SimsearchError for what the build itself would refuse at its start, and for a torchvision set that is not
    here yet, whose size is not known.
    """
    from simsearch.vectors.tuning.candidates import SAMPLE_BYTES

    called = checked_name(name or named.name)
    asked = older_defaults(home, called, kept_labels(home, called, named.recipe))
    recipe = asked.resolve()
    device_words(recipe)
    images, labels, gallery, trainable = _count(asked, home, called)
    backbone = recipe.embedder.spec
    trains = bool(recipe.training.epochs) and (trainable or bool(labels and named.recipe.training.epochs))
    size = int(recipe.images.size or backbone.size)
    dim = recipe.embedder.dim if trains else backbone.width(size)
    rows = images if recipe.index.corpus == "all" else gallery
    refuse_factory(recipe.index.factory, dim, gallery)
    systems = 3 if recipe.evaluation.baseline and trains else 1
    index = rows * (4 * dim + (300 if "HNSW" in str(recipe.index.factory) else 8))
    features = 4 * dim * images
    small, head = not backbone.deep, recipe.embedder.train == "head"
    forward = backbone.seconds * (size / (backbone.size or size)) ** 2
    networks = 1 if head or not trains else systems
    picture = size * size * backbone.channels
    step = HEAD_STEP if head else forward * STEP_OVER_EMBEDDING
    epochs = recipe.training.epochs or 0
    if asked.training.epochs is None and recipe.small:
        epochs = epochs_for(int(FIT_SHARE * images), filled(recipe.training.batch_size))
    epochs = epochs * systems if trains else 0
    seconds = {
        "read": images * READ * (0.2 if small else 1.0),
        "train": epochs * FIT_SHARE * images * step + networks * (SMALL_EXPORT if small else EXPORT),
        "embed": images * forward * (1 if head else systems),
        "index": _index_seconds(recipe, rows, dim),
        "evaluate": images * QUERY_SHARE * rows * dim * EXACT * SEARCHES * (2 if systems > 1 else 1) + 1.0,
    }
    return {
        "build": called,
        "exists": home.has_build(called),
        "images": images,
        "labels": labels,
        "rows": rows,
        "dim": dim,
        "index": recipe.index.factory or f"chosen for ann_recall@10 {recipe.index.target_recall:g}",
        # The stage that needs most: training holds the images, indexing the index, evaluation two copies of features.
        "memory_bytes": LIBRARIES
        + (0 if small else FORWARD_BYTES)
        + max(picture * images * (trains and not head), index + min(SAMPLE_BYTES, features), 2 * features),
        "disk_bytes": images * min(THUMBNAIL, picture)
        + networks * (SMALL_NETWORK if small else NETWORK)
        + features * systems
        + 2 * index,
        "seconds": {stage: round(value, 1) for stage, value in seconds.items()},
    }


def _count(recipe: Recipe, home: Home, name: str) -> tuple[int, int, int, bool]:
    """How many images, labels and gallery rows the source has, and whether they can train anything.

    Sources of files are opened; others would write.
    """
    table = recipe.dataset
    if table.kind == "digits":
        return DIGITS, 10, DIGITS_GALLERY, True
    if table.kind == "torchvision":
        unpacked = home.datasets / ".unpacked"
        if not any(unpacked.glob(f"{table.source.partition(':')[2]}-*")):
            raise SourceError(
                f"{table.source} is not in {home.path} yet, so its number of images is not known",
                hint="build it once, which downloads it, or give a folder or a table",
            )
    rules = older_rules(home, name, recipe) or recipe.images.decoding()
    source = open_dataset(table, home, offline=True, memory=HashMemory(None), decoding=rules)
    records, _ = assign(
        source.images,
        [""] * len(source.images),  # which images go where depends on their bytes, how many do not
        **table.model_dump(include={"split", "test_classes", "seed"}),
        labelled=source.labelled,
        unseen=recipe.defects.unseen,
    )
    gallery = sum(record.gallery for record in records)
    labels = len({record.label for record in records} - {""})
    return len(records), labels, gallery, source.labelled and why_untrained(records) is None


def _index_seconds(recipe: Recipe, rows: int, dim: int) -> float:
    from simsearch.vectors.tuning.candidates import LEAST_SECONDS

    wide = max(1.0, dim / 64)
    graph: float = rows * GRAPH * wide * max(1.0, rows / 1e5) ** 0.1
    if recipe.index.target_recall is not None:  # tuning takes at most so long, and then there is the index itself
        return min(max(LEAST_SECONDS, graph), rows * LISTS * 30 * wide) + rows * LISTS * wide
    return graph if "HNSW" in str(recipe.index.factory) else rows * LISTS * wide


def render_forecast(found: dict[str, Any]) -> str:
    """Return the forecast as lines of text."""
    total = sum(found["seconds"].values())
    stages = ", ".join(f"{stage} {spoken(seconds)}" for stage, seconds in found["seconds"].items())
    lines = [
        f"images   {found['images']:,}" + (f" of {found['labels']:,} labels" if found["labels"] else ", no labels"),
        f"rows     {found['rows']:,} x {found['dim']}, index {found['index']}",
        f"memory   about {_size(found['memory_bytes'])}",
        f"disk     about {_size(found['disk_bytes'])}",
        f"time     about {spoken(total)} ({stages})",
    ]
    if found["exists"]:
        lines.append(f"build    {found['build']} exists: stages whose input did not change are not run again")
    return "\n".join(lines)


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


def fine_tuning(named: NamedRecipe, recipe: Recipe, name: str, stages: dict[str, Artifact]) -> str | None:
    """Return time and command, two lines, for a build of a head on frozen features; None for every other build.

    What was set for the head's training is left out.
    """
    embedded = stages.get("frozen/embed")
    if embedded is None or recipe.embedder.train != "head" or recipe.embedder.weights == "none":
        return None
    if recipe.embedder.spec.brought is not None:  # stays as it is
        return None
    kept = [s for s in named.settings if not s.startswith("training.") or s.startswith("training.seed")]
    fine = find_recipe(named.argument, [*kept, "embedder.train=all"])
    epochs = fine.recipe.resolve().training.epochs or 0
    an_image = _each(embedded.manifest, "rows")
    systems = 2 if recipe.evaluation.baseline else 1
    seconds = systems * epochs * int(stages["dataset"].facts["fit"]) * an_image * STEP_OVER_EMBEDDING
    return (
        f"Training the backbone too would take about {spoken(max(seconds, 1.0))} here:\n"
        f"  {fine.command()} --name {build_name(name[:NAME_LEFT])}-finetuned"
    )


def spoken(seconds: float) -> str:
    """Return a time as people say it: in seconds up to a minute and a half, then minutes, then hours."""
    if seconds < 1.5 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 90 * MINUTE else f"{seconds / 60 / MINUTE:.1f} h"


def seconds_of_sync(build: Build, home: Home, changes: Changes) -> int:
    """Return about how long a sync will take, from what reading and embedding took when the build was made."""
    stages = build.measured
    if "frozen/embed" in stages:  # a head was applied to features of the backbone, which says nothing of an image
        stages = {**stages, "embed": stages["frozen/embed"]}
    an_image = 0.0
    for stage, count in (("dataset", "images"), ("embed", "rows")):
        manifest = json.loads((home.store.path(stage, stages[stage]["digest"]) / MANIFEST).read_bytes())
        an_image += _each(manifest, count)
    return math.ceil(SYNC + SYNC_ROW * int(build.record.images) + an_image * len(changes.fresh))


def _each(manifest: dict[str, Any], count: str) -> float:
    """The seconds that a stage took for each of what it counted."""
    return float(manifest["seconds"]) / int(manifest["facts"][count])
