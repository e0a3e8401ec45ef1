"""The searched rows of a build, loaded into Milvus: what export does once, and sync where all row numbers change."""

from __future__ import annotations

from contextlib import closing

from simsearch.arrays import Integers
from simsearch.artifacts import Artifact, digest_of
from simsearch.changes.searched import open_milvus, searched_rows
from simsearch.console import Progress
from simsearch.engines.milvus.agreement import sampled_recall
from simsearch.engines.milvus.client import Client
from simsearch.engines.milvus.collection import Collection, drop, made
from simsearch.engines.milvus.place import Place
from simsearch.errors import EngineError, LockedError, MissingError
from simsearch.home import Build
from simsearch.images.records import RecordTable, extra_columns
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.normalize import normalize

_BLOCK = 8192  # rows read at a time


def new_place(build: Build, uri: str, kind: str, embedded: Artifact, index: Artifact, *, answers: bool) -> Place:
    """Return the place of a collection that is to hold a state of a build; the same for the same state."""
    rows = len(searched_rows(index))
    what = {"home": str(build.home), "build": build.name, "uri": uri, "kind": kind}
    fingerprint = digest_of({**what, "embed": embedded.content, "index": index.digest})
    collection = f"simsearch_{build.name.replace('.', '_').replace('-', '_')}_{fingerprint[:12]}"
    return Place(uri, collection, kind, rows, fingerprint, index.digest, answers)


def load(place: Place, dataset: Artifact, embedded: Artifact, rows: Integers, progress: Progress) -> None:
    """Make the collection of a place and put the rows into it; it says that it is in step once all of them are there.

    One of the same name, which a killed command left, is removed first. Raises EngineError.
    """
    with closing(Client(place.uri)) as client, FeatureFile(embedded.file("features.h5")) as features:
        collection = made(client, place, features.shape[1], extra_columns(dataset.path))
        put(collection, dataset, features, rows, progress)
        collection.build_index(progress)
        collection.mark(place.state)


def put(collection: Collection, dataset: Artifact, features: FeatureFile, rows: Integers, progress: Progress) -> None:
    """Insert or replace rows of a build, by what its table and its features say of them."""
    with closing(RecordTable(dataset.path)) as table:
        blocks = (normalize(features.at(rows[start : start + _BLOCK])) for start in range(0, len(rows), _BLOCK))
        for done in collection.put(map(table.__getitem__, rows.tolist()), blocks):
            progress(done, len(rows), "rows")


def verified(build: Build, place: Place, index: Artifact, embedded: Artifact) -> float:
    """Return how much of exact answers a collection gives; EngineError where it is not what the build says.

    Its schema, metric, kind and state, how many rows it holds, and a sample of answers are compared.
    """
    with closing(open_milvus(build, place, index, embedded)) as opened:
        return sampled_recall(opened, searched_rows(index))


def forget(place: Place) -> bool:
    """Remove a collection that no build names any more; return whether that could be done."""
    try:
        with closing(Client(place.uri)) as client:
            drop(client, place)
    except (EngineError, LockedError, MissingError):
        return False
    return True
