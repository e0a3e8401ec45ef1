"""sync: a build brought in step with its folder, without training and without embedding anything twice.

The order makes it safe to be killed: new artifacts first, each whole or not there; the build's file last, replaced in
one step. A query that runs meanwhile has opened the old artifacts or opens the new ones, never some of each.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simsearch.artifacts import Artifact
from simsearch.changes.compare import Changes
from simsearch.changes.fresh import unreadable
from simsearch.changes.labels import relabelled
from simsearch.changes.look import NOTHING_DELETED, changes_of, check_deleted, choose_build, open_now
from simsearch.changes.state import MASKED, State, rows_of
from simsearch.console import Progress, safe
from simsearch.embedder.bundle.canaries import check_canaries
from simsearch.embedder.bundle.fingerprint import check_embedder
from simsearch.embedder.bundle.trained import bundle_of
from simsearch.errors import ArtifactError, SimsearchError, SourceError, VectorsError
from simsearch.home import SYNCED, Build, Home
from simsearch.home.again import home_words, retrain_by, word
from simsearch.images.preprocess import PREPROCESS_VERSION, known
from simsearch.images.quarantine import SetAside, by_reason, read_quarantine, told
from simsearch.images.sources.source import FileSource
from simsearch.locks import working_seconds
from simsearch.pipeline.plan import Plan
from simsearch.sync.defects import refitted
from simsearch.sync.milvus import Following
from simsearch.sync.naming import name_synced
from simsearch.sync.new_labels import NewLabel, new_labels
from simsearch.sync.place import check_place, identity
from simsearch.sync.remains import remove_remains
from simsearch.versions import usable_cores

if TYPE_CHECKING:
    from simsearch.engines.engine import Engine
    from simsearch.stages.sync import Transition

COMPACT_ABOVE = 0.2  # deleted and appended rows, as a share of those of the last build or compaction


@dataclass(frozen=True)
class Synced:
    """What a sync did, or with `dry` would do: counts of images, and how many can be searched afterwards.

    `left_out`: what the source passed over, counted by kind; `aside`: what it refuses or nothing can read. `stops`: it
    was a look, and the sync would stop. `new_labels`: what is to be said of labels that there were not before.
    """

    build: Build
    changes: Changes
    lists: dict[str, Any]  # names of each kind, and of those that were set aside
    images: int
    compacted: bool
    seconds: float
    dry: bool
    left_out: dict[str, Any] = field(default_factory=dict)
    aside: list[SetAside] = field(default_factory=list)
    stops: bool = False
    new_labels: list[NewLabel] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many images of each kind."""
        return {kind: len(names) for kind, names in self.lists.items()}

    def to_json(self) -> dict[str, Any]:
        """The document of `sync --json`."""
        return {
            "build": self.build.name,
            "dry_run": self.dry,
            "up_to_date": not self.changes.count,
            **self.counts,
            "set_aside_reasons": by_reason(self.aside),
            "relabelled": relabelled(self.changes).total(),
            "new_labels": [label.to_json() for label in self.new_labels],
            "images": self.images,
            "compacted": self.compacted,
            "seconds": round(self.seconds, 3),
            "left_out": self.left_out,
            "lists": self.lists,
        }


def run_sync(
    home: Home,
    folder: str | None = None,
    name: str | None = None,
    *,
    labels: str | None = None,
    dry: bool = False,
    rehash: bool = False,
    allow_deletes: bool = False,
    progress: Progress | None = None,
) -> Synced:
    """Bring a build in step with its source (or with `folder`, to which its images were moved).

    The labels of the file `labels` win over folder and list, now and in later syncs, which read it again.

    With `dry` nothing is written, and what is new is looked at all the same; with `rehash` every image is read,
    whatever is remembered of it. Raises SimsearchError, the build as it was, for a source that is not there, more
    deletions than are believed without `allow_deletes`, images of which too many cannot be used, or a build that cannot
    be gone on from.
    """
    started, progress = working_seconds(), progress or Progress()
    build = choose_build(home, folder, name)
    labels = None if labels is None else os.path.abspath(os.path.expanduser(labels))
    if not dry:
        home.prepare_environment()
    held = home.reading() if dry else home.writing(f"sync {build.name}", progress)
    with progress.stage("Sync", line=False) as shown, held:
        shown.tell("looking for changes")
        try:
            how = {"dry": dry, "rehash": rehash, "allow_deletes": allow_deletes}
            return _sync(home, build.name, folder, labels, started, progress, **how)
        except SimsearchError as error:
            retrain_by(error, build.retrain(folder))
            raise


