"""Every table of a recipe but [loss]: its keys, their types and what a value must be.

Values left out stay None here where good defaults depend on the source; `Recipe.resolve` fills them.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator, model_validator

from simsearch.embedder.networks.families import find_backbone
from simsearch.embedder.networks.family import Feature, Spec
from simsearch.errors import RecipeError
from simsearch.images.formats.decoding import MAX_PIXELS, Decoding
from simsearch.images.preprocess import LATER, Interpolation, Order, Resize
from simsearch.images.sources.columns import KEYS as COLUMNS
from simsearch.images.sources.mending import is_file_of_labels
from simsearch.images.sources.urls import checked_url, is_url
from simsearch.recipe.table import Options, Table, setting
from simsearch.vectors.search import KINDS


class Dataset(Table):
    """[dataset]: where the images come from and how they are split."""

    source: str = setting("Where images come from: digits, torchvision:NAME, folder:PATH|URL, table:FILE.")
    options: Options = setting('Arguments of the torchvision class, as {split = "letters"} for EMNIST.', {})
    root: str | None = setting("The folder that the paths of a list start from.", None)
    split: Literal["closed", "disjoint"] = setting(
        "disjoint: the last labels by name are never trained on, only searched.", "closed"
    )
    test_classes: int | float = setting(
        "With disjoint: how many labels, or which share of them, are not trained on.", 0.5
    )
    exclude: list[str] = setting('Paths to leave out, as patterns: "masks/**".', [])
    follow_links: bool = setting("Read linked folders too, each once.", False)
    machine_folders: bool = setting("Read folders too that NAS, desktop and cloud systems make.", False)
    group: str | None = setting(
        "What shows one object: a pattern over paths, or a column of a list.", None, min_length=1
    )
    columns: dict[str, str] | None = setting("What a list calls its columns path, label and split.", None)
    labels: bool | str = setting("FILE: a list (image,label) whose labels win; false: no labels, no figures.", True)
    max_bad_fraction: float = setting(
        "The largest share of unusable images; a build with more stops.", 0.05, ge=0, le=1
    )
    seed: int = setting("Seed of the split, where the source has none of its own.", 0, ge=0, lt=2**31)

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

    @field_validator("labels")
    @classmethod
    def _a_file_of_labels(cls, labels: bool | str) -> bool | str:
        if isinstance(labels, str) and not is_file_of_labels(labels):
            raise ValueError(f"expected true, false or a file of labels (.csv), seen {labels!r}")
        return labels

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
        if is_url(source):
            source = f"folder:{source}"
        kind, colon, rest = source.partition(":")
        if kind == "folder" and is_url(rest):
            return f"folder:{checked_url(rest)}"
        if (kind == "digits" and not colon) or (kind in {"torchvision", "folder", "table"} and rest):
            return source
        raise ValueError(f"expected digits, torchvision:NAME, folder:PATH or table:FILE, seen {source!r}")


class Images(Table):
    """[images]: how an image becomes an array."""

    size: int | None = setting("Side in pixels of the square that the network sees.", None, ge=8, le=2048)
    resize: Resize | None = setting("How a picture becomes a square; crop is its whole centre.", None)
    crop_share: float = setting(
        "With center_crop and floor_crop: the share of the shorter side that is kept.", 1.0, ge=0.1, le=1
    )
    interpolation: Interpolation = setting("How pictures are scaled.", "bilinear")
    antialias: bool = setting("Let all pixels count where a picture shrinks.", True)
    order: Order = setting("Order of the channels that the network sees.", "rgb")
    draft: bool = setting("Decode large JPEGs at a reduced size, twice what is needed or more.", True)
    mean: list[float] | None = setting("Mean of each channel, on a scale of 0 to 1; it is subtracted.", None)
    std: list[float] | None = setting(
        "Standard deviation of each channel, on that scale; values are divided by it.", None
    )
    background: str = setting("Behind transparent pixels: auto, white, black, checker or #rrggbb.", "auto")
    range: str | list[float] = setting(
        "With more than 8 bits, what is black and white: auto, full or [low, high].", "auto"
    )
    max_pixels: int = setting("The most pixels that one picture may decode to.", MAX_PIXELS)

    def decoding(self) -> Decoding:
        """Return how pictures are decoded, by the present rules."""
        limits = self.range if isinstance(self.range, str) else (float(self.range[0]), float(self.range[1]))
        return Decoding(background=self.background, range=limits, max_pixels=self.max_pixels)

    def settings(self) -> dict[str, Any]:
        """Return what of it enters addresses beside how pictures are decoded, which the data set says."""
        own: dict[str, Any] = self.model_dump(include={"size", "resize", "mean", "std", *LATER})
        return {key: value for key, value in own.items() if key not in LATER or value != LATER[key]}

    def later(self) -> dict[str, Any]:
        """Return the keys that preprocessing had none of at first, whose defaults are in no address."""
        return self.model_dump(include=set(LATER))

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

    backbone: str | None = setting("The network: mnist_cnn, conv4, torchvision:, timm: or hf:NAME, onnx:FILE.", None)
    output: str | None = setting("Of onnx:FILE: the tensor that is the feature.", None)
    pooling: Literal["pooler", "cls", "mean", "max"] | None = setting(
        "Of onnx: and hf: models: how a map or tokens become a feature.", None
    )
    dim: int = setting("Width of the feature.", 64, ge=2, le=4096)
    weights: str | None = setting("What training starts from: none, default (downloaded) or a FILE.", None)
    train: Literal["all", "head"] | None = setting(
        "all: backbone and head; head: only a linear layer on frozen features.", None
    )

    @property
    def spec(self) -> Spec:
        """What is known of the backbone, which has a name; EmbedderError when there is none of that name."""
        return find_backbone(str(self.backbone), Feature(self.output, self.pooling))

    def settings(self) -> dict[str, Any]:
        """Return what of it enters addresses: a model of the user's by its kind, as its files enter by their bytes."""
        own = self.model_dump(exclude={"output", "pooling"} - self.model_dump(exclude_none=True).keys())
        return {**own, "backbone": self.spec.kind or own["backbone"]}


