"""dataset -> train -> embed -> index -> evaluate: the graph of stages that a recipe stands for.

Nothing here imports torch, so that an unchanged build is checked within a second: stages load it when they run.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from simsearch.artifacts import Artifact
from simsearch.console import safe
from simsearch.embedder.networks.kept import offline as told_offline
from simsearch.engines.chosen import engine_of
from simsearch.errors import RecipeError, SourceError
from simsearch.evaluation.details.beside import Beside
from simsearch.hashing import HashMemory
from simsearch.home import Home, Record
from simsearch.images.formats.decoding import PRESENT, Decoding, told
from simsearch.images.sources.extras import without_extras
from simsearch.images.sources.opening import OPENED_BY, open_source
from simsearch.images.sources.source import FileSource, Fingerprint, Source
from simsearch.pipeline.first import first_stages, name_first
from simsearch.pipeline.plan import Plan
from simsearch.pipeline.rules import older_rules, what_differs
from simsearch.pipeline.seeds import refuse_idle_seeds
from simsearch.pipeline.systems import Systems, below_head, device_words, starting_weights, untrained_of
from simsearch.recipe import Recipe, filled
from simsearch.recipe.defaults import epochs_for
from simsearch.recipe.tables import Dataset
from simsearch.stages.common import Data, Frozen
from simsearch.stages.dataset import check_bad, check_usable, dataset, mending
from simsearch.stages.defects import defects, refuse_normals
from simsearch.stages.evaluate import evaluate
from simsearch.stages.index import index, refuse_factory, search_settings
from simsearch.stages.step import Step
from simsearch.stages.verdict import verdict
from simsearch.vectors.search import Search

HEADS_ALONE = "a head on frozen features is trained in this process, in less time than others take to start"
FLAGS = {"fit": "fit", "val": "val", "gallery": "gallery", "query": "queries"}  # as they are said, and as counted


class Pipeline:
    """One recipe on its way through a plan; its reference is trained with its seed plus `apart`.

    A build that older rules made is gone on with by them, unless it is made `anew`, or `like` another that was read.
    With the `command` that asked for it, a build that does not stand yet answers before its head is trained.
    """

    def __init__(
        self,
        plan: Plan,
        recipe: Recipe,
        apart: int = 1,
        *,
        anew: bool = False,
        like: Source | None = None,
        command: str | None = None,
    ) -> None:
        self.plan = plan
        self.command = command
        self.apart = apart
        self.anew = anew
        self.like = like
        self.asked = recipe
        self.recipe = recipe.resolve()
        self.weights = starting_weights(self.recipe.embedder, plan.home, plan.progress.say if plan.may_run else None)

    def run(self, name: str, source: Source, data: Data) -> Record:
        """Make every stage after `read`, which returned source and data; returns the build's record."""
        plan, recipe = self.plan, self.recipe
        plan.foresee("index", lambda: refuse_factory(recipe.index.factory, self._dim(), int(data.facts["gallery"])))
        if recipe.finds_defects:
            plan.foresee("defects", lambda: refuse_normals(data, recipe.defects, learned=bool(recipe.training.epochs)))
        with Beside() as beside:
            return self._run(name, source, data, beside)

    def _run(self, name: str, source: Source, data: Data, beside: Beside) -> Record:
        plan, recipe = self.plan, self.recipe
        first = partial(self._before_heads, name, source, data, beside)
        embedded = Systems(plan, recipe, self.weights, data, self.apart, first=first).embedded()
        made = plan.make(index(data, embedded["recipe"], recipe.index))
        unseen = recipe.dataset.split == "disjoint"
        table, trained = recipe.evaluation, plan.stages["train"]
        if recipe.finds_defects:
            learned = bool(recipe.training.epochs)
            plan.make(defects(data, trained, embedded["recipe"], recipe.defects, learned=learned))
        below = below_head(plan, recipe)
        more: dict[str, Any] = {"few_shot": unseen, "trained": trained, "frozen": below, "beside": beside}
        more["untrained"] = "frozen" if below and not unseen else untrained_of(recipe)
        plan.make(evaluate(name, data, embedded, made, table, recipe.index, **more))
        if data.facts["labelled"]:
            heads = recipe.embedder.train == "head" and recipe.training.epochs
            learnt = plan.stages["frozen/embed"] if heads else None
            plan.make(verdict(data, recipe, embedded["recipe"], made, learnt))
        return record_of(plan, recipe.model_dump(), source.identity, source.root, search_settings(recipe.index, made))

    def _before_heads(self, name: str, source: Source, data: Data, beside: Beside, frozen: Frozen) -> None:
        """Let the frozen features answer, and what the report will need be loaded, which takes no core from heads."""
        if self.command is not None:
            self._answer_first(name, source, data, frozen)
        if self.recipe.evaluation.map:
            beside.start()

    def _answer_first(self, name: str, source: Source, data: Data, frozen: Frozen) -> None:
        if (made := first_stages(self.plan, name, data, frozen, self.recipe.index)) is not None:
            record = record_of(made, self.recipe.model_dump(), source.identity, source.root, Search())
            name_first(made, name, replace(record, provisional=True, command=self.command))

    def read(
        self, name: str, *, renamed: bool = False, several: bool = False, offline: bool = False
    ) -> tuple[Source, Data]:
        """Open the source and make the dataset stage, which `run` goes on from.

        `several`: it is one of several seeds, which need something to train. NotBuiltError ends a plan that may not run
        anything, here and in `run`.
        """
        plan = self.plan
        if plan.may_run and (device := device_words(self.recipe)):
            plan.heading.append(f"Device: {device}")
        if self.asked.training.ranks > 1 and self.recipe.embedder.train == "head":
            plan.heading.append(f"[training] ranks = {self.asked.training.ranks} is not used: {HEADS_ALONE}")
        plan.needs = engine_of(self.recipe.run.model_dump()).ready
        if plan.may_run and not plan.home.has_build(name):  # opening a source may read all of it
            plan.check_needs()
        source, listing = self._open(name, renamed, offline or told_offline())
        labels = f", {len({image.label for image in source.images}):,} labels" if source.labelled else ""
        plan.heading += [
            f"{safe(source.title)}: {len(source.images):,} images{labels}",
            *map(safe, [*source.notes, *source.left_out.words()]),
        ]
        self._adapt_to_labels(source)
        if several:  # without labels nothing is trained, which only the source can tell
            refuse_idle_seeds(self.recipe)
        before, table = len(plan.ran), self.recipe.dataset
        made = plan.make(self._dataset(source, listing))
        facts = made.facts
        bad = facts["bad"] - facts.get("unread", 0)
        check_bad(bad, bad + facts["images"], table.max_bad_fraction, [], mending(table.kind))
        self._adapt_to_images(facts)
        if several:
            refuse_idle_seeds(self.recipe)
        check_usable(facts, safe(source.title), trains=bool(self.recipe.training.epochs))
        if len(plan.ran) > before:
            self._say_split(made)
        # An artifact that was made before says by which rules; what is made of it goes on by them.
        how = told(facts) if table.of_files else source.decoding
        return source, Data(made, source.reader().under(how))

    def _open(self, name: str, renamed: bool, offline: bool) -> tuple[Source, Fingerprint]:
        """Return the source by the rules that hold for the build, and what its files are."""
        home, table, own = self.plan.home, self.recipe.dataset, self.recipe.images.decoding()
        older = None if self.anew or self.like is not None else older_rules(home, name, self.asked)
        if older is not None:
            with suppress(SourceError):  # the present rules may take what these refuse
                source = open_dataset(table, home, offline=offline, decoding=older)
                self._refuse_other_source(name, source, renamed)
                listing = source.fingerprint(home.memory)
                if self._step(source, listing).digest == home.build(name).measured["dataset"]["digest"]:
                    return source, listing
        how = own if self.like is None else self.like.decoding
        source = open_dataset(table, home, offline=offline, decoding=how)
        self._refuse_other_source(name, source, renamed)
        if isinstance(source, FileSource) and source.columns:
            source = self._as_before(name, source)
        return source, source.fingerprint(home.memory)

    def _as_before(self, name: str, source: FileSource) -> FileSource:
        """Return the source of a list without its further columns, where the build was made before they were kept."""
        plain, home = without_extras(source), self.plan.home
        if self.like is not None:
            return source if isinstance(self.like, FileSource) and self.like.columns else plain
        if self.anew or not home.has_build(name):
            return source
        before = home.build(name).measured["dataset"]["digest"]
        return plain if self._step(plain, plain.fingerprint(home.memory)).digest == before else source

    def _dataset(self, source: Source, listing: Fingerprint) -> Step:
        """The step of the data set: where an extra is not installed now, still the one that was made with it."""
        if source.left_out.unread:
            whole = self._step(source, listing, whole=True)
            if self.plan.home.store.find(whole.kind, whole.digest):
                return whole
        return self._step(source, listing)

    def _step(self, source: Source, listing: Fingerprint, *, whole: bool = False) -> Step:
        return dataset(source, listing, self.recipe.dataset, unseen=self.recipe.defects.unseen, whole=whole)

    def differing(self, name: str, source: Source, again: str) -> str | None:
        """Return what would differ by the present rules, where the build `name` is of older ones."""
        own = self.recipe.images.decoding()
        if source.decoding.rules == own.rules:
            return None
        return what_differs(
            source,
            lambda: open_dataset(self.recipe.dataset, self.plan.home, offline=True, decoding=own),
            name,
            again,
            int(self.plan.stages["dataset"].facts["bad"]),
        )

    def _say_split(self, made: Artifact) -> None:
        say, facts = self.plan.progress.say, made.facts
        if facts["bad"]:
            say(f"Set aside: see {safe(str(made.file('quarantine.csv')))}")
        say(f"{'Split':<13} {', '.join(f'{flag} {facts[key]:,}' for flag, key in FLAGS.items())}")
        for note in facts["notes"]:
            say(safe(note))

    def _dim(self) -> int:
        """The width of what is indexed."""
        recipe, backbone = self.recipe, self.recipe.embedder.spec
        return recipe.embedder.dim if recipe.training.epochs else backbone.width(recipe.images.size or backbone.size)

    def _refuse_other_source(self, name: str, source: Source, renamed: bool) -> None:
        home = self.plan.home
        if self.plan.may_run and not renamed and home.has_build(name):
            before = home.build(name).record.source
            if before != source.identity:
                raise RecipeError(
                    f"build {name} exists in {home.path} and was made from {before}, not from {source.identity}",
                    hint=f"--name OTHER makes a second build, --name {name} replaces the first",
                )

    def _adapt_to_labels(self, source: Source) -> None:
        """Without labels nothing can be trained: the backbone's own features are used."""
        if source.labelled:
            return
        if self.asked.training.epochs:
            raise SourceError(
                f"{safe(source.title)} has no labels, and [training] epochs = {self.asked.training.epochs} needs them",
                hint="leave epochs out to search by the backbone's own features, or put images into class folders",
            )
        self._train(0)

    def _adapt_to_images(self, facts: dict[str, Any]) -> None:
        """With too few images of a label nothing is trained, and with few in all a small network for more epochs.

        What was asked for stays as it is.
        """
        if "untrained" in facts and self.asked.training.epochs is None and self.recipe.training.epochs:
            self._train(0)
            why = f"{facts['untrained']}: the backbone's own features are used (training.epochs = 0)"
            self.plan.heading.append(f"Nothing is trained, as {safe(why)}")
        elif self.asked.training.epochs is None and self.recipe.training.epochs and self.recipe.small:
            self._train(epochs_for(int(facts["fit"]), filled(self.recipe.training.batch_size)))

    def _train(self, epochs: int) -> None:
        training = self.recipe.training.model_copy(update={"epochs": epochs})
        self.recipe = self.recipe.model_copy(update={"training": training})


def record_of(plan: Plan, recipe: dict[str, Any], source: str, root: str | None, search: Search) -> Record:
    """Return the record of a build whose every stage is in `plan`; `search`: what its index is searched with."""
    return Record(
        recipe=recipe,
        source=source,
        root=root,
        labelled=bool(plan.stages["dataset"].facts["labelled"]),
        images=int(plan.stages["index"].facts["ntotal"]),
        search=search,
        stages={stage: artifact.reference for stage, artifact in plan.stages.items()},
    )


def open_dataset(
    table: Dataset, home: Home, *, offline: bool, memory: HashMemory | None = None, decoding: Decoding = PRESENT
) -> Source:
    """Return the table of images; `memory` of their digests is the home's own unless another is given.

    Raises SourceError for what cannot be read, and, with `offline`, for what would have to be downloaded.
    """
    with home.fetching() if not table.of_files and not offline else nullcontext():
        return open_source(
            table.source,
            home_datasets=home.datasets,
            base=Path.cwd(),
            offline=offline,
            decoding=decoding,
            memory=home.memory if memory is None else memory,
            **table.model_dump(include=set(OPENED_BY)),
        )
