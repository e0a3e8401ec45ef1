"""A collection in Milvus kept in step by a sync: rows put before the build is named anew, and removed after that.

A search looks only at what its own state of the build knows. So rows that are too early are no harm, nor are those that
are still there; what is missing would be. Killed at any moment, a sync leaves a build that answers for the state that
it names, and the next one goes on: rows are put by their number, as often as need be.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np

from simsearch.artifacts import Artifact
from simsearch.changes.compare import Changes
from simsearch.changes.loading import forget, load, new_place, put
from simsearch.changes.searched import load_command, searched_rows
from simsearch.changes.state import MASKED, rows_of
from simsearch.console import Progress
from simsearch.engines.milvus.client import Client
from simsearch.engines.milvus.collection import BETWEEN, Collection
from simsearch.engines.milvus.place import Place
from simsearch.errors import EngineError
from simsearch.home import Build
from simsearch.images.records import extra_columns
from simsearch.vectors.features import FeatureFile


class Following:
    """The collection of a build on its way from the state of `base` to another one; nothing where none answers.

    Raises EngineError, before anything is read, for one that cannot be reached or is not that of the build.
    """

    def __init__(self, build: Build, base: dict[str, Artifact]) -> None:
        self._build, self._base = build, base
        self._place = build.milvus if build.milvus is not None and build.milvus.answers else None
        if self._place is not None:
            with closing(Client(self._place.uri)) as client:
                again = load_command(build, self._place)
                if self._place.state != base["index"].digest:
                    raise EngineError(f"{self._place} is of another state of the build", hint=f"{again} loads it anew")
                Collection(client, self._place).check(int(base["index"].facts["dim"]), again)

    def put(self, stages: dict[str, Artifact], changes: Changes, compacted: bool, progress: Progress) -> Build:
        """Put what the next state has; returns the build with the place of that, to be named."""
        if self._place is None:
            return self._build
        index, embedded, dataset = stages["index"], stages["embed"], stages["dataset"]
        if compacted:  # every row has another number: the old collection answers until the build is named
            before = self._place
            self._place = new_place(self._build, before.uri, before.kind, embedded, index, answers=True)
            load(self._place, dataset, embedded, searched_rows(index), progress)
            return self._named(self._place)
        old, new = self._base["index"], replace(self._place, state=index.digest)
        added = np.arange(int(old.facts["ntotal"]), int(index.facts["ntotal"]), dtype=np.int64)
        moved = np.array(sorted(move.row for move in changes.moved), dtype=np.int64)
        rows = np.intersect1d(np.concatenate([moved, added]), searched_rows(index))
        with closing(Client(new.uri)) as client, FeatureFile(embedded.file("features.h5")) as features:
            collection = Collection(client, new, extra_columns(dataset.path))
            collection.mark(f"{old.digest}{BETWEEN}{index.digest}")
            put(collection, dataset, features, rows, progress)
        self._place = new
        return self._named(new)

    def finish(self, index: Artifact) -> None:
        """Remove what the state that is named now does not have, also what a killed sync left."""
        if self._place is None:
            return
        with closing(Client(self._place.uri)) as client:
            collection = Collection(client, self._place)
            if collection.state != self._place.state:
                collection.load()
                collection.remove(rows_of(index, MASKED))
                collection.remove_from(int(index.facts["ntotal"]))
                collection.mark(self._place.state)
        before = self._build.milvus
        if before is not None and before.collection != self._place.collection:
            forget(before)

    def _named(self, place: Place) -> Build:
        return replace(self._build, record=replace(self._build.record, milvus=place.to_json()))
