"""What makes features: a train artifact, and the backbone artifact that it names where only a head was trained.

A train artifact holds embedder.json, and one of: embedder.onnx, a whole network; head.onnx, which goes on from features
of the backbone; neither, where the backbone is used as it is. The latter two name their backbone, which many share.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from simsearch.arrays import Floats
from simsearch.artifacts import Artifact
from simsearch.images.preprocess import Preprocess

if TYPE_CHECKING:
    from simsearch.embedder.bundle.runtime import Head, Runtime

WHOLE, HEAD, BACKBONE, BUNDLE = "embedder.onnx", "head.onnx", "backbone.onnx", "embedder.json"
WEIGHTS = "weights.safetensors"  # of the whole network, or of the backbone


class Features(Protocol):
    """What turns batches of images into raw features; several threads may use it at once."""

    dim: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The (C, S, S) that it takes."""

    def features(self, batch: Floats) -> Floats:
        """Return raw features (N, dim) float32 of a batch (N, C, S, S) float32."""


class Model(NamedTuple):
    """The networks of a train artifact, as files or as what is in them, and its preprocessing in JSON."""

    network: Path | bytes
    head: Path | bytes | None
    preprocessing: dict[str, Any]


class Chain:
    """A backbone and the head on its features, run in turn."""

    def __init__(self, backbone: Runtime, head: Head) -> None:
        self._backbone, self._head = backbone, head
        self.dim = head.dim

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The (C, S, S) that the backbone takes."""
        return self._backbone.input_shape

    def features(self, batch: Floats) -> Floats:
        """Return raw features (N, dim) float32 of a batch (N, C, S, S) float32."""
        return self._head.features(self._backbone.features(batch))


def bundle_of(trained: Artifact) -> dict[str, Any]:
    """Return embedder.json of a train artifact."""
    return dict(json.loads(trained.file(BUNDLE).read_bytes()))


def preprocess_of(trained: Artifact) -> Preprocess:
    """Return the preprocessing of a train artifact; raises RecipeError for a version that is not known here."""
    return Preprocess.from_json(bundle_of(trained)["preprocessing"])


def named_backbone(trained: Artifact) -> dict[str, str] | None:
    """Return digest and content of the backbone that a train artifact names; None for a whole network."""
    named = trained.manifest["inputs"].get("backbone")
    return None if named is None else dict(named)


def backbone_of(trained: Artifact) -> Artifact | None:
    """Return the backbone artifact that a train artifact of the same home names; ArtifactError where it is damaged."""
    named = named_backbone(trained)
    if named is None:
        return None
    assert trained.store is not None, "an artifact that was opened knows where it lies"
    return trained.store.open("backbone", **named)


def model_of(trained: Artifact) -> Model:
    """Return the files of a train artifact that images are embedded with; ArtifactError where one is damaged."""
    below, preprocessing = backbone_of(trained), bundle_of(trained)["preprocessing"]
    if below is None:
        return Model(trained.file(WHOLE), None, preprocessing)
    head = trained.file(HEAD) if HEAD in trained.manifest["files"] else None
    return Model(below.file(BACKBONE), head, preprocessing)


def weights_of(trained: Artifact) -> Path | None:
    """Return the weights of a train artifact's whole network; None where there are but ONNX files of it."""
    holder = backbone_of(trained) or trained
    if HEAD in trained.manifest["files"] or WEIGHTS not in holder.manifest["files"]:
        return None
    return holder.file(WEIGHTS)


def open_model(model: Model, *, threads: int) -> Features:
    """Return what a model embeds with, run by so many `threads`; raises EmbedderError where it cannot be used."""
    from simsearch.embedder.bundle.runtime import Head, Runtime  # what only names an embedder loads no ONNX Runtime

    runtime = Runtime(model.network, threads=threads)
    return runtime if model.head is None else Chain(runtime, Head(model.head, threads=threads))


def open_trained(trained: Artifact, *, threads: int) -> Features:
    """Return what a train artifact embeds with, run by so many `threads`."""
    return open_model(model_of(trained), threads=threads)