class Augmentation(Table):
    """[augmentation]: how images are changed at random while training."""

    crop: float | None = setting(
        "Cut out a part at random, of at least this share of the area; 1: never.", None, gt=0, le=1
    )
    flip: bool | None = setting("Swap left and right in half of the images.", None)
    colour: float | None = setting("Change brightness, contrast and saturation by up to this share.", None, ge=0, le=1)
    rotate: float | None = setting("Turn by up to this many degrees.", None, ge=0, le=180)
    scale: float | None = setting("Grow or shrink by up to this share.", None, ge=0, lt=1)
    shift: int | None = setting("Move by up to this many pixels.", None, ge=0, le=64)


class Training(Table):
    """[training]: shared by the recipe and its baseline. "Fine-tuning" is train = "all" from given weights."""

    epochs: int | None = setting(
        "Passes over the fit images; 0: no training, the backbone's own features.", None, ge=0, le=100_000
    )
    batch_size: int | None = setting(
        "Images in a batch; triplet, quadruplet and pml losses have their own keys.", None, ge=2, le=65536
    )
    learning_rate: float | None = setting("Peak learning rate; of the backbone, where it is trained too.", None, gt=0)
    head_learning_rate: float | None = setting(
        "Peak learning rate of head and loss, where the backbone is trained too.", None, gt=0
    )
    weight_decay: float | None = setting("Weight decay of AdamW.", None, ge=0)
    schedule: Literal["late_decay", "one_cycle"] | None = setting(
        "How rates change: late_decay falls in the second half, one_cycle rises first.", None
    )
    patience: int | None = setting(
        "Stop after this many epochs without better val recall@1; 0: train them all.", None, ge=0
    )
    freeze_batch_norm: bool | None = setting(
        "Keep the statistics of batch normalization as they are in the weights.", None
    )
    head_first: bool = setting("Fine-tuning starts from a head that was trained on frozen features.", False)
    rotate_classes: bool = setting("An image turned by 90, 180 and 270 degrees counts as three more labels.", False)
    ranks: int = setting("Processes that train together, each on a part of every batch; docs/scale.md.", 1, ge=1, le=64)
    seed: int = setting(
        "Seed of weights, batches and augmentation; the reference has the next one.", 0, ge=0, lt=2**31 - 1
    )

    def settings(self) -> dict[str, Any]:
        """Return what of it enters addresses: one process trains as it did before there could be several."""
        return self.model_dump(exclude={"ranks"} if self.ranks == 1 else None)


class Index(Table):
    """[index]: a FAISS factory string with search settings, or the ann_recall@10 that both are chosen to reach.

    A factory beside the target is taken as it is, and only its search settings are tuned to reach it.
    """

    factory: str | None = setting('The index as FAISS spells it, as "IVF256,Flat".', None, min_length=1)
    target_recall: float | None = setting(
        "Choose the fastest index, or its settings, with this ann_recall@10.", None, gt=0, le=1
    )
    max_bytes: int | None = setting("The most bytes of an index that target_recall may choose.", None, ge=1)
    max_build_seconds: float | None = setting(
        "The longest that building an index which target_recall chooses may take.", None, gt=0
    )
    corpus: Literal["all", "gallery"] | None = setting("What a query searches: all images, or the gallery alone.", None)
    nprobe: int | None = setting("IVF: how many lists a search looks into.", None, ge=1)
    efSearch: int | None = setting("HNSW: how many candidates a search keeps.", None, ge=1)
    k_factor: float | None = setting("Refined index: how many times k candidates are compared again.", None, ge=1)

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


class Evaluation(Table):
    """[evaluation]: the k of every figure at k, whether the baseline is trained, and the map drawn."""

    k: list[int] = setting("The k of recall@k and of the other figures at k.", [1, 5, 10])
    baseline: bool = setting("Train and measure the plain-softmax baseline and its reference too.", True)
    map: bool = setting("Draw the t-SNE map of the report.", True)

    @field_validator("k")
    @classmethod
    def _sorted_positive(cls, k: list[int]) -> list[int]:
        if not k or min(k) < 1 or max(k) > 1000 or len(set(k)) != len(k):
            raise ValueError(f"expected different whole numbers from 1 to 1000, seen {k}")
        return sorted(k)
