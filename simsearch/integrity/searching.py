"""Who answers for a build: its own index here, or its collection in Milvus."""

from __future__ import annotations

from dataclasses import replace

from simsearch.changes.loading import verified
from simsearch.console import Progress
from simsearch.errors import ArtifactError
from simsearch.home import Build, Home
from simsearch.home.again import home_words

LOCAL, MILVUS = "local", "milvus"
BY = (MILVUS, LOCAL)


def switch_search(home: Home, name: str, by: str, progress: Progress) -> tuple[Build, bool]:
    """Let a build be answered for `by` one of BY; returns it, and whether that is other than before.

    A collection is verified first. Raises ArtifactError for a build that was never loaded, EngineError for a collection
    that does not answer or is of another state; nothing is changed then.
    """
    name = home.build(name).whole().name
    with home.writing(f"switch {name}", progress) as store:
        build = home.build(name).whole()
        place = build.milvus
        if place is None and by == MILVUS:
            raise ArtifactError(
                f"build {name} was not loaded into Milvus",
                hint=f"simsearch export {name} --format milvus --out http://HOST:19530{home_words(home.path)} does",
            )
        if place is None or place.answers == (by == MILVUS):
            return build, False
        if by == MILVUS:
            embedded, index = (store.open(stage, **build.record.stages[stage]) for stage in ("embed", "index"))
            verified(build, place, index, embedded)
        record = replace(build.record, milvus=replace(place, answers=by == MILVUS).to_json())
        return home.write_build(name, record), True
