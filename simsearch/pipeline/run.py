"""A recipe built under a name: once, or with several seeds; a build that was synced is left standing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simsearch.console import Progress, safe
from simsearch.embedder.networks.families import download_described
from simsearch.embedder.networks.kept import keep
from simsearch.errors import RecipeError, SimsearchError
from simsearch.home import SEEDS_FILE, Build, Home, Record, checked_name
from simsearch.images.sources.source import Source
from simsearch.locks import working_seconds
from simsearch.pipeline.estimate import fine_tuning
from simsearch.pipeline.graph import Pipeline
from simsearch.pipeline.plan import Plan, now
from simsearch.pipeline.rules import kept_labels, older_defaults
from simsearch.pipeline.seeds import Run, runs
from simsearch.pipeline.standing import left_standing
from simsearch.pipeline.systems import starting_weights
from simsearch.recipe.files import NamedRecipe
from simsearch.recipe.recipe import with_defaults
from simsearch.report.published import page_fault, publish_report
from simsearch.report.reading import name_build, report_of
from simsearch.stages.common import CURVES
from simsearch.stages.evaluate import seeds as over_seeds
from simsearch.stages.index import missed_target


@dataclass(frozen=True)
class Outcome:
    """What a build did: the build, its report, and the titles of the stages that ran (none: it was up to date).

    `missed`: why an index that was to be chosen by measuring did not reach its target, None where it did or none was
    set. `standing`: why nothing was looked at, where the build was synced. `curves`: a picture of a training that ran.
    `advice`: a command that may give better answers, and what it costs. `notes`: what else is to be said of the source.
    `changed`: the name stands for something else than before, be it only for what another build's stages had made.
    """

    build: Build
    report: dict[str, Any]
    ran: list[str]
    seconds: float
    missed: str | None
    standing: str | None = None
    curves: Path | None = None
    advice: str | None = None
    notes: Sequence[str] = ()
    changed: bool = False


@dataclass(frozen=True)
class Made:
    """One build of a command, with the plan and the pipeline that it came from."""

    plan: Plan
    pipeline: Pipeline
    source: Source
    record: Record
    build: Build


def run_build(
    named: NamedRecipe,
    home: Home,
    *,
    name: str | None = None,
    seeds: int = 1,
    retrain: bool = False,
    offline: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Build a recipe: run what is missing or stale, name the result, return it. Raises SimsearchError.

    With `seeds` above 1 it is also built with the seeds that follow its own, and its report says what these show.
    With `offline` nothing is downloaded, and what is not here is refused.
    A build that was synced is left as it is, unless `retrain` asks for a training on all that is there now.
    """
    started, progress = working_seconds(), progress or Progress()
    build_name = checked_name(name or named.name)
    home.prepare_environment(offline=offline)
    download_described(named.recipe.embedder.backbone or "")
    asked = named.recipe
    named = replace(named, recipe=kept_labels(home, build_name, asked))
    if named.recipe != asked:
        kept = safe(str(named.recipe.dataset.labels))
        progress.say(f"The labels of {kept} win, as before; --set dataset.labels=true leaves them out")
    newest = named.recipe
    if not retrain:
        named = replace(named, recipe=older_defaults(home, build_name, newest))
    if not retrain and (left := _standing(named, home, build_name, _command(named, name, 1), seeds, started)):
        return left
    wanted = runs(named.recipe, build_name, seeds, None if retrain else _apart(home, build_name, seeds))
    with progress.stage("Build", line=False) as shown, home.writing(f"build {build_name}", progress):
        made: list[Made] = []
        before, switched = stages_of(home, build_name), was_switched(home, build_name)
        for run in wanted:
            like = made[0].source if made else None
            shown.tell("looking at the images")
            command = _command(named, name, 1) if seeds == 1 else None
            made.append(_make(run, home, progress, like, command, renamed=name is not None, anew=retrain))
        build = made[0].build if seeds == 1 else _with_seeds(made, home)
        keep()
        plan, ran = made[0].plan, [title for one in made for title in one.plan.ran]
        report = report_of(build)
        if ran or page_fault(build, report):
            from simsearch.report.publish import publish_page

            shown.tell("writing the report")
            publish_page(build, report, plan.stages, _command(named, name, seeds))
    again = f"{_command(named, name, seeds)} --retrain trains"
    differing = made[0].pipeline.differing(build_name, made[0].source, f"{again} anew by these")
    notes = [*([] if ran else made[0].source.left_out.words()), *([differing] if differing else [])]
    if ran and build.milvus is not None:
        notes.append(f"{build_name} is answered for here: what Milvus holds is of before, until it is exported anew")
    if switched and build.record.former is None:
        notes.append(f"{build_name} had been switched to another build, and stands for this recipe again")
    if named.recipe != newest:
        notes.append(
            f"{build_name} was trained by earlier defaults of [training] and [augmentation]: {again} by today's"
        )
    return Outcome(
        build,
        report,
        ran,
        working_seconds() - started,
        missed=next((why for one in made if (why := missed_target(one.plan.stages["index"]))), None),
        curves=plan.stages["train"].file(CURVES) if "Trained" in plan.ran else None,
        advice=fine_tuning(named, made[0].pipeline.recipe, build_name, plan.stages),
        notes=notes,
        changed=before != build.record.stages,
    )


