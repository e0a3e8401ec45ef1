"""Every table of a recipe but [loss]: its keys, their types and what a value must be.

Values left out stay None here where good defaults depend on the source; `Recipe.resolve` fills them.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from simsearch.errors import RecipeError
from simsearch.images.formats.decoding import MAX_PIXELS, Decoding
from simsearch.images.sources.columns import KEYS as COLUMNS
from simsearch.recipe.table import Options, Table
from simsearch.vectors.search import KINDS


class Dataset(Table):
    """[dataset]: where the images come from and how they are split."""

    source: str
    options: Options = Field(default={})
    root: str | None = None
    split: Literal["closed", "disjoint"] = "closed"
    test_classes: int | float = 0.5
    exclude: list[str] = Field(default=[])
    follow_links: bool = False  # into linked folders
    machine_folders: bool = False  # take in what NAS, desktop and cloud systems make
    group: str | None = Field(default=None, min_length=1)  # a pattern over paths, or a list's column: one object
    columns: dict[str, str] | None = None  # of a list: what its path, label, split are called
    labels: bool = True  # false: every image is used, without one
    max_bad_fraction: float = Field(default=0.05, ge=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**31)

    @property
    def kind(self) -> str:
        """`digits`, `torchvision`, `folder` or `table`."""
        return self.source.partition(":")[0]

    @property
    def of_files(self) -> bool:
        """Whether the images are files of the user's, in a folder or a list."""
        return self.kind in ("folder", "table")

    @model_validator(mode="before")
    @classmethod
    def _group_is_one_key(cls, given: Any) -> Any:
        """What `columns` says of the group goes to `group`, so that one key tells it."""
        columns = given.get("columns") if isinstance(given, dict) else None
        if not isinstance(columns, dict) or "group" not in columns:
            return given
        if given.get("group") not in (None, columns["group"]):
            raise ValueError(f"columns.group is {columns['group']!r} and group is {given['group']!r}: leave one out")
        rest = {key: name for key, name in columns.items() if key != "group"}
        return {**given, "columns": rest or None, "group": columns["group"]}

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, str] | None) -> dict[str, str] | None:
        unknown = sorted((columns or {}).keys() - set(COLUMNS))
        if unknown:
            raise ValueError(f"expected path, label, split or group and the name of its column, seen {unknown[0]!r}")
        return columns or None

    @field_validator("source")
    @classmethod
    def _known_kind(cls, source: str) -> str:
        kind, colon, rest = source.partition(":")
        if (kind == "digits" and not colon) or (kind in {"torchvision", "folder", "table"} and rest):
            return source
        raise ValueError(f"expected digits, torchvision:NAME, folder:PATH or table:FILE, seen {source!r}")


class Images(Table):
    """[images]: how an image becomes an array."""

    size: int | None = Field(default=None, ge=8, le=2048)
    resize: Literal["squash", "crop", "pad"] | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    background: str = "auto"  # behind what is transparent: auto, white, black, checker or #rrggbb
    range: str | list[float] = "auto"  # of more than 8 bits: auto, full, or [low, high], black and white
    max_pixels: int = MAX_PIXELS  # of one picture, as it is decoded

    def decoding(self) -> Decoding:
        """Return how pictures are decoded, by the present rules."""
        limits = self.range if isinstance(self.range, str) else (float(self.range[0]), float(self.range[1]))
        return Decoding(background=self.background, range=limits, max_pixels=self.max_pixels)

    def settings(self) -> dict[str, Any]:
        """Return what of it enters addresses beside how pictures are decoded, which the data set says."""
        return self.model_dump(include={"size", "resize", "mean", "std"})

    @field_validator("background", "range", "max_pixels")
    @classmethod
    def _known_to_decoding(cls, value: Any, info: ValidationInfo) -> Any:
        try:
            given: dict[str, Any] = {str(info.field_name): tuple(value) if isinstance(value, list) else value}
            Decoding(**given)
        except RecipeError as error:
            raise ValueError(f"{error.message.partition(': ')[2]}, seen {value!r}") from None
        return value

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


class Augmentation(Table):
    """[augmentation]: how images are changed at random while training; None: what suits source and `train`."""

    crop: float | None = Field(default=None, gt=0, le=1)  # random resized crop of at least this share of the area
    flip: bool | None = None  # left and right swapped, every second time
    colour: float | None = Field(default=None, ge=0, le=1)  # brightness, contrast and saturation times 1 +- this
    rotate: float | None = Field(default=None, ge=0, le=180)  # by up to so many degrees
    scale: float | None = Field(default=None, ge=0, lt=1)  # to 1 +- this size
    shift: int | None = Field(default=None, ge=0, le=64)  # by up to so many pixels


