"""Where a build is searched when that is not here: its collection in Milvus, opened as an index."""

from __future__ import annotations

import numpy as np

from simsearch.arrays import Integers
from simsearch.artifacts import Artifact
from simsearch.changes.state import MASKED, rows_of
from simsearch.console import typable
from simsearch.engines.milvus.index import MilvusIndex
from simsearch.engines.milvus.place import Place
from simsearch.errors import EngineError
from simsearch.home import Build
from simsearch.home.again import home_words


def load_command(build: Build, place: Place) -> str:
    """Return the command that loads a build into Milvus, where it is."""
    return (
        f"simsearch export {build.name} --format milvus --out {typable(place.uri, 'URI')}"
        f" --index {place.kind}{home_words(build.home)}"
    )


def searched_rows(index: Artifact) -> Integers:
    """Return the rows that a search of an index artifact may find, ascending."""
    return np.setdiff1d(np.arange(int(index.facts["ntotal"]), dtype=np.int64), rows_of(index, MASKED))


def open_milvus(build: Build, place: Place, indexed: Artifact, embedded: Artifact) -> MilvusIndex:
    """Return a build's collection as an index, once it was checked; EngineError for one that cannot answer for it."""
    again = load_command(build, place)
    if place.state != indexed.digest:
        raise EngineError(f"{place} holds another state of build {build.name}", hint=f"{again} loads this one")
    try:
        ntotal, gone = int(indexed.facts["ntotal"]), rows_of(indexed, MASKED)
        return MilvusIndex.open(place, embedded.file("features.h5"), ntotal, gone, again)
    except EngineError as error:
        local = f"simsearch switch {build.name} --search local{home_words(build.home)}"
        error.hint = error.hint.replace("simsearch switch NAME --search local", local)
        raise
