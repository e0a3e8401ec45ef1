"""A collection of Milvus in a file, or on a server, loaded with plain rows."""

from __future__ import annotations

import numpy as np

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
