"""What can be made anew from the features of a build, and which command makes the rest anew."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from simsearch.artifacts import Artifact, Store
from simsearch.console import Progress, safe
from simsearch.errors import ArtifactError
from simsearch.exchange.vectors_in import import_command
from simsearch.home import Build, Home, Record
from simsearch.integrity.verifying import Verified, verify_build
from simsearch.pipeline.first import table_of
from simsearch.pipeline.plan import Plan
from simsearch.pipeline.systems import untrained_of
from simsearch.recipe import tables
from simsearch.recipe.recipe import make_recipe, with_defaults
from simsearch.report.publish import publish_again
from simsearch.report.published import page_fault, publish_report
from simsearch.report.reading import name_build, report_of
from simsearch.stages.common import Data
from simsearch.stages.evaluate import evaluate
from simsearch.stages.index import index as indexed
from simsearch.stages.index import search_settings
from simsearch.stages.sync import mended_index
from simsearch.stages.vectors import without_pictures

OF_THE_INDEX = {"index", "rows", "norms", "answers", "inputs"}


def repair_build(build: Build, home: Home, progress: Progress | None = None) -> tuple[Build, Verified]:
    """Make anew what can be made of features that are sound: index, report, figures; returns the build, checked again.

    What cannot is said, with the command that does. Raises ArtifactError when another process is at it.
    """
    progress = progress or Progress()
    with home.writing(f"index verify --repair {build.name}", progress):
        build = home.build(build.name)
        found = verify_build(build, progress)
        if found.sound:
            return build, found
        for check in found.checks:
            if check.ok is False:
                progress.say(f"{check.name}: {safe(check.words)}")
        build = _Repair(build, found, Plan(home, progress)).run()
        return build, verify_build(build, progress)


class _Repair:
    """One build on its way to being sound."""

    def __init__(self, build: Build, found: Verified, plan: Plan) -> None:
        self.build, self.home, self.found, self.plan = build, plan.home, found, plan
        self.stages: dict[str, dict[str, str]] = dict(build.record.stages)
        self.table = tables.Index(**build.record.recipe["index"])
        if build.provisional:
            self.table = table_of(self.table)
        self._say = plan.progress.say

    def run(self) -> Build:
        """Rebuild index, then evaluate, then the report's files; returns the build as it is named then."""
        for name in self.stages:
            if name not in ("index", "evaluate") and name not in self.found.artifacts:
                self._say(f"{name} cannot be made of features: {self._remake(name)}")
        if self.build.record.built:
            return self._synced()
        self._mend()
        if self.stages != self.build.record.stages:
            search = search_settings(self.table, self.home.store.open("index", **self.stages["index"]))
            return self._published(replace(self.build.record, stages=self.stages, search=search))
        return self._report()

    def _mend(self) -> None:
        """Rebuild index and evaluate where they are lost or stale; `stages` has them afterwards."""
        if not {"dataset", "embed"} <= self.found.artifacts.keys():
            return
        data = without_pictures(self.found.artifacts["dataset"])
        if self.found.said_no() & OF_THE_INDEX:
            self._index(data)
        if self.build.provisional:
            return
        stale = self.stages["index"] != self.build.record.stages["index"] or "inputs" in self.found.said_no()
        if "evaluate" not in self.found.artifacts or stale:
            self._evaluate(data)

    def _synced(self) -> Build:
        """Mend what the build was before it was synced, which its report is about; then the index that a sync left."""
        record, no = self.build.record, self.found.said_no()
        first = before_sync(self.build, self.home.store)
        before = _Repair(first, verify_build(first), self.plan)
        for stage in ("dataset", "embed"):
            if f"built/{stage}" in no:
                self._say(f"built/{stage} cannot be made of features: {before._remake(stage)}, with --retrain")
        before._mend()
        built = {stage: before.stages[stage] for stage in record.built or {}}
        for stage, which in (record.built or {}).items():
            if self.stages[stage] == which:  # the sync left this one as it was
                self.stages[stage] = built[stage]
        self.stages["evaluate"] = before.stages["evaluate"]
        if "seeds" not in before.stages:
            self.stages.pop("seeds", None)
        sound = self.found.artifacts
        if (
            no & (OF_THE_INDEX - {"inputs"})
            and self.stages["index"] != built["index"]
            and {"dataset", "embed"} <= sound.keys()
        ):
            self.stages["index"] = remake_synced_index(self.plan, self.build, sound, built["index"]).reference
        record = replace(record, stages=self.stages, built=built)
        if "Evaluated" in self.plan.ran:
            return self._published(record)
        if record != self.build.record:
            self.build = self.home.write_build(self.build.name, record)
        return self._report()

    def _index(self, data: Data) -> None:
        step = indexed(data, self.found.artifacts["embed"], self.table)
        if step.digest != self.stages["index"]["digest"]:
            raise ArtifactError(
                f"the index of build {self.build.name} was made by another version of simsearch",
                hint=self._remake("index"),
            )
        self.home.set_aside("index", step.digest)
        self.stages["index"] = self.plan.make(step).reference

    def _evaluate(self, data: Data) -> None:
        sound, recipe = self.found.artifacts, self.build.record.recipe
        evaluation = tables.Evaluation(**recipe["evaluation"])
        others = ("baseline", "reference") if evaluation.baseline else ()
        names = {"recipe": "embed", **{system: f"{system}/embed" for system in others}}
        index = self.home.store.open("index", **self.stages["index"])
        missing = [name for name in names.values() if name not in sound]
        if missing:
            self._say(f"The report needs {', '.join(missing)}: {self._remake(missing[0])}")
            return
        self.home.set_aside("evaluate", self.stages["evaluate"]["digest"])
        features = {system: sound[name] for system, name in names.items()}
        unseen = recipe["dataset"]["split"] == "disjoint"
        vectors = self.build.of_vectors
        plain = None if vectors else untrained_of(make_recipe(with_defaults(recipe), self.build.name))
        more: dict[str, Any] = {"few_shot": unseen, "untrained": plain}
        made = self.plan.make(evaluate(self.build.name, data, features, index, evaluation, self.table, **more))
        if self.stages.pop("seeds", None):
            self._say("What several seeds show together was about another report: run the same build --seeds N again")
        self.stages["evaluate"] = made.reference

    def _published(self, record: Record) -> Build:
        """The build with the new artifacts, its report and its page."""
        if record.provisional:
            return self.home.write_build(self.build.name, record)
        build = name_build(self.home, self.build.name, record)
        publish_again(build, self.home.store, import_command(build) or "")
        return build

    def _report(self) -> Build:
        """The build, what lies under its name for people made to follow where it does not."""
        if self.build.provisional:
            return self.build
        with suppress(ArtifactError):  # of a report that is itself lost, which was said
            report = report_of(self.build)
            publish_report(self.build, report)
            if self.build.listed and page_fault(self.build, report):
                publish_again(self.build, self.home.store, import_command(self.build) or "")
        return self.build

    def _remake(self, name: str) -> str:
        path = self.home.store.path(name.rpartition("/")[2], self.stages[name]["digest"])
        again = "run the same simsearch build again" + (", with --retrain" if self.build.record.synced else "")
        command = import_command(self.build) or again
        return f"move {safe(str(path))} away, then {safe(command)}"


