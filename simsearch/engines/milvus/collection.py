"""A collection of Milvus that holds the searched rows of a build: made, checked, changed by row, asked."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.engines.milvus.client import Client
from simsearch.engines.milvus.kinds import MOST_ASKED, built_with, searched_with
from simsearch.engines.milvus.place import Place
from simsearch.errors import EngineError
from simsearch.images.records import ImageRecord

ROW, EMBEDDING, LABEL, IMAGE = "row", "embedding", "label", "image"
FINGERPRINT, STATE = "simsearch.fingerprint", "simsearch.state"  # properties of a collection
LOADING = "loading"
BETWEEN = ">"  # between two states: a sync is at work, or was killed
_TEXT_BYTES = 65_535  # of a text in Milvus
_MOST_COLUMNS = 60  # of its 64 fields
_MESSAGE = 8 << 20  # bytes of rows in one message, of which a server takes 64 MB
_ANSWERS = 1 << 16  # rows that one message brings back
_LONG, _STALLED, _PAUSE = 600.0, 600.0, 0.2  # seconds
_NOW, _AS_SEEN = "Strong", "Eventually"


def made(client: Client, place: Place, dim: int, columns: Sequence[str]) -> Collection:
    """Make an empty collection for embeddings of `dim` and the further `columns` of a list; one of that name goes.

    Raises EngineError for more columns than Milvus has fields.
    """
    if len(columns) > _MOST_COLUMNS:
        raise EngineError(f"Milvus takes {_MOST_COLUMNS} further columns of a list, seen {len(columns)}")
    drop(client, place)
    types = client.types
    schema = client.schema(auto_id=False, enable_dynamic_field=False, description="simsearch")
    schema.add_field(ROW, types.INT64, is_primary=True)
    schema.add_field(EMBEDDING, types.FLOAT_VECTOR, dim=dim)
    for name in (LABEL, IMAGE, *fields_of(columns)):
        schema.add_field(name, types.VARCHAR, max_length=_TEXT_BYTES)
    properties = {FINGERPRINT: place.fingerprint, STATE: LOADING}
    client.call("create_collection", place.collection, schema=schema, properties=properties, consistency_level=_NOW)
    return Collection(client, place, columns)


def drop(client: Client, place: Place) -> None:
    """Remove the collection of a place where it is there and of this very loading."""
    if client.call("has_collection", place.collection):
        seen = client.call("describe_collection", place.collection).get("properties") or {}
        if seen.get(FINGERPRINT) == place.fingerprint:
            client.call("drop_collection", place.collection)


def fields_of(columns: Sequence[str]) -> list[str]:
    """Return what the further columns of a list are called in Milvus, where names are letters, digits and _."""
    names: list[str] = []
    for column in columns:
        name = re.sub(r"\W", "_", column, flags=re.ASCII) or "_"
        if name[0].isdigit() or name in (ROW, EMBEDDING, LABEL, IMAGE):
            name = f"list_{name}"
        while name in names:
            name += "_"
        names.append(name)
    return names


class Collection:
    """A collection that is there; several threads may ask it."""

    def __init__(self, client: Client, place: Place, columns: Sequence[str] = ()) -> None:
        self._client, self.place, self._columns = client, place, fields_of(columns)

    def check(self, dim: int, again: str) -> None:
        """Raise EngineError unless it is of this loading and of a state of this build, as it was made.

        `again` is the command that loads it anew.
        """

        def refuse(why: str) -> EngineError:
            return EngineError(
                f"{self.place} {why}", hint=f"{again} loads it; simsearch switch NAME --search local needs no server"
            )

        name = self.place.collection
        if not self._call("has_collection", name):
            raise refuse("is not there")
        seen = self._call("describe_collection", name)
        properties = seen.get("properties") or {}
        if properties.get(FINGERPRINT) != self.place.fingerprint:
            raise refuse("is of another build")
        if self.place.state not in properties.get(STATE, "").split(BETWEEN):
            raise refuse("is of another state of the build, as from another home")
        types = {field["name"]: field["type"] for field in seen["fields"]}
        known = self._client.types
        wanted = {ROW: known.INT64, EMBEDDING: known.FLOAT_VECTOR, LABEL: known.VARCHAR, IMAGE: known.VARCHAR}
        if not wanted.items() <= types.items() or seen["enable_dynamic_field"]:
            raise refuse(f"has another schema: expected {', '.join(wanted)}, seen {', '.join(types)}")
        width = next(int(field["params"]["dim"]) for field in seen["fields"] if field["name"] == EMBEDDING)
        if width != dim:
            raise refuse(f"holds {width}-d vectors, the build has {dim}-d")
        index = self._call("describe_index", name, EMBEDDING) or {}
        if index.get("metric_type") != "IP":
            raise refuse(f"has another metric: expected IP, seen {index.get('metric_type', 'no index')}")
        if index.get("index_type") != self.place.kind:
            raise refuse(f"has another index: expected {self.place.kind}, seen {index.get('index_type')}")

    @property
    def state(self) -> str:
        """The state that it says to be in, or the two that it is between."""
        seen = self._call("describe_collection", self.place.collection)
        return str((seen.get("properties") or {}).get(STATE, ""))

    def mark(self, state: str) -> None:
        """Let it say in which state it is."""
        self._call("alter_collection_properties", self.place.collection, {STATE: state})

    def put(self, records: Iterable[ImageRecord], embeddings: Iterable[Floats]) -> Iterator[int]:
        """Insert rows, or replace those of the same number; yields how many were acknowledged so far."""
        done, pending = 0, iter(records)
        for block in embeddings:
            width = max(1, _MESSAGE // (4 * block.shape[1] + 1024))
            for start in range(0, len(block), width):
                part = block[start : start + width]
                data = [self._entity(next(pending), embedding) for embedding in part]
                self._call("upsert", self.place.collection, data, timeout=_LONG)
                done += len(data)
                yield done

    def _entity(self, record: ImageRecord, embedding: Floats) -> dict[str, Any]:
        texts = {LABEL: record.label, IMAGE: record.image, **dict(zip(self._columns, record.extras, strict=False))}
        return {ROW: record.row, EMBEDDING: embedding} | {name: as_text(texts.get(name, "")) for name in self._texts}

    @property
    def _texts(self) -> tuple[str, ...]:
        return (LABEL, IMAGE, *self._columns)

    def remove(self, rows: Integers) -> None:
        """Delete rows by their numbers; those that are not there are no error."""
        for start in range(0, len(rows), MOST_ASKED):
            ids = rows[start : start + MOST_ASKED].tolist()
            self._call("delete", self.place.collection, ids=ids, timeout=_LONG)

    def remove_from(self, row: int) -> None:
        """Delete every row from a number on."""
        if self.count(f"{ROW} >= {row}"):
            self._call("delete", self.place.collection, filter=f"{ROW} >= {row}", timeout=_LONG)

    def build_index(self, tell: Any) -> None:
        """Make all that was put durable and build the index over it; EngineError where that does not go on."""
        name, kind = self.place.collection, self.place.kind
        self._call("flush", name, timeout=_LONG)
        asked = self._client.index(EMBEDDING, kind, built_with(kind, self.place.rows))
        self._call("create_index", name, asked, timeout=_LONG, sync=False)
        last, since = -1, time.monotonic()
        while (seen := self._call("describe_index", name, EMBEDDING)).get("state") != "Finished":
            done = int(seen.get("indexed_rows") or 0)
            if seen.get("state") == "Failed":
                raise EngineError(f"Milvus at {self.place.uri} could not build the index {kind}")
            if done != last:
                last, since = done, time.monotonic()
            if time.monotonic() - since > _STALLED:
                raise EngineError(f"Milvus at {self.place.uri}: the index {kind} stands at {done:,} rows")
            tell(done, self.place.rows, "rows indexed")
            time.sleep(_PAUSE)
        self.load()

    def load(self) -> None:
        """Let it be searched; nothing is done where it is."""
        self._call("load_collection", self.place.collection, timeout=_LONG)

    def count(self, where: str = "") -> int:
        """Return how many rows pass; what was acknowledged before is counted, and is searched from then on."""
        found = self._call(
            "query", self.place.collection, filter=where, output_fields=["count(*)"], consistency_level=_NOW
        )
        return int(found[0]["count(*)"])

    def search(self, embeddings: Floats, k: int) -> Integers:
        """Return the rows (Q, k) that it says are nearest, -1 where it finds fewer; k is at most MOST_ASKED."""
        rows = np.full((len(embeddings), k), -1, dtype=np.int64)
        parameters = searched_with(self.place.kind, self.place.rows, k)
        width = max(1, _ANSWERS // k)
        for start in range(0, len(embeddings), width):
            found = self._call(
                "search",
                self.place.collection,
                data=list(embeddings[start : start + width]),
                limit=k,
                output_fields=[ROW],
                search_params={"metric_type": "IP", "params": parameters},
                consistency_level=_AS_SEEN,
                timeout=_LONG / 10,
            )
            for number, hits in enumerate(found, start):
                rows[number, : len(hits.ids)] = hits.ids
        return rows

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        return self._client.call(method, *arguments, **named)


def as_text(text: str) -> str:
    """Return a text as Milvus takes it: names that are no UTF-8 escaped, at most 65,535 bytes."""
    data = text.encode("utf-8", "backslashreplace")[:_TEXT_BYTES]
    return data.decode("utf-8", "ignore")
