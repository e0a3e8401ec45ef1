"""dataset -> train -> embed -> index -> evaluate: the graph of stages that a recipe stands for.

Nothing here imports torch, so that an unchanged build is checked within a second: stages are imported when they run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .artifacts import Artifact, Workspace, digest_of
from .console import Stage, safe, say
from .errors import RecipeError, SourceError
from .home import Build, Home, checked_name
from .images.source import Source
from .images.sources import open_source
from .plan import Plan, now
from .recipe import Recipe
from .recipe_files import NamedRecipe
from .stages.common import Data, Frozen


@dataclass(frozen=True)
class Outcome:
    """What a build did: the build, its report, and the titles of the stages that ran (none: it was up to date)."""

    build: Build
    report: dict[str, Any]
    ran: list[str]


def run_build(named: NamedRecipe, home: Home, *, name: str | None = None) -> Outcome:
    """Build a recipe: run what is missing or stale, name the result, return it. Raises SimsearchError."""
    started = time.perf_counter()
    build_name = checked_name(name or named.name)
    home.prepare_environment()
    with home.lock(
        f"build {build_name}", lambda who: say(f"Waiting for {safe(who)}, which is writing to {safe(str(home.path))}")
    ):
        home.store.clean_up()
        plan = Plan(home)
        try:
            record = Pipeline(plan, named.recipe).run(build_name, renamed=name is not None)
        finally:
            home.memory.close()
        build = _name_it(home, build_name, record, plan)
    report = build.report()
    if plan.ran:
        from .evaluation.summary import render_table

        say("\n".join(safe(line) for line in render_table(report).split("\n")))
        say(f"Built {build_name} in {time.perf_counter() - started:.1f} s")
    else:
        say(
            f"{build_name} is up to date ({record['images']:,} images checked in {time.perf_counter() - started:.1f} s)"
        )
    return Outcome(build, report, plan.ran)


def _name_it(home: Home, name: str, record: dict[str, Any], plan: Plan) -> Build:
    """The named build; an unchanged one keeps the time when it was made."""
    if not plan.ran and home.has_build(name):
        build = home.build(name)
        if {**build.record, **record} == build.record and build.report_path.is_file():
            return build
    return home.write_build(name, {**record, "when": now(), "listed": True, "pins": []}, plan.stages["evaluate"])


class Pipeline:
    """One recipe on its way through a plan."""

    def __init__(self, plan: Plan, recipe: Recipe) -> None:
        self.plan = plan
        self.asked = recipe
        self.recipe = recipe.resolve()
        self.weights = _weights_digest(str(self.recipe.embedder.weights), plan.home)

    def run(self, name: str, *, renamed: bool = False, offline: bool = False) -> dict[str, Any]:
        """Ensure every stage; returns the build's record. NotBuiltError ends a plan that may not run anything."""
        home, plan = self.plan.home, self.plan
        table = self.recipe.dataset
        source = open_source(
            table.source,
            home_datasets=home.datasets,
            options=table.options,
            exclude=table.exclude,
            root=table.root,
            base=Path.cwd(),
            offline=offline,
            memory=home.memory,
        )
        self._refuse_other_source(name, source, renamed)
        labels = f", {len({image.label for image in source.images}):,} labels" if source.labelled else ""
        plan.heading = [f"{safe(source.title)}: {len(source.images):,} images{labels}", *map(safe, source.notes)]
        self._adapt_to_labels(source)
        data = self._dataset(source)
        systems = {system: self._system(system, data) for system in self._wanted_systems()}
        embedded = systems["recipe"][1]
        index = self._index(data, embedded)
        self._evaluate(name, data, {system: features for system, (_, features) in systems.items()}, index)
        corpus = int(index.facts["ntotal"])
        return {
            "recipe": self.recipe.model_dump(),
            "source": source.identity,
            "root": source.root,
            "labelled": source.labelled,
            "images": corpus,
            "search": {"nprobe": self.recipe.index.nprobe, "efSearch": self.recipe.index.efSearch},
            "stages": {stage: artifact.reference for stage, artifact in plan.stages.items()},
        }

    def _refuse_other_source(self, name: str, source: Source, renamed: bool) -> None:
        home = self.plan.home
        if self.plan.may_run and not renamed and home.has_build(name):
            before = home.build(name).record.get("source")
            if before != source.identity:
                raise RecipeError(
                    f"build {name} exists in {home.path} and was made from {before}, not from {source.identity}",
                    hint=f"--name OTHER makes a second build, --name {name} replaces the first",
                )

    def _dataset(self, source: Source) -> Data:
        from .stages.dataset import check_bad, check_usable, make_dataset

        table = self.recipe.dataset
        listing = source.fingerprint(self.plan.home.memory)
        fingerprint = digest_of([[name.encode("utf-8", "surrogateescape").hex(), *rest] for name, *rest in listing])
        settings = {
            "kind": table.kind if table.kind != "torchvision" else table.source,
            **table.model_dump(include={"options", "split", "test_classes", "exclude", "seed"}),
        }

        def work(space: Workspace, progress: Stage) -> tuple[dict[str, Any], str]:
            facts = make_dataset(space, source, listing, settings, table.max_bad_fraction, progress)
            bad = f", {facts['bad']:,} set aside (quarantine.csv)" if facts["bad"] else ""
            return facts, f"{facts['images']:,} images{bad}"

        before = len(self.plan.ran)
        inputs = {"source": {"digest": fingerprint, "content": fingerprint}}
        artifact = self.plan.ensure("dataset", "Read", settings, inputs, work)
        facts = artifact.facts
        check_bad(facts["bad"], facts["bad"] + facts["images"], table.max_bad_fraction, [])
        check_usable(facts, safe(source.title), trains=bool(self.recipe.training.epochs))
        if len(self.plan.ran) > before:
            if facts["bad"]:
                say(f"Set aside: see {safe(str(artifact.file('quarantine.csv')))}")
            counts = (
                f"{flag} {facts[key]:,}"
                for flag, key in (("fit", "fit"), ("val", "val"), ("gallery", "gallery"), ("query", "queries"))
            )
            say(f"{'Split':<13} {', '.join(counts)}")
            for note in facts["notes"]:
                say(safe(note))
        return Data(artifact, source.reader())

    def _adapt_to_labels(self, source: Source) -> None:
        """Without labels nothing can be trained: the backbone's own features are used."""
        if source.labelled:
            return
        if self.asked.training.epochs:
            raise SourceError(
                f"{safe(source.title)} has no labels, and [training] epochs = {self.asked.training.epochs} needs them",
                hint="leave epochs out to search by the backbone's own features, or put images into class folders",
            )
        training = self.recipe.training.model_copy(update={"epochs": 0})
        self.recipe = self.recipe.model_copy(update={"training": training})

    def _wanted_systems(self) -> list[str]:
        return ["recipe", "baseline", "reference"] if self.recipe.evaluation.baseline else ["recipe"]

    def _loss_and_seed(self, system: str) -> tuple[dict[str, Any], int] | None:
        """Loss and seed of a system; None when it is the frozen backbone."""
        training, embedder = self.recipe.training, self.recipe.embedder
        if training.epochs == 0 or (system == "reference" and embedder.train == "all" and embedder.weights != "none"):
            return None
        if system == "recipe":
            return self.recipe.loss.model_dump(), training.seed
        return {"name": "softmax"}, training.seed + (system == "reference")

    def _system(self, system: str, data: Data) -> tuple[Artifact, Artifact]:
        """The train and embed artifacts of recipe, baseline or reference."""
        chosen = self._loss_and_seed(system)
        if chosen is None:
            return self._frozen(system, data)
        loss, seed = chosen
        prefix = "" if system == "recipe" else f"{system}/"
        embedder = self.recipe.embedder
        head_only = embedder.train == "head"
        frozen = Frozen(*self._frozen("frozen", data)) if head_only else None
        settings = {
            "images": self.recipe.images.model_dump(),
            "embedder": {**embedder.model_dump(), "weights": self.weights},
            "loss": loss,
            "training": {**self.recipe.training.model_dump(), "seed": seed},
        }
        inputs = {"dataset": _view(data, "train")}
        if frozen:
            inputs["features"] = frozen.embedded.reference

        def work(space: Workspace, progress: Stage) -> tuple[dict[str, Any], str]:
            from .stages.train import train

            facts = train(space, data, settings, str(embedder.weights), frozen, progress)
            what = f"{loss['name']} head on frozen features" if frozen else loss["name"]
            return facts, f"{what}, {facts['dim']}-d, {_epochs(self.recipe)}, {facts['threads']} threads"

        title = {"recipe": "Trained", "baseline": "Baseline", "reference": "Reference"}[system]
        trained = self.plan.ensure(f"{prefix}train", title, settings, inputs, work)
        return trained, self._embed(prefix, data, trained, frozen)

    def _frozen(self, system: str, data: Data) -> tuple[Artifact, Artifact]:
        """The backbone alone, and its features of every row."""
        images, embedder, seed = self.recipe.images, self.recipe.embedder, self.recipe.training.seed
        settings = {
            "images": images.model_dump(),
            "embedder": {"backbone": embedder.backbone, "weights": self.weights},
            "seed": seed if embedder.weights == "none" else 0,
        }
        # Without a head nothing depends on the data, unless mean and std must be measured on them.
        measured = images.mean is None or images.std is None
        inputs = {"dataset": _view(data, "measured")} if measured else {}

        def work(space: Workspace, progress: Stage) -> tuple[dict[str, Any], str]:
            from .stages.train import freeze

            facts = freeze(space, data, settings, str(embedder.weights))
            return facts, f"{embedder.backbone} as it is, {facts['dim']}-d"

        prefix = "" if system == "recipe" else f"{system}/"
        trained = self.plan.ensure(f"{prefix}train", "Backbone", settings, inputs, work)
        return trained, self._embed(prefix, data, trained, None)

    def _embed(self, prefix: str, data: Data, trained: Artifact, frozen: Frozen | None) -> Artifact:
        inputs = {"dataset": _view(data, "rows"), "train": trained.reference}
        if frozen:
            inputs["features"] = frozen.embedded.reference

        def work(space: Workspace, progress: Stage) -> tuple[dict[str, Any], str]:
            from .stages.embed import embed

            facts = embed(space, data, trained, frozen, progress)
            through = "" if facts["through"] == "onnxruntime" else f", {facts['through']}"
            return facts, f"{facts['rows']:,} images{through}"

        return self.plan.ensure(f"{prefix}embed", "Embedded", {}, inputs, work)

    def _index(self, data: Data, embedded: Artifact) -> Artifact:
        settings = self.recipe.index.model_dump(include={"factory", "corpus"})

        def work(space: Workspace, progress: Stage) -> tuple[dict[str, Any], str]:
            from .stages.index import make_index

            facts = make_index(space, data, embedded, settings, progress)
            size = facts["bytes"] / 1024
            return facts, f"{facts['factory']}, inner product on unit vectors, {size:,.0f} KB"

        inputs = {"dataset": _view(data, "rows"), "embed": embedded.reference}
        return self.plan.ensure("index", "Indexed", settings, inputs, work)

    def _evaluate(self, name: str, data: Data, features: dict[str, Artifact], index: Artifact) -> Artifact:
        settings = {
            **self.recipe.evaluation.model_dump(),
            **self.recipe.index.model_dump(include={"nprobe", "efSearch"}),
        }
        inputs = {"dataset": data.artifact.reference, "index": index.reference}
        inputs |= {system: artifact.reference for system, artifact in features.items()}

        def work(space: Workspace, progress: Stage) -> tuple[dict[str, Any], str]:
            from .stages.evaluate import evaluate

            return evaluate(space, name, data, features, index, settings, progress)

        return self.plan.ensure("evaluate", "Evaluated", settings, inputs, work)


def _epochs(recipe: Recipe) -> str:
    return "1 epoch" if recipe.training.epochs == 1 else f"{recipe.training.epochs} epochs"


def _view(data: Data, view: str) -> dict[str, str]:
    """A reference to the part of the dataset that a stage looks at: its digest is a digest of that content."""
    digest = str(data.facts["views"][view])
    return {"digest": digest, "content": digest}


def _weights_digest(weights: str, home: Home) -> str:
    """A weights file enters digests by its bytes, not by its path."""
    if weights in {"none", "default"}:
        return weights
    path = Path(weights)
    if not path.is_file():
        raise RecipeError(
            f"[embedder] weights: no file {weights}", hint="give none, default, or a .safetensors, .pth or .pt file"
        )
    return home.memory.sha256(path)
