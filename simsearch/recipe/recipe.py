"""The typed recipe: TOML in, a closed set of keys, one clear line for every mistake.

Values left out stay None here and are filled by `resolve`, because good defaults depend on the source: a folder of
photos wants pretrained weights and a linear head, a set of small digits a small network trained from scratch.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .embedder.catalog import find_backbone
from .embedder.weights import weights_preprocessing
from .errors import RecipeError, SimsearchError

MNIST_CNN_MOST = 128
FOLDER_BACKBONE = "torchvision:mobilenet_v2"


class Table(BaseModel):
    """A table of the recipe: unknown keys are refused, so that a misspelt option never passes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Dataset(Table):
    """[dataset]: where the images come from and how they are split."""

    source: str
    options: dict[str, Any] = {}
    root: str | None = None
    split: Literal["closed", "disjoint"] = "closed"
    test_classes: int | float = 0.5
    exclude: list[str] = []
    max_bad_fraction: float = Field(default=0.05, ge=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**31)

    @property
    def kind(self) -> str:
        """`digits`, `torchvision`, `folder` or `table`."""
        return self.source.partition(":")[0]

    @field_validator("source")
    @classmethod
    def _known_kind(cls, source: str) -> str:
        kind, colon, rest = source.partition(":")
        if (kind == "digits" and not colon) or (kind in {"torchvision", "folder", "table"} and rest):
            return source
        raise ValueError(f"expected digits, torchvision:NAME, folder:PATH or table:FILE, seen {source!r}")

    @field_validator("options")
    @classmethod
    def _plain(cls, options: dict[str, Any]) -> dict[str, Any]:
        for key, value in options.items():
            if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(f"expected text, a finite number, true or false for {key}, seen {_brief(value)}")
        return options


class Images(Table):
    """[images]: how an image becomes an array."""

    size: int | None = Field(default=None, ge=8, le=2048)
    resize: Literal["squash", "crop", "pad"] | None = None
    mean: list[float] | None = None
    std: list[float] | None = None

    @field_validator("mean", "std")
    @classmethod
    def _a_number_a_channel(cls, values: list[float] | None) -> list[float] | None:
        if values is not None and len(values) not in (1, 3):
            raise ValueError(f"expected one number a channel, seen {values}")
        return values

    @field_validator("std")
    @classmethod
    def _positive(cls, std: list[float] | None) -> list[float] | None:
        if std is not None and any(s <= 0 for s in std):
            raise ValueError(f"expected positive numbers, seen {std}")
        return std


class Embedder(Table):
    """[embedder]: backbone, width of the feature and starting weights."""

    backbone: str | None = None
    dim: int = Field(default=64, ge=2, le=4096)
    weights: str | None = None
    train: Literal["all", "head"] | None = None


class SoftmaxLoss(Table):
    """Plain softmax: the baseline."""

    name: Literal["softmax"]


class L2SoftmaxLoss(Table):
    """L2-constrained softmax (arXiv 1703.09507)."""

    name: Literal["l2_softmax"]
    alpha: float = Field(default=16.0, gt=0)
    learn_alpha: bool = False


class TripletLoss(Table):
    """Triplet loss with semi-hard negatives (FaceNet, arXiv 1503.03832) on balanced batches."""

    name: Literal["triplet"]
    margin: float = Field(default=0.2, gt=0)
    mining: Literal["semi_hard"] = "semi_hard"
    classes_per_batch: int | None = Field(default=None, ge=2)  # 10, or as many as there are
    images_per_class: int = Field(default=12, ge=2)


