"""Image models of transformers: hf:NAME of the Hugging Face hub, or hf:FOLDER with config.json and model.safetensors.

What a model is, its files say, and its library, which is remembered by the bytes of its config.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simsearch.embedder.networks.family import Feature, Pretrained, Spec, Theirs, Weights
from simsearch.embedder.networks.hub import Offered, OnTheHub, described, fetch, needing, offers, told_by
from simsearch.embedder.networks.kept import models_folder, offline
from simsearch.embedder.networks.meant import nearest_to
from simsearch.embedder.networks.published import of_transformers
from simsearch.embedder.networks.published_numbers import read_config
from simsearch.embedder.networks.weights_header import tensor_names
from simsearch.errors import EmbedderError, MissingError, near_words

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIX, LIBRARY, EXTRA = "hf:", "transformers", "hf"
CONFIG, PIXELS, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
MORE = ("processor_config.json", "video_preprocessor_config.json")  # may say it otherwise to transformers
OFFER = ".simsearch.json"  # what the hub told of the files of a folder
ON_THE_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")
# What files hold beside the image side: classifiers, texts, poolers that are not used.
BESIDE = (
    "classifier.",
    "text_model.",
    "text_projection.",
    "logit_",
    "pooler.",
    "vision_model.pooler.",
    "vision_model.head.",
)
POOLINGS = ("pooler", "cls", "mean", "max")


def names() -> Collection[str]:
    return ()  # a million, which only the hub knows


def spec(name: str, feature: Feature) -> Spec | None:
    folder, repo = where(name)
    if feature.output is not None:
        raise EmbedderError(
            f"{name}: expected no embedder.output, seen {feature.output}",
            hint=f"embedder.pooling chooses the feature of hf: models: {', '.join(POOLINGS)}",
        )
    for file in (CONFIG, PIXELS):
        if not (folder / file).is_file():
            raise _lacks(name, folder, file, repo)
    own = _pixels(folder / PIXELS)
    size = int(own["size"])
    facts = known(name, folder, size)
    if feature.pooling not in (None, *facts["poolings"]):
        raise EmbedderError(
            f"{name}: expected embedder.pooling {' or '.join(facts['poolings'])}, seen {feature.pooling}",
            hint=f"--set embedder.pooling={facts['poolings'][0]}, or leave it out",
        )

    def pooling() -> str:
        held = tensor_names(place) if place.is_file() else None
        if feature.pooling == "pooler" and not _trained(facts, held):
            raise EmbedderError(
                f"{name}: embedder.pooling = pooler, and {place} holds no weights of a pooler: it was never trained",
                hint=f"--set embedder.pooling={usual_pooling(facts, held)}, or leave it out",
            )
        return feature.pooling or usual_pooling(facts, held)

    def width(side: int) -> int:
        return int(known(name, folder, side)["widths"][str(side)][pooling()])

    @needing(name, LIBRARY, EXTRA)
    def trunk(side: int) -> nn.Module:
        from simsearch.embedder.networks.families.hf_models import trunk

        return trunk(folder, pooling(), side)

    @needing(name, LIBRARY, EXTRA)
    def fitted(given: Mapping[str, Tensor], model: nn.Module) -> Mapping[str, Tensor]:
        from simsearch.embedder.networks.families.hf_models import state_dict

        return given if model.state_dict().keys() <= given.keys() else state_dict(folder, pooling(), given)

    @needing(name, LIBRARY, EXTRA)
    def theirs() -> Theirs:
        from simsearch.embedder.networks.families.hf_models import theirs

        return theirs(folder, pooling(), own)

    place, mean, std = folder / WEIGHTS, tuple(own["mean"]), tuple(own["std"])
    return Spec(
        name,
        size,
        len(mean),
        width,
        trunk,
        float(facts["seconds"]),
        pretrained=Pretrained(mean, std, lambda: _weights(name, folder, repo, pooling), by_bytes=True),
        classifiers=BESIDE,
        own=own,
        fitted=fitted,
        files=lambda: [
            folder / CONFIG,
            folder / PIXELS,
            *(folder / file for file in MORE if (folder / file).is_file()),
        ],
        local=PREFIX if repo is None else None,
        takes_feature=True,
        theirs=theirs,
    )


def download(name: str) -> None:
    """Download what tells what a model of the hub is, where it is not here: a few kilobytes.

    Raises EmbedderError for one that is not there, that is gated, or whose weights are no .safetensors file.
    """
    folder, repo = where(name)
    if repo is None or all((folder / file).is_file() for file in (CONFIG, PIXELS)):
        return
    if offline():
        raise _lacks(name, folder, CONFIG, repo)
    model = _on_the_hub(name, folder, repo)
    try:
        found = offers(model)
    except MissingError:
        raise
    except EmbedderError as error:
        said, near = _meant(name)
        raise EmbedderError(f"{error.message}{said}", hint=error.hint, near=near) from error
    for file in (CONFIG, PIXELS, WEIGHTS):
        if file not in found:
            other = "; its weights are in another format" if file == WEIGHTS else ""
            raise EmbedderError(
                f"{model.page} has no {file}{other}",
                hint="name a model of images with these three files: " + ", ".join((CONFIG, PIXELS, WEIGHTS)),
            )
    fetch(model, [CONFIG, PIXELS])
    (folder / OFFER).write_text(json.dumps(vars(found[WEIGHTS])))


def where(name: str) -> tuple[Path, str | None]:
    """Return the folder of a model, and its name on the hub; None for a folder of the user's."""
    given = name.removeprefix(PREFIX)
    with suppress(ValueError, OSError):  # what no file system takes as a path
        folder = Path(os.path.expanduser(given))
        if given and folder.is_dir():
            return folder, None
    if not ON_THE_HUB.fullmatch(given) or ".." in given:
        said, near = _meant(name)
        raise EmbedderError(
            f"no folder {given}, and no name of a model: expected hf:OWNER/NAME or hf:FOLDER{said}",
            hint="as --set embedder.backbone=hf:facebook/dinov2-small",
            near=near,
        )
    return models_folder() / given, given


