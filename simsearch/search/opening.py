"""The embedder of a build, opened for queries: light, as the rest of their path."""

from __future__ import annotations

import json

from simsearch.artifacts import Artifact
from simsearch.embedder.bundle.runtime import Runtime
from simsearch.errors import ArtifactError
from simsearch.images.preprocess import PREPROCESS_VERSION, Preprocess, known
from simsearch.versions import usable_cores


def open_embedder(build: str, train: Artifact, again: str) -> tuple[Preprocess, Runtime]:
    """Return preprocessing and network of a train artifact; ArtifactError for a version that is not known here."""
    bundle = json.loads(train.file("embedder.json").read_bytes())
    if not known(bundle["preprocessing"]):
        raise ArtifactError(
            f"build {build} was made with preprocessing version {bundle['preprocessing'].get('version')}, "
            f"this simsearch knows 1 to {PREPROCESS_VERSION}",
            hint=again,
        )
    return Preprocess.from_json(bundle["preprocessing"]), Runtime(train.file("embedder.onnx"), threads=usable_cores())