class Training(Table):
    """[training]: shared by the recipe and its baseline. "Fine-tuning" is train = "all" from given weights."""

    epochs: int | None = Field(default=None, ge=0, le=100_000)
    batch_size: int | None = Field(default=None, ge=2, le=65536)  # 256; fine-tuning 16
    learning_rate: float | None = Field(default=None, gt=0)
    head_learning_rate: float | None = Field(default=None, gt=0)  # head and loss; fine-tuning 2e-3, else learning_rate
    weight_decay: float = Field(default=1e-4, ge=0)
    schedule: Literal["late_decay", "one_cycle"] | None = None
    # Epochs without a better val recall@1; 0: all epochs, keep the last.
    patience: int | None = Field(default=None, ge=0)
    freeze_batch_norm: bool | None = None  # its statistics; None: when weights are given
    head_first: bool = False  # fine-tuning starts from a head that was trained on frozen features
    rotate_classes: bool = False  # an image turned by 90, 180 and 270 degrees belongs to three more classes
    seed: int = Field(default=0, ge=0, lt=2**31 - 1)


class Index(Table):
    """[index]: a FAISS factory string with search settings, or the ann_recall@10 that both are chosen to reach.

    A factory beside the target is taken as it is, and only its search settings are tuned to reach it.
    """

    factory: str | None = Field(default=None, min_length=1)  # Flat, where no target is set
    target_recall: float | None = Field(default=None, gt=0, le=1)
    max_bytes: int | None = Field(default=None, ge=1)  # of the index that is chosen
    max_build_seconds: float | None = Field(default=None, gt=0)
    corpus: Literal["all", "gallery"] | None = None
    nprobe: int | None = Field(default=None, ge=1)
    efSearch: int | None = Field(default=None, ge=1)
    k_factor: float | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _settings_of_that_kind(self) -> Index:
        factory = self.factory or "Flat"
        # FAISS ends the whole process on some of these, or never ends.
        if re.search(r"(?<![0-9])0+(?![0-9])|(HNSW0*1|NSG0*[1-7])(?![0-9])", factory):
            raise ValueError(f"expected sizes above 0 (HNSW above 1, NSG above 7) in the factory, seen {factory!r}")
        if re.search(r"Refine\([^)]*(IVF|LSH)", factory):
            raise ValueError(f"expected Refine(Flat) or Refine(SQ8) in the factory, seen {factory!r}")
        tuned = self.factory is not None and any(re.search(kind, factory) for kind in KINDS.values())
        given = [key for key in (*(() if tuned else ("factory",)), *KINDS) if getattr(self, key) is not None]
        if self.target_recall is not None and given:
            raise ValueError(f"target_recall chooses {', '.join(given)} by measuring: leave one or the other out")
        limits = [key for key in ("max_bytes", "max_build_seconds") if getattr(self, key) is not None]
        if self.target_recall is None and limits:
            raise ValueError(f"{', '.join(limits)} belongs to target_recall, as target_recall = 0.99")
        if self.factory is not None and limits:
            raise ValueError(f"{', '.join(limits)} belongs to a choice among factories, seen factory {factory!r}")
        for key, kind in KINDS.items():
            if getattr(self, key) is not None and not re.search(kind, factory):
                what = kind.replace("|", " and ")
                raise ValueError(f"{key} belongs to {what} indexes, seen factory {factory!r}")
        return self


class Run(Table):
    """[run]: how commands go about a build, and nothing that enters a digest."""

    # A query believes a file above 64 MiB for so many days after it was hashed whole; 0: never.
    rehash_days: float = Field(default=7.0, ge=0, le=36_500)


class Evaluation(Table):
    """[evaluation]: the k of every figure at k, whether the baseline is trained, and the map drawn."""

    k: list[int] = Field(default=[1, 5, 10])
    baseline: bool = True
    map: bool = True  # the t-SNE of the report

    @field_validator("k")
    @classmethod
    def _sorted_positive(cls, k: list[int]) -> list[int]:
        if not k or min(k) < 1 or max(k) > 1000 or len(set(k)) != len(k):
            raise ValueError(f"expected different whole numbers from 1 to 1000, seen {k}")
        return sorted(k)
