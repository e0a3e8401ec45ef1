"""A collection of Milvus in a file, or on a server, loaded with plain rows."""

from __future__ import annotations

import json
import shutil

import numpy as np
from commands import run_cli
from sealing import seal
from synced import moved_copy

from simsearch.artifacts import digest_of
from simsearch.engines.milvus.collection import made
from simsearch.engines.milvus.index import MilvusIndex
from simsearch.engines.milvus.place import Place
from simsearch.images.records import ImageRecord
from simsearch.vectors.features import FeatureFile, write_features


def record(row, label="a", extras=()):
    return ImageRecord(row, f"{label}/{row}.png", label, False, False, True, False, "", "", extras)


def write(folder, features):
    """features.h5 of an array, for an index to score by."""
    path = folder / "features.h5"
    write_features(path, features.shape, [features])
    return path


def load(client, kind, embeddings, rows=None, name="c", labels=None, columns=()):
    """The place of a new collection that holds some rows (all) of unit embeddings."""
    rows = np.arange(len(embeddings)) if rows is None else rows
    place = Place(client.uri, name, kind, len(rows), digest_of({"name": name}), "now")
    labels = labels or ["a"] * len(embeddings)
    collection = made(client, place, embeddings.shape[1], columns)
    for _ in collection.put([record(row, labels[row]) for row in rows.tolist()], [embeddings[rows]]):
        pass
    collection.build_index(lambda *told: None)
    collection.mark("now")
    return collection


def opened(collection, features_path, ntotal, gone=()):
    return MilvusIndex(collection, FeatureFile(features_path), ntotal, np.array(gone, dtype=np.int64), "export")


def answered_for(built, to):
    """(folder, home): a copy of the small build that a file of Milvus beside it answers for."""
    folder, home = moved_copy(built, to)
    run_cli("export", "photos", "--format", "milvus", "--out", to / "m.db", "--home", home, check=0)
    run_cli("switch", "photos", "--search", "milvus", "--home", home, check=0)
    return folder, home


def moved_too(loaded, to):
    """(folder, home): a copy of what `answered_for` returns, with a copy of its file."""
    folder, home = moved_copy(loaded, to)
    shutil.copytree(loaded[1].parent / "m.db", to / "m.db")
    path = home / "builds" / "photos.json"
    found = json.loads(path.read_bytes())
    found["milvus"]["uri"] = str(to / "m.db")
    seal(path, found)
    return folder, home
