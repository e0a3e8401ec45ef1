"""What there is: the builds of a home, or one recipe or build with its digests, versions and devices."""

from __future__ import annotations

import datetime as dt
from typing import Any

from simsearch.artifacts import Artifact
from simsearch.changes.compare import in_words
from simsearch.durable import bytes_below
from simsearch.errors import RecipeError, SimsearchError
from simsearch.home import Build, Home
from simsearch.names import is_name
from simsearch.pipeline.graph import Pipeline
from simsearch.pipeline.plan import NotBuiltError, Plan
from simsearch.pipeline.rules import kept_labels, older_defaults
from simsearch.recipe.files import find_recipe, recipe_lines, shipped_recipes
from simsearch.versions import versions


def describe_home(home: Home) -> dict[str, Any]:
    """All listed builds of a home, the shipped recipes and this machine's versions."""
    builds = []
    for name in home.build_names():
        build = home.build(name)
        if not build.listed:
            continue
        shown = {"images": build.record.images, "when": build.when, "source": build.record.source}
        builds.append({"name": name, **shown, "bytes": _bytes(home, build), **_provisional(build)})
    whole = {"home": str(home.path), "bytes": bytes_below(home.store.root), "builds": builds}
    return {**whole, "recipes": list(shipped_recipes()), "versions": versions()}


def describe(what: str, settings: list[str], home: Home) -> dict[str, Any]:
    """The record of a build or of the one in a pack, or what a recipe or folder would come to.

    That is the resolved recipe and the stages that are there.
    """
    if not settings and home.pack(what) is not None:
        build = home.readable(what)
        return _described(build, Home(build.home))
    if not settings and is_name(what) and home.has_build(what):
        return _described(home.build(what), home)
    try:
        named = find_recipe(what, settings, home.build_names())
    except RecipeError:
        if settings or (alike := home.find_build(what)) is None:
            raise
        return _described(home.build(alike), home)
    plan = Plan(home, may_run=False)
    pipeline = Pipeline(plan, older_defaults(home, named.name, kept_labels(home, named.name, named.recipe)))
    missing = None
    try:
        if not home.store.root.is_dir():  # a look writes nothing, and opening some sources does
            raise NotBuiltError("dataset")
        pipeline.run(named.name, *pipeline.read(named.name, offline=True))
    except NotBuiltError as stage:
        missing = f"{stage} is not built"
    except SimsearchError as error:
        missing = error.message
    return {
        "recipe_name": named.name,
        "recipe": pipeline.recipe.model_dump(),
        "stages": {name: _stage(artifact, home) for name, artifact in plan.stages.items()},
        "next": missing,
    }


def _described(build: Build, home: Home) -> dict[str, Any]:
    return {
        "build": build.name,
        "when": build.when,
        "source": build.record.source,
        "images": build.record.images,
        "bytes": _bytes(home, build),
        "synced": build.record.synced,
        **_former(build),
        **({"milvus": build.record.milvus} if build.record.milvus else {}),
        **({**_provisional(build), "next": build.standing()[1]} if build.provisional else {}),
        "recipe": build.record.recipe,
        "stages": {
            name: _stage(home.store.open(name.rpartition("/")[2], reference["digest"]), home)
            for name, reference in build.record.stages.items()
        },
    }


def _provisional(build: Build) -> dict[str, bool | str]:
    return {"provisional": True, "answers_by": build.standing()[0]} if build.provisional else {}


def _former(build: Build) -> dict[str, Any]:
    if (former := build.former) is None:
        return {}
    return {"former": {"when": former.when, "source": former.record.source, "images": former.record.images}}


def _bytes(home: Home, build: Build) -> int:
    """Bytes of all artifacts that a build names, be they shared with others or not."""
    return sum(map(bytes_below, {home.store.path(*which) for which in build.named}))


def _stage(artifact: Artifact, home: Home) -> dict[str, Any]:
    """What is shown of a stage; `hashed` says when each of its large files was last hashed whole."""
    shown = ("seconds", "device", "versions")
    hashed = {name: _when(home.checked.when(artifact.path / name)) for name in artifact.large}
    whole = {**artifact.reference, "path": str(artifact.path), **{key: artifact.manifest[key] for key in shown}}
    return {**whole, "hashed": hashed} if hashed else whole


def _when(seconds: float | None) -> str | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def render(found: dict[str, Any]) -> str:
    """The description as text: tables of the recipe as TOML, one line a stage."""
    if "builds" in found:
        lines = [f"home {found['home']}, {_mb(found)}"]
        lines += [
            f"  {b['name']:<20} {b['images']:>9,} images  {_mb(b):>11}  {b['when'][:16]}  {b['source']}"
            + (f"  (provisional: {b['answers_by']})" if "provisional" in b else "")
            for b in found["builds"]
        ]
        lines += ["  no builds yet"] if not found["builds"] else []
        lines.append(f"recipes: {', '.join(found['recipes'])}")
        return "\n".join([*lines, _versions(found["versions"])])
    lines = []
    if "build" in found:
        images = f"{found['images']:,} images of {found['source']}"
        lines.append(f"# build {found['build']}: {images}, {found['when'][:16]}, {_mb(found)}")
    if found.get("synced"):
        synced = found["synced"]
        lines.append(f"# synced {synced['when'][:16]}: {in_words(synced)} since it was built (which figures are of)")
    if former := found.get("former"):
        back = f"simsearch switch {found['build']} --back"
        lines.append(f"# switched: it stood for {former['images']:,} images of {former['when'][:16]} before; {back}")
    if milvus := found.get("milvus"):
        who = "answers" if milvus["answers"] else "is loaded, and does not answer"
        lines.append(f"# Milvus at {milvus['uri']} {who}: collection {milvus['collection']}, {milvus['kind']}")
    if "provisional" in found:
        lines.append(f"# provisional: {found['answers_by']}")
    lines += [*recipe_lines(found["recipe"], explained=True), ""]
    for name, stage in found["stages"].items():
        lines.append(f"# {name:<18} {stage['digest'][:16]}  {stage['seconds']:>8.1f} s  {stage['device']}")
        lines += [f"#   {file} last hashed whole {when or 'never'}" for file, when in stage.get("hashed", {}).items()]
    if found.get("next"):
        lines.append(f"# next: {found['next']}")
    last = next(reversed(found["stages"].values()), None)
    lines += [f"# {_versions(last['versions'])}"] if last else []
    return "\n".join(lines)


def _mb(found: dict[str, Any]) -> str:
    return f"{found['bytes'] / 1e6:,.1f} MB"


def _versions(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items() if value is not None)
