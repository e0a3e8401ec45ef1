"""The models of timm, as timm:NAME, with the weights that timm names. What timm says of one is remembered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simsearch.embedder.networks.family import Feature, Pretrained, Spec, Theirs, Weights
from simsearch.embedder.networks.hub import address, described, fetch, missing
from simsearch.embedder.networks.kept import models_folder, recalled, remember
from simsearch.embedder.networks.published import of_timm

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIX = "timm:"
FILE = "model.safetensors"


def names() -> Collection[str]:
    return ()  # nearly two thousand, which only timm knows


def spec(name: str, feature: Feature) -> Spec | None:
    facts, kind = known(name), name.removeprefix(PREFIX)
    own = of_timm(facts["config"], name)
    place = models_folder() / str(facts["repo"]) / FILE
    size = int(facts["config"]["input_size"][1])

    def width(side: int) -> int:
        widths = known(name, side)["widths"]
        return int(widths[str(side)])

    def trunk(side: int) -> nn.Module:
        from simsearch.embedder.networks.families.timm_models import trunk

        return trunk(kind, side)

    def fitted(given: Mapping[str, Tensor], model: nn.Module) -> Mapping[str, Tensor]:
        from simsearch.embedder.networks.families.timm_models import fitted

        return fitted(kind, given, model)

    def theirs() -> Theirs:
        from simsearch.embedder.networks.families.timm_models import theirs

        return theirs(kind, place, own)

    mean, std = tuple(own["mean"]), tuple(own["std"])
    return Spec(
        name,
        size,
        len(mean),
        width,
        trunk,
        float(facts["seconds"]),
        pretrained=Pretrained(mean, std, lambda: _weights(facts, place), by_bytes=True) if facts["repo"] else None,
        classifiers=tuple(facts["classifiers"]),
        own=own,
        fitted=fitted,
        theirs=theirs,
    )


def known(name: str, side: int | None = None) -> dict[str, Any]:
    """Return what timm says of the model `name`, with its width for images of `side` px.

    Loading timm takes seconds, so it is asked once for a model, a side and a version of it. Raises EmbedderError for a
    name that it does not know, a side that the model cannot take, and where it is needed and not installed.
    """
    try:
        installed = f"timm {version('timm')}"
    except PackageNotFoundError:
        installed = None
    facts = recalled(name, installed)
    if facts is None or (side is not None and str(side) not in facts["widths"]):
        if installed is None:
            raise missing(name, "timm", "timm")
        from simsearch.embedder.networks.families.timm_models import look

        facts = look(name.removeprefix(PREFIX), side, facts)
        remember(name, facts)
    return facts


def _weights(facts: Mapping[str, Any], place: Path) -> Weights:
    """Return the weights that timm names for a model: a file of the hub, downloaded into a folder of their own."""

    def load() -> Mapping[str, Tensor]:
        from safetensors.torch import load_file

        return load_file(place)

    repo = str(facts["repo"])
    return Weights(
        described=described(FILE, address(repo), facts["bytes"], facts["licence"]),
        here=place.is_file(),
        load=load,
        place=place,
        fetch=lambda: fetch(repo, None, [FILE], place.parent, "timm"),
    )
