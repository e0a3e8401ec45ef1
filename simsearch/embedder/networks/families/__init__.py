"""The families of backbones (see `Family`): each a module, its heavy parts in files that it imports when asked."""

import difflib

from simsearch.embedder.networks.families import hf, onnx_file, small, timm, torchvision
from simsearch.embedder.networks.family import USUAL, Family, Feature, Spec
from simsearch.embedder.networks.meant import standing_for
from simsearch.errors import EmbedderError, near_words

# Families whose names no list of ours holds: one of each.
EXAMPLES = {"timm:": "timm:resnet18", "hf:": "hf:facebook/dinov2-small", "onnx:": "onnx:model.onnx"}
FAMILIES: tuple[Family, ...] = (small, torchvision, timm, hf, onnx_file)


def find_backbone(name: str, feature: Feature = USUAL) -> Spec:
    """Return the backbone called `name`; EmbedderError names the nearest names when there is none.

    `feature`: which of its tensors is the feature, where that is not as usual.
    """
    prefix = name.partition(":")[0] + ":" if ":" in name else ""
    if name in EXAMPLES:
        raise EmbedderError(f"{name} names no model", hint=f"as --set embedder.backbone={EXAMPLES[name]}")
    for family in FAMILIES:
        if prefix == family.PREFIX and (found := family.spec(name, feature)):
            if not found.takes_feature and feature != USUAL:
                raise EmbedderError(
                    f"{name} has one feature: expected neither embedder.output nor embedder.pooling",
                    hint="leave them out; they belong to onnx:FILE, and pooling to hf: models",
                )
            return found
    raise _unknown(name)


def _unknown(name: str) -> EmbedderError:
    """Return what is said of a name that no family knows: the file that it is, else the nearest names, else all."""
    prefix, colon, rest = name.rpartition(":")
    if meant := standing_for(name) or standing_for(rest):
        said, pair = near_words(name, meant)
        return EmbedderError(f"unknown backbone {name!r}{said}", hint=f"--set embedder.backbone={meant}", near=pair)
    # Somebody who leaves the prefix out, or misspells it, means the part after it.
    bare = {known.removeprefix(family.PREFIX): known for family in FAMILIES for known in family.names()}
    known = {family.PREFIX for family in FAMILIES}
    slips = [] if prefix + colon in known else difflib.get_close_matches(prefix + colon, EXAMPLES, n=1)
    near = difflib.get_close_matches(rest.lower(), bare, n=3, cutoff=0.5)
    nearest = [slip + rest for slip in slips] + [bare[key] for key in near]
    if nearest:
        return EmbedderError(
            f"unknown backbone {name!r}; the nearest: {', '.join(nearest)}",
            hint=f"--set embedder.backbone={nearest[0]}",
        )
    return EmbedderError(
        f"unknown backbone {name!r}",
        hint=f"set embedder.backbone to one of: {', '.join(bare.values())}, timm:NAME, hf:NAME or onnx:FILE",
    )


def download_described(name: str) -> None:
    """Download what says what the backbone called `name` is, where nothing here does: a few kilobytes.

    Raises EmbedderError where that cannot be had.
    """
    for family in FAMILIES:
        if family.PREFIX and name.startswith(family.PREFIX) and hasattr(family, "download"):
            family.download(name)
