"""The models of timm, as timm:NAME, with the weights that timm names. What timm says of one is remembered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simsearch.embedder.networks.family import Feature, Pretrained, Spec, Theirs, Weights
from simsearch.embedder.networks.hub import OnTheHub, described, fetch, needing, told_by
from simsearch.embedder.networks.kept import models_folder
from simsearch.embedder.networks.published import of_timm

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIX = "timm:"
LIBRARY = "timm"  # and the extra that brings it
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

    @needing(name, LIBRARY, LIBRARY)
    def trunk(side: int) -> nn.Module:
        from simsearch.embedder.networks.families.timm_models import trunk

        return trunk(kind, side)

    @needing(name, LIBRARY, LIBRARY)
    def fitted(given: Mapping[str, Tensor], model: nn.Module) -> Mapping[str, Tensor]:
        from simsearch.embedder.networks.families.timm_models import fitted

        return fitted(kind, given, model)

    @needing(name, LIBRARY, LIBRARY)
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
        pretrained=Pretrained(mean, std, lambda: _weights(name, facts, place), by_bytes=True)
        if facts["repo"]
        else None,
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

    def look(before: Mapping[str, Any] | None) -> dict[str, Any]:
        from simsearch.embedder.networks.families.timm_models import look

        return look(name.removeprefix(PREFIX), side, before)

    return told_by(LIBRARY, name, LIBRARY, name, [] if side is None else [side], look)


def _weights(name: str, facts: Mapping[str, Any], place: Path) -> Weights:
    """Return the weights that timm names for a model: a file of the hub, downloaded into a folder of their own."""

    def load() -> Mapping[str, Tensor]:
        from safetensors.torch import load_file

        return load_file(place)

    model = OnTheHub(name, str(facts["repo"]), None, place.parent, (FILE,), LIBRARY)
    return Weights(
        described=described(FILE, model.page, facts["bytes"], facts["licence"]),
        here=place.is_file(),
        load=load,
        place=place,
        fetch=lambda: fetch(model, [FILE]),
    )