def before_sync(build: Build, store: Store) -> Build:
    """The build as it was made, before any sync: its report is about that."""
    record = replace(build.record, stages=build.measured, built=None, synced=None)
    with suppress(ArtifactError):  # a damaged index is looked at by whoever asks
        record = replace(record, images=int(store.open("index", **build.measured["index"]).facts["ntotal"]))
    return Build(build.name, build.home, record)


def remake_synced_index(plan: Plan, build: Build, sound: dict[str, Artifact], built: dict[str, str]) -> Artifact:
    """The index over dataset and features of a synced build, rows that are gone masked; `built` is that before syncs.

    Raises ArtifactError when nothing tells the factory any more: it was chosen by measuring, and every index is lost.
    """
    dataset, embedded, table = sound["dataset"], sound["embed"], build.record.recipe["index"]
    facts: dict[str, Any] = {"metric": "inner product", "gallery": int(dataset.facts["gallery"])}
    left = sound.get("index")
    with suppress(ArtifactError):
        left = left or plan.home.store.open("index", **built)
    if left:
        facts |= left.facts
    elif table.get("factory") is not None:
        facts["factory"] = table["factory"]
    else:
        raise ArtifactError(
            f"the index of build {build.name} was chosen by measuring, and nothing that is left tells its factory",
            hint="run the same simsearch build again, with --retrain",
        )
    facts |= {"dim": int(embedded.facts["dim"]), "corpus": table["corpus"]}
    step = mended_index(facts, dataset, embedded)
    plan.home.set_aside("index", step.digest)
    return plan.make(step)
