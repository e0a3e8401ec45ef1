"""A build into Milvus: every searched row loaded and compared with the features; then the build's file says where."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from simsearch.changes.loading import forget, load, new_place, verified
from simsearch.changes.searched import searched_rows
from simsearch.console import Progress
from simsearch.engines.milvus.agreement import K
from simsearch.engines.milvus.kinds import kind_for
from simsearch.engines.milvus.place import Place, uri_of
from simsearch.errors import EngineError
from simsearch.home import Build, Home

LOW = 0.9  # of exact answers: less is said


@dataclass(frozen=True)
class Loaded:
    """A build as it is named now, its place, and the share of the exact first ten that a sample of answers has there.

    `fresh`: it was loaded, and not there already.
    """

    build: Build
    place: Place
    recall: float
    fresh: bool


def export_to_milvus(home: Home, name: str | None, out: str, kind: str | None, progress: Progress) -> Loaded:
    """Load what is searched of a build into a collection at `out`, verify it and note the place in the build.

    A collection that the build has there already, in step and sound, is kept. `kind` is one of kinds.py, that of before
    or by size without one. Who answers stays as it is. Raises RecipeError for an address or a kind that cannot be,
    EngineError for a server that does not answer or answers wrongly: the build is then as it was.
    """
    build, uri = home.build(name).whole(), uri_of(out)
    with home.writing(f"export {build.name}", progress) as store, progress.stage("Loaded") as line:
        build = home.build(build.name).whole()
        stages = ("dataset", "embed", "index")
        dataset, embedded, index = (store.open(stage, **build.record.stages[stage]) for stage in stages)
        before, rows = build.milvus, searched_rows(index)
        wanted = kind or (before.kind if before is not None and before.uri == uri else None)
        kind = kind_for(wanted, len(rows))
        if before is not None and (before.uri, before.kind, before.state) == (uri, kind, index.digest):
            with suppress(EngineError):
                recall = verified(build, before, index, embedded)
                line.detail = f"{len(rows):,} rows were there, {kind}, {recall:.3f} of the exact first {K}"
                return Loaded(build, before, recall, fresh=False)
        answers = before is not None and before.answers
        place = new_place(build, uri, kind, embedded, index, answers=answers)
        load(place, dataset, embedded, rows, line)
        recall = verified(build, place, index, embedded)
        build = home.write_build(build.name, replace(build.record, milvus=place.to_json()))
        line.detail = f"{len(rows):,} rows, {kind}, {recall:.3f} of the exact first {K}"
        if before is not None and before.collection != place.collection:
            forget(before)
        return Loaded(build, place, recall, fresh=True)