class Training(Table):
    """[training]: shared by the recipe and its baseline."""

    epochs: int | None = Field(default=None, ge=0, le=100_000)
    batch_size: int = Field(default=256, ge=2, le=65536)
    learning_rate: float | None = Field(default=None, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    shift: int = Field(default=0, ge=0, le=64)  # augmentation: each image moved by up to so many pixels
    seed: int = Field(default=0, ge=0, lt=2**31 - 1)


class Index(Table):
    """[index]: a FAISS factory string, what is searched, and FAISS's search settings."""

    factory: str = Field(default="Flat", min_length=1)
    corpus: Literal["all", "gallery"] | None = None
    nprobe: int | None = Field(default=None, ge=1)
    efSearch: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _settings_of_that_kind(self) -> Index:
        if re.search(r"(?<![0-9])0+(?![0-9])|HNSW1(?![0-9])", self.factory):
            # FAISS ends the whole process on some of these.
            raise ValueError(f"expected sizes above 0 (HNSW above 1) in the factory, seen {self.factory!r}")
        for key, value, kind in (("nprobe", self.nprobe, "IVF"), ("efSearch", self.efSearch, "HNSW")):
            if value is not None and kind not in self.factory:
                raise ValueError(f"{key} belongs to {kind} indexes, seen factory {self.factory!r}")
        return self


class Evaluation(Table):
    """[evaluation]: the k of every figure at k, and whether the baseline is trained."""

    k: list[int] = [1, 5, 10]
    baseline: bool = True

    @field_validator("k")
    @classmethod
    def _sorted_positive(cls, k: list[int]) -> list[int]:
        if not k or min(k) < 1 or max(k) > 1000 or len(set(k)) != len(k):
            raise ValueError(f"expected different whole numbers from 1 to 1000, seen {k}")
        return sorted(k)


class Recipe(Table):
    """A whole recipe. `resolve` returns it with every default filled in."""

    dataset: Dataset
    images: Images = Images()
    embedder: Embedder = Embedder()
    loss: SoftmaxLoss | L2SoftmaxLoss | TripletLoss = Field(
        default=L2SoftmaxLoss(name="l2_softmax"), discriminator="name"
    )
    training: Training = Training()
    index: Index = Index()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="before")
    @classmethod
    def _default_loss(cls, tables: Any) -> Any:
        if isinstance(tables, dict) and isinstance(tables.get("loss"), dict):
            return {**tables, "loss": {"name": "l2_softmax", **tables["loss"]}}
        return tables

    def resolve(self) -> Recipe:
        """The recipe with every default filled in.

        mean and std stay None when only the data can tell them. Raises EmbedderError for an unknown backbone or
        weights that do not fit it, RecipeError for a mean or std of the wrong length.
        """
        photos = self.dataset.kind in {"folder", "table"}
        name = self.embedder.backbone or (FOLDER_BACKBONE if photos else "mnist_cnn")
        backbone = find_backbone(name)
        weights = self.embedder.weights or ("default" if photos and name.startswith("torchvision:") else "none")
        if name == "mnist_cnn" and weights == "default":
            raise RecipeError(
                "[embedder] weights: mnist_cnn has no default weights",
                hint="--set embedder.weights=none, or name a .safetensors file",
            )
        train = self.embedder.train or ("head" if photos and weights != "none" else "all")
        known = weights_preprocessing(weights, name)
        mean, std = self.images.mean or known.get("mean"), self.images.std or known.get("std")
        for key, values in (("mean", mean), ("std", std)):
            if values is not None and len(values) != backbone.channels:
                raise RecipeError(
                    f"[images] {key}: expected {backbone.channels} numbers for {name}, seen {len(values)}",
                    hint=f"give one number a channel, as {key} = {[0.5] * backbone.channels}",
                )
        size = self.images.size or known.get("size") or backbone.size
        if name == "mnist_cnn" and size > MNIST_CNN_MOST:
            raise RecipeError(
                f"[images] size: mnist_cnn takes at most {MNIST_CNN_MOST} px, seen {size}",
                hint="its linear layer grows with the square; --set embedder.backbone=torchvision:mobilenet_v3_small",
            )
        epochs = self.training.epochs if self.training.epochs is not None else (40 if train == "head" else 6)
        rate = self.training.learning_rate or (2e-3 if train == "head" else 1e-3 if weights == "none" else 1e-4)
        return self.model_copy(
            update={
                "images": Images(
                    size=size,
                    resize=self.images.resize or ("crop" if photos else "squash"),
                    mean=_floats(mean),
                    std=_floats(std),
                ),
                "embedder": self.embedder.model_copy(update={"backbone": name, "weights": weights, "train": train}),
                "training": self.training.model_copy(update={"epochs": epochs, "learning_rate": rate}),
                "index": self.index.model_copy(
                    update={"corpus": self.index.corpus or ("all" if photos else "gallery")}
                ),
            }
        )


def _floats(values: Any) -> list[float] | None:
    return None if values is None else [float(v) for v in values]


def make_recipe(tables: dict[str, Any], where: str) -> Recipe:
    """The checked recipe of `tables`; RecipeError names `where`, table and key of the first mistake."""
    try:
        return Recipe.model_validate(tables)
    except ValidationError as error:
        raise _one_line(error, where) from None


def _one_line(error: ValidationError, where: str) -> SimsearchError:
    """The first mistake as one line: where, what was seen, the nearest legal key or the expected type."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    if location[:1] == ["loss"] and len(location) > 1 and location[1] in _loss_tables():
        location.pop(1)  # pydantic names the member of the union, the recipe does not
    table, key = location[0] if location else "", ".".join(location[1:])
    place = f"{where}: [{table}]" + (f" {key}" if key else "")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        legal = _keys_of(error, first, table) if key else list(Recipe.model_fields)
        seen = key or table
        near = difflib.get_close_matches(seen, legal, n=1, cutoff=0.4)
        kind = f"unknown key {seen!r} in [{table}]" if key else f"unknown table [{seen}]"
        guess = f"; did you mean {near[0]!r}?" if near else ""
        return RecipeError(f"{where}: {kind}{guess}{more}", hint=f"legal here: {', '.join(sorted(legal))}")
    if first["type"] == "missing":
        return RecipeError(f"{place} is missing{more}", hint='the least recipe is [dataset] with source = "digits"')
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    seen = "" if "seen" in message else f", seen {_brief(first.get('input'))}"
    return RecipeError(f"{place}: {message}{seen}{more}")


def _loss_tables() -> dict[str, type[Table]]:
    return {"softmax": SoftmaxLoss, "l2_softmax": L2SoftmaxLoss, "triplet": TripletLoss}


def _keys_of(error: ValidationError, first: Any, table: str) -> list[str]:
    if table == "loss":
        member = next((p for p in first["loc"] if p in _loss_tables()), "l2_softmax")
        return list(_loss_tables()[str(member)].model_fields)
    annotation = Recipe.model_fields[table].annotation
    return list(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, Table) else []


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
