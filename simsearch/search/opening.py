"""The artifacts and the embedder of a build, opened for queries: light, as the rest of their path."""

from __future__ import annotations

from typing import NamedTuple

from simsearch.artifacts import Artifact
from simsearch.embedder.bundle.fingerprint import check_embedder
from simsearch.embedder.bundle.trained import Features, bundle_of, open_trained
from simsearch.errors import ArtifactError
from simsearch.evaluation.vote import VERDICT
from simsearch.home import Build, Home
from simsearch.images.preprocess import PREPROCESS_VERSION, Preprocess, known
from simsearch.vectors.index import FaissIndex, Index
from simsearch.versions import usable_cores


class Artifacts(NamedTuple):
    """What a search needs of a build; without figures, heads of verdicts, or an embedder, None stands there."""

    dataset: Artifact
    indexed: Artifact
    evaluated: Artifact | None
    judged: Artifact | None
    train: Artifact | None


def open_artifacts(build: Build, again: str, *, rehash: bool) -> Artifacts:
    """Return the artifacts of a build, every file checked; ArtifactError for one that is missing, damaged or foreign.

    With `rehash` no file is believed to be as it was. `again` is what to do where a build lacks one.
    """
    stages = build.record.stages
    try:
        with Home(build.home).reading(days=None if rehash else build.rehash_days) as store:
            dataset, index = (store.open(name, **stages[name]) for name in ("dataset", "index"))
            evaluated = None if build.provisional else store.open("evaluate", **stages["evaluate"])
            judged = store.open(VERDICT, **stages[VERDICT]) if VERDICT in stages else None
            train = None if build.of_vectors else store.open("train", **stages["train"])
        if train is not None:
            check_embedder(index, "the index", train, build.name)
    except ArtifactError as error:
        raise build.damaged(error) from None
    except KeyError as error:
        raise ArtifactError(f"build {build.name} has no {error}", hint=again) from None
    return Artifacts(dataset, index, evaluated, judged, train)


def open_index(build: Build, indexed: Artifact) -> Index:
    """Return what answers for a build: the index of its artifact, or its collection in Milvus, checked.

    Raises VectorsError for a file that cannot be read, EngineError for a collection that cannot answer.
    """
    if build.milvus is None or not build.milvus.answers:
        return FaissIndex.load(indexed.file("index.faiss"), mapped=True)
    from simsearch.changes.searched import open_milvus  # which no other query needs

    with Home(build.home).reading(days=build.rehash_days) as store:
        embedded = store.open("embed", **build.record.stages["embed"])
    return open_milvus(build, build.milvus, indexed, embedded)


def open_embedder(build: str, train: Artifact, again: str, threads: int | None = None) -> tuple[Preprocess, Features]:
    """Return preprocessing and network of a train artifact; ArtifactError for a version that is not known here.

    `threads` work on one picture, as many as there are cores without a number.
    """
    preprocessing = bundle_of(train)["preprocessing"]
    if not known(preprocessing):
        raise ArtifactError(
            f"build {build} was made with preprocessing version {preprocessing.get('version')}, "
            f"this simsearch knows 1 to {PREPROCESS_VERSION}",
            hint=again,
        )
    return Preprocess.from_json(preprocessing), open_trained(train, threads=threads or usable_cores())


def check_fits(build: str, index: Index, embedder: tuple[Preprocess, Features] | None, images: int, again: str) -> None:
    """Raise ArtifactError where an index is of other vectors than its embedder makes, or of more images than there are.

    Without an embedder it is of the vectors that the build was made from.
    """
    dim = index.dim if embedder is None else embedder[1].dim
    if index.dim != dim or index.ntotal > images:
        raise ArtifactError(
            f"the index of build {build} has {index.ntotal} rows of {index.dim}-d, "
            f"its embedder makes {dim}-d features of {images} images",
            hint=again,
        )
