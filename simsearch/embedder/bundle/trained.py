"""What makes features: a train artifact, and the backbone artifact that it names where only a head was trained.

A train artifact holds embedder.json, and one of: embedder.onnx, a whole network; head.onnx, which goes on from features
of the backbone; neither, where the backbone is used as it is. The latter two name their backbone, which many share.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

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


def open_trained(trained: Artifact, *, threads: int) -> Features:
    """Return what a train artifact embeds with, run by so many `threads`."""
    from simsearch.embedder.bundle.runtime import Head, Runtime  # what only names an embedder loads no ONNX Runtime

    below = backbone_of(trained)
    if below is None:
        return Runtime(trained.file(WHOLE), threads=threads)
    runtime = Runtime(below.file(BACKBONE), threads=threads)
    if HEAD not in trained.manifest["files"]:
        return runtime
    return Chain(runtime, Head(trained.file(HEAD), threads=threads))