def stages_of(home: Home, name: str) -> dict[str, Any] | None:
    """Return what a build's name stands for; None where there is no such build, or a damaged one."""
    with suppress(SimsearchError):
        return dict(home.build(name).record.stages) if home.has_build(name) else None
    return None


def was_switched(home: Home, name: str) -> bool:
    """Return whether another build was put in the place of the one that has the name."""
    with suppress(SimsearchError):
        return home.has_build(name) and home.build(name).record.former is not None
    return False


def _standing(named: NamedRecipe, home: Home, name: str, command: str, seeds: int, started: float) -> Outcome | None:
    with home.reading(days=None) as store:
        weights = None
        if home.has_build(name) and home.build(name).record.synced:
            with suppress(OSError, RecipeError):  # a file that is gone is no reason to leave what stands
                weights = starting_weights(named.recipe.resolve().embedder, home, None)
        found = left_standing(home, name, named.recipe.as_asked(), command, seeds, weights)
        if found is None:
            return None
        missed = missed_target(store.open("index", **found.build.measured["index"]))
        took = working_seconds() - started
        return Outcome(found.build, report_of(found.build), [], took, missed, standing=found.why, notes=found.notes)


def _apart(home: Home, name: str, seeds: int) -> int | None:
    """How far the seeds of references are from their own in the build that stands; None where that does not matter.

    Without --seeds a build of several keeps its reference. One that an older version made has the next seed.
    """
    if not home.has_build(name) or "seeds" not in (stages := home.build(name).record.stages):
        return None
    with home.reading() as store:
        found = json.loads(store.open("seeds", **stages["seeds"]).file(SEEDS_FILE).read_bytes())["seeds"]
    return found.get("references_apart", 1) if seeds in (1, found["count"]) else None


def _command(named: NamedRecipe, name: str | None, seeds: int) -> str:
    return named.command() + (f" --name {name}" if name else "") + (f" --seeds {seeds}" if seeds > 1 else "")


def _make(
    run: Run,
    home: Home,
    progress: Progress,
    like: Source | None,
    command: str | None,
    *,
    renamed: bool,
    anew: bool,
) -> Made:
    """Make one build; where it is one of several seeds there is no `command` that asks for it alone."""
    if not run.listed and home.has_build(run.name) and home.build(run.name).listed:
        raise RecipeError(
            f"--seeds would replace the build {run.name}, which is one of its own",
            hint="--name OTHER makes builds of other names",
        )
    plan = Plan(home, progress, heading=[run.heading] if run.heading else [])
    pipeline = Pipeline(plan, run.recipe, run.apart, anew=anew, like=like, command=command)
    source, data = pipeline.read(run.name, renamed=renamed or not run.listed, several=command is None)
    record = replace(pipeline.run(run.name, source, data), listed=run.listed)
    return Made(plan, pipeline, source, record, _name_it(home, run.name, record, plan))


def _with_seeds(made: list[Made], home: Home) -> Build:
    """The listed build, the first of `made`, with the stage over all seeds added."""
    plan, record = made[0].plan, made[0].record
    trained = [one.pipeline.recipe.training.seed for one in made]
    evaluated = [one.plan.stages["evaluate"] for one in made]
    found = plan.make(over_seeds(trained, evaluated, made[0].pipeline.apart))
    record = replace(record, stages={**record.stages, "seeds": found.reference})
    return _name_it(home, made[0].build.name, record, plan)


def _name_it(home: Home, name: str, record: Record, plan: Plan) -> Build:
    """The named build; an unchanged one keeps the time when it was made, and what other seeds showed."""
    if not plan.ran and home.has_build(name):
        build = home.build(name)
        before, now_made = build.record.stages, record.stages
        if "seeds" in before and before["evaluate"] == now_made["evaluate"]:
            record = replace(record, stages={"seeds": before["seeds"], **now_made})
        known = replace(build, record=replace(build.record, recipe=with_defaults(build.record.recipe)))
        if known.stands_for(record):
            publish_report(known, report_of(known))
            return known
    return name_build(home, name, replace(record, when=now(), milvus=home.loaded(name)))
