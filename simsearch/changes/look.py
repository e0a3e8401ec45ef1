"""Which build a folder belongs to, and what the folder holds now; whatever looks like an accident is refused."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from simsearch.changes.compare import Changes, compare
from simsearch.changes.labels import check_labels
from simsearch.changes.made import made_from
from simsearch.changes.state import State
from simsearch.console import safe
from simsearch.errors import ArtifactError, LabelsError, RecipeError, SourceError
from simsearch.home import Build, Home
from simsearch.home.again import word
from simsearch.images.formats.decoding import Decoding, told
from simsearch.images.sources.extras import in_columns
from simsearch.images.sources.lookup import MISSING
from simsearch.images.sources.opening import OPENED_BY, open_source
from simsearch.images.sources.source import FileSource
from simsearch.images.sources.urls import is_url
from simsearch.images.sources.walk import UNREADABLE_FOLDER

NOTHING_DELETED = "nothing was deleted"
MOST_DELETED = 0.2  # of the build's images: above it, a disk or folder that is not there is likelier than a deletion
MANY_DELETED = 5  # fewer are never held up, so that small sets are no nuisance
SHOWN_FOLDERS = 5


def choose_build(home: Home, folder: str | None, name: str | None) -> Build:
    """The build to be synced: that of `name`, else the newest made from `folder`, else the newest listed one.

    Raises RecipeError when no build was made from the folder, or the build's images are not files, ArtifactError for a
    provisional one.
    """
    build = home.build(name) if name is not None or folder is None else made_from(home, folder).some()[0]
    if not build.of_files:
        raise RecipeError(
            f"build {build.name} was made from {build.record.source}, whose images do not change",
            hint="sync is for builds of a folder or a table: simsearch sync FOLDER",
        )
    if is_url(place := build.record.source.partition(":")[2]):
        raise RecipeError(
            f"build {build.name} was made from {place}, and sync is for folders of this machine",
            hint=f"simsearch build {word(place)} --name {build.name}{build.at} builds what is there now; what has not "
            "changed is not made again",
        )
    return build.whole()


def open_now(
    build: Build, home: Home, folder: str | None, decoding: Decoding | None = None, labels: str | None = None
) -> FileSource:
    """The build's source as it is now, at `folder` when that is given.

    It is read as the build was made, or as `decoding` says, with the labels of the build's file of them or of `labels`.

    Raises SourceError when it is not there, holds nothing, or has labels where it had none or the reverse.
    """
    table: dict[str, Any] = build.record.recipe["dataset"]
    if not {"source", "options", "exclude", "root", "max_bad_fraction"} <= table.keys():
        raise ArtifactError(
            f"build {build.name} does not say how its images were read: its recipe is not whole",
            hint="simsearch build --retrain, with the recipe or folder of this build, makes it anew",
        )
    if labels is not None:
        table = {**table, "labels": labels}
    spec = table["source"]
    if folder is not None:
        spec = f"{spec.partition(':')[0]}:{os.path.abspath(os.path.expanduser(folder))}"
    try:
        dataset = home.store.open("dataset", **build.record.stages["dataset"])
    except ArtifactError as error:
        raise build.damaged(error) from None
    try:
        source = open_source(
            spec,
            home_datasets=home.datasets,
            base=Path.cwd(),
            memory=home.memory,
            decoding=decoding or told(dataset.facts),
            **{key: table[key] for key in OPENED_BY if key in table},
        )
    except LabelsError as error:
        said = f"{error.message}; nothing was changed in build {build.name}"
        raise LabelsError(said, hint=error.hint, near=error.near) from None
    except SourceError as error:
        raise SourceError(
            f"{error.message}; {NOTHING_DELETED} from build {build.name}",
            hint=_bring_back(spec, error, build.name),
        ) from None
    assert isinstance(source, FileSource)
    if source.labelled != build.record.labelled:
        seen = ("labels", "none") if source.labelled else ("no labels", "some")
        raise SourceError(
            f"{safe(source.title)} has {seen[0]} now, and had {seen[1]} when build {build.name} was made; "
            + NOTHING_DELETED,
            hint=("mend the list and run the same command again; " if source.rows is not None else "")
            + "simsearch build --retrain makes the build anew from what is there now",
        )
    return source


def _bring_back(spec: str, error: SourceError, name: str) -> str:
    """What helps where a source cannot be opened: a list that is there is to be mended, unless its images are gone."""
    kind, _, path = spec.partition(":")
    gone = any(words in error.message for words in (MISSING, "lies outside of", "is no folder"))
    if kind == "folder" or gone or not os.path.isfile(path):
        return f"bring the images back, or, when they moved, simsearch sync FOLDER --build {name}"
    if error.hint and error.hint.startswith("pip install"):
        return error.hint
    return "mend the list and run the same command again; simsearch build --retrain makes the build anew from it"


def changes_of(source: FileSource, state: State, home: Home, build: Build, *, rehash: bool = False) -> Changes:
    """What changed since `state`; files are known by (size, times, inode) or hashed, with `rehash` all are hashed.

    Raises SourceError when a folder cannot be looked into, or when nothing is left of what the build holds: a disk that
    is not there looks the same as one from which everything was deleted.
    """
    for name, reason in source.rejected:
        if reason.startswith(UNREADABLE_FOLDER):
            lost = sum(image.startswith(f"{name}/") for image in state.rows)
            if lost:
                raise SourceError(
                    f"{os.path.join(source.root, name)!r}: {reason}; {lost:,} images of build {build.name} lie in it, "
                    + NOTHING_DELETED,
                    hint="make the folder readable, or remove it, and run the same command again",
                )
    images = in_columns(source, state.columns)
    hashed = home.memory.many((f"{source.root}/{image.image}" for image in images), again=rehash)
    now = (
        (image, seen if isinstance(seen, OSError) else seen[1])
        for image, seen in zip(images, hashed, strict=True)
        if not isinstance(seen, FileNotFoundError)  # it went while we looked
    )
    changes = compare(now, source.rejected, state)
    if source.rows is None:  # a list may be corrected, folders that mean something else are likelier a slip
        check_labels(changes, state, source, build)
    if state.rows and not changes.same and not changes.moved:
        raise SourceError(
            f"{source.root!r} holds none of the {len(state.rows):,} images of build {build.name}; {NOTHING_DELETED}",
            hint="check that it is the right folder and its disk is there; simsearch build --retrain starts anew",
        )
    return changes


def check_deleted(changes: Changes, state: State, root: str, build: Build) -> str | None:
    """What is said of so many deletions that they look like a disk that is not there; None when they are few."""
    count, before = len(changes.deleted), len(state.rows)
    if count < MANY_DELETED or count <= MOST_DELETED * before:
        return None
    tops = Counter(image.split("/")[0] if "/" in image else "." for image in changes.deleted)
    held = Counter(image.split("/")[0] if "/" in image else "." for image in state.rows)
    shown = ", ".join(f"{safe(top)} ({gone:,} of {held[top]:,})" for top, gone in tops.most_common(SHOWN_FOLDERS))
    more = f" and {len(tops) - SHOWN_FOLDERS:,} more folders" if len(tops) > SHOWN_FOLDERS else ""
    return f"{count:,} of the {before:,} images of build {build.name} are gone from {root!r}: {shown}{more}"