def _sync(
    home: Home,
    name: str,
    folder: str | None,
    labels: str | None,
    started: float,
    progress: Progress,
    *,
    dry: bool,
    rehash: bool,
    allow_deletes: bool,
) -> Synced:
    build = home.build(name)
    # All of them, changed or not: large files are hashed whole when they are opened here.
    base = {stage: _open(home, build, stage) for stage in ("dataset", "train", "embed", "index")}
    following = None if dry else Following(build, base)
    source = open_now(build, home, folder, labels=labels)
    place = identity(source.root)
    for note in source.words():
        progress.say(safe(note))
    if newer := source.left_out.newer(source.decoding.rules):
        progress.say(safe(newer))
    state = State.of(base["dataset"])
    changes = changes_of(source, state, home, build, rehash=rehash)
    suspect = None if allow_deletes else check_deleted(changes, state, source.root, build)
    if suspect and dry:
        progress.say(f"Without --allow-deletes, sync stops here: {suspect}")
    elif suspect:
        raise SourceError(
            f"{suspect}; {NOTHING_DELETED}",
            hint="check that the folders and their disk are there; if the images were deleted on purpose: "
            f"simsearch sync {f'{word(folder)} ' if folder else ''}--build {name} --allow-deletes"
            + home_words(home.path),
        )
    limit, listed = float(build.record.recipe["dataset"]["max_bad_fraction"]), source.rows is not None
    aside, lists = changes.set_aside, changes.to_json()
    images, compacted, stops, stages = int(build.record.images), False, suspect is not None, base
    found: list[NewLabel] = []
    if dry:
        with progress.stage("Looked at", line=False) as shown:
            aside = unreadable(source, changes, shown, threads=usable_cores())
        lists = changes.to_json(aside)
        images += len(lists["added"]) - len(lists["deleted"])
        try:
            fresh = len(changes.fresh) + len(changes.set_aside) - len(aside)
            _check_aside(aside, len(state.rows) - len(changes.gone) + fresh, limit, listed)
        except SourceError as error:
            stops = True
            progress.say(f"Before they are mended, sync stops here: {error.message}")
    elif changes.count:
        try:
            with progress.stage("Synced", line=False) as shown:
                stages, compacted = _make(home, build, base, source, state, changes, shown)
        except SimsearchError:
            check_place(source, place)
            raise
        for note in stages["dataset"].facts["notes"]:
            progress.say(note)
        images = int(stages["index"].facts["ntotal"]) - len(rows_of(stages["index"], MASKED))
        if images < 1:
            raise SourceError(
                f"no image of build {name} that is searched would be left; {NOTHING_DELETED}",
                hint="simsearch build --retrain makes the build anew from what is there now",
            )
        check_place(source, place)
        aside = list(read_quarantine(stages["dataset"].path))
        # Again, as the artifact may have been made for another build, with another limit.
        _check_aside(aside, _live(stages["dataset"]), limit, listed)
        lists = changes.to_json(aside)
        if build.record.labelled:
            found = new_labels(state, *(stages[stage] for stage in SYNCED))
        if following is not None:
            with progress.stage("Milvus", line=False) as shown:
                build = following.put(stages, changes, compacted, shown)
        build = name_synced(home, build, source, stages, images, lists, labels)
    else:
        _check_aside(aside, len(state.rows), limit, listed)
        if source.identity != build.record.source or labels not in (None, build.record.recipe["dataset"].get("labels")):
            build = name_synced(home, build, source, {}, images, lists, labels)
    if aside:
        progress.say(told(aside))
    if following is not None:
        following.finish(stages["index"])
        remove_remains(home, progress)
    left_out = source.left_out.to_json()
    return Synced(
        build, changes, lists, images, compacted, working_seconds() - started, dry, left_out, aside, stops, found
    )


