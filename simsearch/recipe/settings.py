"""Every setting of a recipe in a line: what `simsearch show` prints above a key, and what docs/settings.md lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from simsearch.recipe.defaults import (
    FINE_TUNING,
    HEAD,
    MOST_EPOCHS,
    NO_AUGMENTATION,
    PHOTO_AUGMENTATION,
    SCRATCH,
    SMALL,
    SMALL_AUGMENTATION,
)
from simsearch.recipe.loss import LOSSES, PML, PML_PREFIX, loss_tag
from simsearch.recipe.recipe import FOLDER_BACKBONE, Recipe
from simsearch.recipe.table import Table
from simsearch.recipe.takes import takes, toml

LOSS = "loss"
SCRATCH_WORDS = "for torchvision's from no weights"
# What a setting is where a recipe leaves it out and only the source, or another setting, can tell.
LEFT_OUT = {
    "dataset.root": "the folder of the list",
    "dataset.columns": "path, label, split",
    "images.size": "the backbone's",
    "images.resize": '"crop" for folders and lists, else "squash"',
    **dict.fromkeys(("images.mean", "images.std"), "that of the weights, else measured on the fit images"),
    "embedder.backbone": f'"{FOLDER_BACKBONE}" for folders and lists, else "mnist_cnn"',
    "embedder.weights": '"default" for folders and lists where the backbone has them, else "none"',
    "embedder.train": '"head" for folders and lists with weights, else "all"',
    "training.freeze_batch_norm": "true with weights, else false",
    "training.head_learning_rate": f"learning_rate; {FINE_TUNING['head_learning_rate']} fine-tuning",
    "index.factory": '"Flat"; chosen with target_recall',
    "index.corpus": '"all" for folders and lists, else "gallery"',
    **dict.fromkeys(("index.nprobe", "index.efSearch", "index.k_factor"), "FAISS's; tuned with target_recall"),
    "defects.normal": "every image is normal",
    "loss.classes_per_batch": "10, or as many as there are",
    "loss.margin2": "half of margin1",
    "run.address": "a Ray on this machine",
}


@dataclass(frozen=True)
class Setting:
    """A key of a table: what it takes, what it is where it is left out, and what it does, each in words."""

    key: str
    takes: str
    default: str
    line: str


def every_table() -> Iterator[tuple[str, str, list[Setting]]]:
    """Yield (heading, the first sentence about it, its settings) of each table, and of each loss, in their order."""
    for name, field in Recipe.model_fields.items():
        if name != LOSS:
            table = field.annotation
            assert isinstance(table, type)
            assert issubclass(table, Table)
            yield f"[{name}]", _sentence(table), _settings(name, table)
            for key, one in table.model_fields.items():
                if isinstance(inner := one.annotation, type) and issubclass(inner, Table):
                    yield f"[{name}.{key}]", _sentence(inner), _settings(f"{name}.{key}", inner)
            continue
        for loss, kind in LOSSES.items():
            spelled = f"{PML_PREFIX}NAME" if loss == PML else loss
            yield f'[{LOSS}] name = "{spelled}"', _sentence(kind), _settings(LOSS, kind)


def lines_of(name: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the line of each key of a table, a [loss] by the name among its `values`; none for unknown tables."""
    if name == LOSS:
        found: Any = LOSSES.get(loss_tag(dict(values)) or "")
    else:
        field = Recipe.model_fields.get(name)
        found = field.annotation if field else None
    return {key: field.description or "" for key, field in found.model_fields.items()} if found else {}


def _sentence(table: type[Table]) -> str:
    return " ".join((table.__doc__ or "").partition("\n\n")[0].split())


def _settings(name: str, table: type[Table]) -> list[Setting]:
    fields = sorted(table.model_fields.items(), key=lambda item: item[0] != "name")  # which loss it is, then its keys
    return [Setting(key, takes(one), _default(name, key, one), one.description or "") for key, one in fields]


def _default(name: str, key: str, field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    if isinstance(field.default, Table):
        return f"see [{name}.{key}]"
    if field.default is not None:
        return toml(field.default)
    if f"{name}.{key}" in LEFT_OUT:
        return LEFT_OUT[f"{name}.{key}"]
    if name == "training" and key in SMALL:
        few = f", up to {MOST_EPOCHS} of a small network on few images" if key == "epochs" else ""
        others = ((SCRATCH, SCRATCH_WORDS), (HEAD, "for a head"), (FINE_TUNING, "fine-tuning"))
        more = [f"; {toml(kind[key])} {words}" for kind, words in others if kind[key] != SMALL[key]]
        return toml(SMALL[key]) + few + "".join(more)
    if name == "augmentation":
        small = f"; {toml(SMALL_AUGMENTATION[key])} for small networks" if key in SMALL_AUGMENTATION else ""
        photos = (
            f"; {toml(PHOTO_AUGMENTATION[key])} fine-tuning on folders and lists" if key in PHOTO_AUGMENTATION else ""
        )
        return toml(NO_AUGMENTATION[key]) + small + photos
    return "none"