def known(name: str, folder: Path, side: int) -> dict[str, Any]:
    """Return what transformers says of the model in a folder, with its width, by pooling, for images of `side` px.

    Raises EmbedderError for a model that takes no images, a side that it cannot take, and where the library is needed
    and not installed.
    """

    def look(before: Mapping[str, Any] | None) -> dict[str, Any]:
        read_config(folder / CONFIG)
        from simsearch.embedder.networks.families.hf_models import look

        return look(name, folder, side, before)

    key = f"{PREFIX}{hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()[:32]}"
    return told_by(LIBRARY, name, EXTRA, key, [side], look)


def _pixels(path: Path) -> dict[str, Any]:
    """Return the keys of [images] of a file; unlike a file of weights, a model of transformers always has its own."""
    try:
        return of_transformers(read_config(path), str(path))
    except EmbedderError as error:
        raise EmbedderError(
            error.message,
            hint="export it as .onnx: for onnx:FILE, --set images.size, resize, interpolation, mean and std say it",
        ) from None


def usual_pooling(facts: Mapping[str, Any], held: Collection[str] | None) -> str:
    """Return how features are pooled where nobody says it, for weights that hold such tensors (None: not known).

    The pooler where the model has one and its weights were trained, else the first token where it is one of its own,
    else the mean.
    """
    if "pooler" in facts["poolings"] and _trained(facts, held):
        return "pooler"
    return "cls" if facts["cls"] else "mean"


def _trained(facts: Mapping[str, Any], held: Collection[str] | None) -> bool:
    return held is None or all(any(name.endswith(part) for name in held) for part in facts["pooler_tensors"])


def _on_the_hub(name: str, folder: Path, repo: str) -> OnTheHub:
    model, at, revision = repo.partition("@")
    return OnTheHub(name, model, revision if at else None, folder, (CONFIG, PIXELS, WEIGHTS), EXTRA)


def _lacks(name: str, folder: Path, file: str, repo: str | None) -> EmbedderError:
    if repo is None:
        what = "which says how its pictures are prepared" if file == PIXELS else "which says what model it is"
        return EmbedderError(f"{folder} has no {file}, {what}", hint=f"put the {file} of the model there")
    said, near = _meant(name)
    why = ", and nothing may be downloaded (--offline, HF_HUB_OFFLINE)" if offline() else ""
    how = "" if offline() else "simsearch build downloads it, or "
    return EmbedderError(
        f"{name} is not here: no {folder / file}{why}{said}",
        hint=f"{how}put {CONFIG}, {PIXELS} and {WEIGHTS} of {_on_the_hub(name, folder, repo).page} there",
        near=near,
    )


def _meant(name: str) -> tuple[str, tuple[str, str] | None]:
    """Return what is said of a name that may be a path with a slip, where such a path is there.

    A name with an owner is a path only where there is a folder called as the owner is.
    """
    given = name.removeprefix(PREFIX)
    alone = "/" not in given.rstrip("/") or os.path.isdir(Path(os.path.expanduser(given)).parent)
    return near_words(name, nearest_to(given.rstrip("/")) if alone else None)


def _weights(name: str, folder: Path, repo: str | None, pooling: Callable[[], str]) -> Weights:
    """Return the weights in a folder, or those that the hub offers for it."""
    place = folder / WEIGHTS

    @needing(name, LIBRARY, EXTRA)
    def load() -> Mapping[str, Any]:
        from simsearch.embedder.networks.families.hf_models import state_dict

        return state_dict(folder, pooling())

    if repo is None:
        if not place.is_file():
            raise EmbedderError(
                f"{folder} has no {WEIGHTS}; no other format is read",
                hint="save the model again: model.save_pretrained(FOLDER), or --set embedder.weights=none",
            )
        return Weights(f"{WEIGHTS} in {folder}", True, load, place)
    model = _on_the_hub(name, folder, repo)
    offer = Offered(WEIGHTS, None, None, None)
    with suppress(OSError, ValueError, TypeError):
        offer = Offered(**json.loads((folder / OFFER).read_bytes()))
    return Weights(
        described=described(WEIGHTS, model.page, offer.size, offer.licence),
        here=place.is_file(),
        load=load,
        place=place,
        fetch=lambda: fetch(model, [offer]),
    )
