"""dataset -> train -> embed -> index -> evaluate: the graph of stages that a recipe stands for.

Nothing here imports torch, so that an unchanged build is checked within a second: stages are imported when they run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simsearch.artifacts import Artifact, Workspace, digest_of
from simsearch.console import Progress, safe, say
from simsearch.embedder.networks.catalog import find_backbone
from simsearch.errors import RecipeError, SourceError
from simsearch.home import Build, Home, checked_name
from simsearch.images.source import Source
from simsearch.locks import working_seconds
from simsearch.pipeline.advice import fine_tuning
from simsearch.pipeline.indexing import ensure_evaluate, ensure_index, refuse_factory, search_settings
from simsearch.pipeline.plan import Plan, now
from simsearch.pipeline.seeds import Run, compare_seeds, refuse_idle_seeds, runs
from simsearch.pipeline.source import open_dataset
from simsearch.pipeline.standing import left_standing
from simsearch.pipeline.systems import Systems, weights_digest
from simsearch.recipe import Recipe
from simsearch.recipe.files import NamedRecipe
from simsearch.report.reading import name_build, report_of
from simsearch.stages.common import Data


@dataclass(frozen=True)
class Outcome:
    """What a build did: the build, its report, and the titles of the stages that ran (none: it was up to date).

    `advice`: a command that may give better answers, and what it costs. `missed`: why an index that was to be chosen
    by measuring did not reach its target, None where it did or none was set.
    """

    build: Build
    report: dict[str, Any]
    ran: list[str]
    advice: str | None = None
    missed: str | None = None


@dataclass(frozen=True)
class Made:
    """One build of a command, with the plan and the pipeline that it came from."""

    plan: Plan
    pipeline: Pipeline
    record: dict[str, Any]
    build: Build


def run_build(
    named: NamedRecipe, home: Home, *, name: str | None = None, seeds: int = 1, retrain: bool = False
) -> Outcome:
    """Build a recipe: run what is missing or stale, name the result, return it. Raises SimsearchError.

    With `seeds` above 1 it is also built with the seeds that follow its own, and its report says what these show.
    A build that was synced is left as it is, unless `retrain` asks for a training on all that is there now.
    """
    started = working_seconds()
    build_name = checked_name(name or named.name)
    if not retrain:
        recipe = named.recipe.resolve().model_dump()
        with home.reading() as store:
            standing = left_standing(home, build_name, recipe, _command(named, name, 1), seeds)
            missed = _missed(store.open("index", **standing.measured["index"])) if standing else None
        if standing:
            if missed:
                say(f"warning: {safe(missed)}")
            return Outcome(standing, report_of(standing), [], missed=missed)
    wanted = runs(named.recipe, build_name, seeds)
    home.prepare_environment()
    with home.writing(f"build {build_name}"):
        made = []
        for run in wanted:
            if not run.listed and home.has_build(run.name) and home.build(run.name).listed:
                raise RecipeError(
                    f"--seeds would replace the build {run.name}, which is one of its own",
                    hint="--name OTHER makes builds of other names",
                )
            made.append(_make(run, home, renamed=name is not None, several=seeds > 1))
        build = made[0].build if seeds == 1 else _with_seeds(made, home)
        plan, ran = made[0].plan, [title for one in made for title in one.plan.ran]
        report = report_of(build)
        if ran or not build.page_path.is_file():
            from simsearch.report.publish import publish_page

            publish_page(build, report, plan.stages, _command(named, name, seeds))
    if ran:
        from simsearch.report.over_seeds import render_with_seeds

        say("\n".join(safe(line) for line in render_with_seeds(report).split("\n")))
        if "Trained" in plan.ran:
            say(f"Curves of the training: {safe(str(plan.stages['train'].file('training.png')))}")
        say(f"Built {build_name} in {working_seconds() - started:.1f} s")
    else:
        images = build.record["images"]
        say(f"{build_name} is up to date ({images:,} images checked in {working_seconds() - started:.1f} s)")
    missed = next((found for one in made if (found := _missed(one.plan.stages["index"]))), None)
    if missed:
        say(f"warning: {safe(missed)}")
    advice = fine_tuning(named, made[0].pipeline.recipe, build_name, plan.stages)
    return Outcome(build, report, ran, advice, missed)


def _missed(index: Artifact) -> str | None:
    choice = index.facts.get("choice")
    return None if choice is None or choice["reached"] else str(choice["why"])


def _command(named: NamedRecipe, name: str | None, seeds: int) -> str:
    return named.command() + (f" --name {name}" if name else "") + (f" --seeds {seeds}" if seeds > 1 else "")


def _make(run: Run, home: Home, *, renamed: bool, several: bool) -> Made:
    plan = Plan(home, heading=[run.heading] if run.heading else [])
    pipeline = Pipeline(plan, run.recipe)
    record = {**pipeline.run(run.name, renamed=renamed or not run.listed, several=several), "listed": run.listed}
    return Made(plan, pipeline, record, _name_it(home, run.name, record, plan))


def _with_seeds(made: list[Made], home: Home) -> Build:
    """The listed build, the first of `made`, with the stage over all seeds added."""
    plan, record = made[0].plan, made[0].record
    seeds = [one.pipeline.recipe.training.seed for one in made]
    found = compare_seeds(plan, seeds, [one.plan.stages["evaluate"] for one in made])
    record = {**record, "stages": {**record["stages"], "seeds": found.reference}}
    return _name_it(home, made[0].build.name, record, plan)


def _name_it(home: Home, name: str, record: dict[str, Any], plan: Plan) -> Build:
    """The named build; an unchanged one keeps the time when it was made, and what other seeds showed."""
    if not plan.ran and home.has_build(name):
        build = home.build(name)
        before, now_made = build.record["stages"], record["stages"]
        if "seeds" in before and before["evaluate"] == now_made["evaluate"]:
            record = {**record, "stages": {"seeds": before["seeds"], **now_made}}
        if {**build.record, **record} == build.record and build.report_path.is_file():
            return build
    return name_build(home, name, {**record, "when": now(), "pins": []})


class Pipeline:
    """One recipe on its way through a plan."""

    def __init__(self, plan: Plan, recipe: Recipe) -> None:
        self.plan = plan
        self.asked = recipe
        self.recipe = recipe.resolve()
        self.weights = weights_digest(str(self.recipe.embedder.weights), plan.home)

    def read(
        self, name: str, *, renamed: bool = False, several: bool = False, offline: bool = False
    ) -> tuple[Source, Data]:
        """Open the source and ensure the dataset stage, which `run` begins with.

        `several`: it is one of several seeds, which need something to train.
        """
        home, plan = self.plan.home, self.plan
        source = open_dataset(self.recipe.dataset, home, offline=offline)
        self._refuse_other_source(name, source, renamed)
        labels = f", {len({image.label for image in source.images}):,} labels" if source.labelled else ""
        plan.heading += [f"{safe(source.title)}: {len(source.images):,} images{labels}", *map(safe, source.notes)]
        self._adapt_to_labels(source)
        if several:  # without labels nothing is trained, which only the source can tell
            refuse_idle_seeds(self.recipe)
        return source, self._dataset(source)

    def run(
        self,
        name: str,
        *,
        renamed: bool = False,
        several: bool = False,
        offline: bool = False,
        opened: tuple[Source, Data] | None = None,
    ) -> dict[str, Any]:
        """Ensure every stage; returns the build's record. NotBuiltError ends a plan that may not run anything.

        `opened`: what `read` returned, where that was done before.
        """
        source, data = opened or self.read(name, renamed=renamed, several=several, offline=offline)
        plan, recipe = self.plan, self.recipe
        backbone = find_backbone(str(recipe.embedder.backbone))
        dim = recipe.embedder.dim if recipe.training.epochs else backbone.width(recipe.images.size or backbone.size)
        plan.foresee("index", lambda: refuse_factory(recipe.index.factory, dim, int(data.artifact.facts["gallery"])))
        systems = Systems(plan, self.recipe, self.weights, data).ensure()
        embedded = systems["recipe"][1]
        tables = self.recipe.model_dump()
        index = ensure_index(plan, data, embedded, tables["index"])
        ensure_evaluate(plan, name, data, {system: one for system, (_, one) in systems.items()}, index, tables)
        corpus = int(index.facts["ntotal"])
        return {
            "recipe": tables,
            "source": source.identity,
            "root": source.root,
            "labelled": source.labelled,
            "images": corpus,
            "search": search_settings(tables["index"], index),
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
        from simsearch.stages.dataset import check_bad, check_usable, make_dataset

        table = self.recipe.dataset
        listing = source.fingerprint(self.plan.home.memory)
        fingerprint = digest_of([[name.encode("utf-8", "surrogateescape").hex(), *rest] for name, *rest in listing])
        settings = {
            "kind": table.kind if table.kind != "torchvision" else table.source,
            **table.model_dump(include={"options", "split", "test_classes", "exclude", "seed"}),
        }

        def work(space: Workspace, progress: Progress) -> tuple[dict[str, Any], str]:
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