def _check_aside(aside: list[SetAside], live: int, limit: float, listed: bool) -> None:
    if aside:
        from simsearch.stages.dataset import check_synced  # what a sync that finds nothing has no need of

        check_synced(aside, live, limit, listed=listed)


def _live(dataset: Artifact) -> int:
    return int(dataset.facts["images"]) - int(dataset.facts["deleted"])


def _open(home: Home, build: Build, stage: str) -> Artifact:
    try:
        return home.store.open(stage, **build.record.stages[stage])
    except ArtifactError as error:
        raise build.damaged(error) from None


def _make(
    home: Home,
    build: Build,
    base: dict[str, Artifact],
    source: FileSource,
    state: State,
    changes: Changes,
    progress: Progress,
) -> tuple[dict[str, Artifact], bool]:
    """The artifacts of the next state, and whether they were compacted."""
    from simsearch.engines.chosen import engine_of
    from simsearch.stages.sync import Transition, whole_rows

    _check_version(base["train"], build.name)
    for stage, what in (("embed", "the features"), ("index", "the index")):
        check_embedder(base[stage], what, base["train"], build.name)
    if changes.fresh:
        check_canaries(base["embed"], base["train"], build.name)
    limit = float(build.record.recipe["dataset"]["max_bad_fraction"])
    whole = whole_rows(base["dataset"])
    differing = len(state.images) - whole + len(state.deleted) + len(changes.gone) + len(changes.fresh)
    compact = differing > COMPACT_ABOVE * whole
    engine = engine_of(build.record.recipe.get("run") or {})
    if len(changes.fresh) > engine.shard_rows:  # else they are embedded here
        engine.ready()
    try:
        made = make_stages(Plan(home, progress), base, Transition(source, state, changes, compact), limit, engine)
    except VectorsError:
        if not compact:
            raise
        # Too few rows are left for the factory, as for an IVF with more lists; the index of before goes on serving.
        change, compact = Transition(source, state, changes, False), False
        made = make_stages(Plan(home, progress), base, change, limit, engine)
    return {**made, **refitted(Plan(home, progress), build, {**base, **made}, source)}, compact


def make_stages(
    plan: Plan, base: dict[str, Artifact], change: Transition, max_bad_fraction: float, engine: Engine | None = None
) -> dict[str, Artifact]:
    """Return the artifacts of the next state, those of `base` where nothing changed; `engine` embeds what is new."""
    from simsearch.engines.local import Local
    from simsearch.stages import sync as stages

    dataset = plan.make(stages.dataset(base["dataset"], change, max_bad_fraction))
    embed, index = base["embed"], base["index"]
    grown = int(dataset.facts["images"]) > len(change.state.images)
    if grown or change.compact:
        embed = plan.make(stages.embed(embed, dataset, base["train"], change, engine or Local()))
    if grown or change.compact or change.changes.gone:
        index = plan.make(stages.index(index, dataset, embed, change))
    return {"dataset": dataset, "embed": embed, "index": index}


def _check_version(train: Artifact, name: str) -> None:
    """Raise ArtifactError when this program preprocesses images otherwise than the build's embedder expects."""
    seen = bundle_of(train)["preprocessing"]
    if not known(seen):
        raise ArtifactError(
            f"build {name} was made with preprocessing version {seen.get('version')}, this simsearch knows 1 to "
            f"{PREPROCESS_VERSION}",
            hint="simsearch build --retrain, with the recipe or folder of this build, makes all of it anew",
        )
