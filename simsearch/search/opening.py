"""The embedder of a build, opened for queries: light, as the rest of their path."""

from __future__ import annotations

from simsearch.artifacts import Artifact
from simsearch.embedder.bundle.trained import Features, bundle_of, open_trained
from simsearch.errors import ArtifactError
from simsearch.images.preprocess import PREPROCESS_VERSION, Preprocess, known
from simsearch.vectors.index import Index
from simsearch.versions import usable_cores


def open_embedder(build: str, train: Artifact, again: str) -> tuple[Preprocess, Features]:
    """Return preprocessing and network of a train artifact; ArtifactError for a version that is not known here."""
    preprocessing = bundle_of(train)["preprocessing"]
    if not known(preprocessing):
        raise ArtifactError(
            f"build {build} was made with preprocessing version {preprocessing.get('version')}, "
            f"this simsearch knows 1 to {PREPROCESS_VERSION}",
            hint=again,
        )
    return Preprocess.from_json(preprocessing), open_trained(train, threads=usable_cores())


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
