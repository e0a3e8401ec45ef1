"""Which embedder made these features? One digest over weights, preprocessing and the code version of preprocessing.

It is stored with features and index, and compared wherever vectors of two origins meet: a query's embedding and the
index that it is searched in. Vectors of two embedders may have the same width, and every answer would be wrong.
"""

from __future__ import annotations

from simsearch.artifacts import Artifact, digest_of
from simsearch.embedder.bundle.trained import HEAD, WHOLE, bundle_of, named_backbone
from simsearch.errors import ArtifactError


def embedder_fingerprint(trained: Artifact) -> str:
    """Return the digest (hex) of a train artifact's networks and preprocessing, in this program's version."""
    preprocessing, backbone = bundle_of(trained)["preprocessing"], named_backbone(trained)
    files = trained.manifest["files"]
    if backbone is None:
        networks = {"onnx": files[WHOLE]["sha256"]}
    else:
        networks = {"backbone": backbone["content"], "head": files[HEAD]["sha256"] if HEAD in files else None}
    return digest_of({**networks, "preprocessing": preprocessing, "code": preprocessing.get("version")})


def check_embedder(made: Artifact, what: str, trained: Artifact, build: str) -> None:
    """Raise ArtifactError when features or an index (`made`) come from another embedder than `trained`.

    Artifacts of an earlier version say nothing about it, and pass.
    """
    stored = made.facts.get("embedder")
    if stored is not None and stored != embedder_fingerprint(trained):
        raise ArtifactError(
            f"{what} of build {build} come from another embedder, or from another version of preprocessing, than "
            "that which would embed new images: no score between the two means anything",
            hint="simsearch build --retrain, with the recipe or folder of this build, makes all of it anew",
        )
