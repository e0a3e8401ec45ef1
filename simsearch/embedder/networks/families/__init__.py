"""The families of backbones (see `Family`): each a module, its heavy parts in files that it imports when asked."""

import difflib

from simsearch.embedder.networks.families import hf, onnx_file, small, timm, torchvision
from simsearch.embedder.networks.family import USUAL, Family, Feature, Spec
from simsearch.errors import EmbedderError

FAMILIES: tuple[Family, ...] = (small, torchvision, timm, hf, onnx_file)


def find_backbone(name: str, feature: Feature = USUAL) -> Spec:
    """Return the backbone called `name`; EmbedderError names the nearest names when there is none.

    `feature`: which of its tensors is the feature, where that is not as usual.
    """
    prefix = name.partition(":")[0] + ":" if ":" in name else ""
    for family in FAMILIES:
        if prefix == family.PREFIX and (found := family.spec(name, feature)):
            if not found.takes_feature and feature != USUAL:
                raise EmbedderError(
                    f"{name} has one feature: expected neither embedder.output nor embedder.pooling",
                    hint="leave them out; they belong to onnx:FILE, and pooling to hf: models",
                )
            return found
    # Somebody who leaves the prefix out, or misspells it, means the part after it.
    bare = {known.removeprefix(family.PREFIX): known for family in FAMILIES for known in family.names()}
    near = difflib.get_close_matches(name.lower().rpartition(":")[2], bare, n=3, cutoff=0.5)
    nearest = ", ".join(bare[key] for key in near)
    raise EmbedderError(
        f"unknown backbone {name!r}" + (f"; the nearest: {nearest}" if nearest else ""),
        hint=f"set embedder.backbone to one of: {', '.join(bare.values())}, timm:NAME, hf:NAME or onnx:FILE",
    )


def download_described(name: str) -> None:
    """Download what says what the backbone called `name` is, where nothing here does: a few kilobytes.

    Raises EmbedderError where that cannot be had.
    """
    for family in FAMILIES:
        if family.PREFIX and name.startswith(family.PREFIX) and hasattr(family, "download"):
            family.download(name)
