"""The typed recipe: TOML in, a closed set of keys, one clear line for every mistake.

Values left out stay None here and are filled by `resolve`, because good defaults depend on the source: a folder of
photos wants pretrained weights and a linear head, a set of small digits a small network trained from scratch.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from simsearch.embedder.networks.families.small import NETWORKS
from simsearch.embedder.networks.family import Spec
from simsearch.embedder.networks.weights import weights_preprocessing
from simsearch.errors import RecipeError, did_you_mean, near_words, nearest
from simsearch.images.preprocess import CENTRED, LATER, Preprocess, Resize
from simsearch.recipe.defaults import FIRST, FIRST_SHIFT, HEAD, NO_AUGMENTATION, Kind, of_augmentation, of_training
from simsearch.recipe.defects import ASKED_FOR, Asked, Defects
from simsearch.recipe.loss import LOSSES, PML, L2SoftmaxLoss, LossTable
from simsearch.recipe.run import Run
from simsearch.recipe.table import Table, brief, plain
from simsearch.recipe.tables import Augmentation, Dataset, Embedder, Evaluation, Images, Index, Training
from simsearch.recipe.takes import example, line_of, near_value, wanted

FOLDER_BACKBONE = "torchvision:mobilenet_v2"


class Recipe(Asked):
    """A whole recipe. `resolve` returns it with every default filled in."""

    dataset: Dataset
    images: Images = Images()
    embedder: Embedder = Embedder()
    loss: LossTable = L2SoftmaxLoss()
    augmentation: Augmentation = Augmentation()
    training: Training = Training()
    index: Index = Index()
    evaluation: Evaluation = Evaluation()
    defects: Defects = Defects()
    run: Run = Run()

    @property
    def fine_tunes(self) -> bool:
        """Whether a resolved recipe trains a pretrained backbone."""
        return self.embedder.train == "all" and self.embedder.weights != "none"

    @property
    def small(self) -> bool:
        """Whether a resolved recipe trains a small network from no weights."""
        embedder = self.embedder
        return embedder.train == "all" and embedder.weights == "none" and embedder.backbone in NETWORKS

    @property
    def kind_of_training(self) -> Kind:
        """Return which defaults a resolved recipe has."""
        if self.embedder.train == "head":
            return "head"
        return "fine-tuning" if self.fine_tunes else "small" if self.small else "scratch"

    def resolve(self) -> Recipe:
        """The recipe with every default filled in.

        mean and std stay None when only the data can tell them. Raises EmbedderError for an unknown backbone or
        weights that do not fit it, RecipeError for a mean or std of the wrong length and for keys without effect.
        """
        photos = self.dataset.of_files
        name = self.embedder.backbone or (FOLDER_BACKBONE if photos else "mnist_cnn")
        backbone = self.embedder.model_copy(update={"backbone": name}).spec
        weights = self.embedder.weights or ("default" if photos and backbone.pretrained else "none")
        if backbone.brought is not None:
            self._refuse_what_brought_models_lack()
            weights = "default"
        elif weights == "default" and not backbone.pretrained:
            raise RecipeError(
                f"[embedder] weights: {name} has no default weights",
                hint="--set embedder.weights=none, or name a .safetensors file",
            )
        frozen = backbone.brought is not None or (photos and weights != "none")
        train = self.embedder.train or ("head" if frozen else "all")
        embedder = self.embedder.model_copy(update={"backbone": name, "weights": weights, "train": train})
        resolved = self.model_copy(
            update={
                "images": self._images(backbone, weights, photos),
                "embedder": embedder,
                "loss": self.loss.resolve(),
                "index": self.index.model_copy(
                    update={
                        "corpus": self.index.corpus or ("all" if photos else "gallery"),
                        "factory": self.index.factory or (None if self.index.target_recall else "Flat"),
                    }
                ),
            }
        )
        self._refuse_idle_keys(resolved)
        shift, size = self.augmentation.shift or 0, resolved.images.size or 0
        if 2 * shift >= size:
            raise RecipeError(
                f"[augmentation] shift: expected less than half of images.size = {size}, seen {shift}",
                hint="--set augmentation.shift=1",
            )
        augmented = of_augmentation(resolved.kind_of_training, photos=photos)
        return resolved.model_copy(
            update={
                "augmentation": Augmentation(**{**augmented, **_given(self.augmentation)}),
                "training": _training(self.training, resolved),
            }
        )

    def as_asked(self) -> dict[str, Any]:
        """Return the tables of the resolved recipe; epochs are None where the number of fit images will tell them."""
        resolved = self.resolve()
        tables = resolved.model_dump()
        if resolved.small and self.training.epochs is None:
            tables["training"]["epochs"] = None
        return tables

    def with_first_defaults(self) -> Recipe:
        """Return a recipe, not resolved, with what small networks had at first written out; else the recipe itself."""
        if not self.resolve().small:
            return self
        training = self.training.model_copy(update={**FIRST, **_given(self.training)})
        shift = FIRST_SHIFT if self.augmentation.shift is None else self.augmentation.shift
        augmentation = self.augmentation.model_copy(update={"shift": shift})
        return self.model_copy(update={"training": training, "augmentation": augmentation})

    def with_head_only(self) -> Recipe:
        """A resolved fine-tuning recipe as `train = "head"` would have it: same data, images, loss and seed."""
        training = Training(**{**HEAD, "weight_decay": self.training.weight_decay, "seed": self.training.seed})
        embedder = self.embedder.model_copy(update={"train": "head"})
        return self.model_copy(
            update={"augmentation": Augmentation(), "embedder": embedder, "training": training}
        ).resolve()

    def _refuse_what_brought_models_lack(self) -> None:
        if self.embedder.train == "all" and self.training.epochs != 0:
            raise RecipeError(
                f'[embedder] train = "all": {self.embedder.backbone} stays as it is, and only a head is trained on it',
                hint="leave embedder.train out, or train a torchvision: backbone",
            )
        if self.embedder.weights not in (None, "default"):
            raise RecipeError(
                f"[embedder] weights: {self.embedder.backbone} brings its own, seen {self.embedder.weights}",
                hint="leave embedder.weights out",
            )

    def _images(self, backbone: Spec, weights: str, photos: bool) -> Images:
        own = backbone.own_unless(self.images.model_fields_set)
        known = own if backbone.brought else {**own, **weights_preprocessing(weights, backbone.name)}
        mean, std = self.images.mean or known.get("mean"), self.images.std or known.get("std")
        size = self.images.size or known.get("size") or backbone.size
        missing = [key for key, value in (("size", size), ("mean", mean), ("std", std)) if not value]
        if backbone.brought and missing:
            raise RecipeError(
                f"[images] {' and '.join(missing)}: no file beside {backbone.name} says how its pictures are prepared",
                hint="put its preprocessor_config.json beside it, or give, as ImageNet's, --set images.size=224 "
                "--set images.mean=[0.485,0.456,0.406] --set images.std=[0.229,0.224,0.225]",
            )
        for key, values in (("mean", mean), ("std", std)):
            if values is not None and len(values) != backbone.channels:
                raise RecipeError(
                    f"[images] {key}: expected {backbone.channels} numbers for {backbone.name}, seen {len(values)}",
                    hint=f"give one number a channel, as {key} = {[0.5] * backbone.channels}",
                )
        if backbone.largest is not None and size > backbone.largest:
            raise RecipeError(
                f"[images] size: {backbone.name} takes at most {backbone.largest} px, seen {size}",
                hint="its linear layer grows with the square; --set embedder.backbone=torchvision:mobilenet_v3_small",
            )
        later = {key: own[key] for key in LATER if key in own and key not in self.images.model_fields_set}
        resize: Resize = self.images.resize or own.get("resize") or ("crop" if photos else "squash")
        if resize not in CENTRED and "crop_share" in later:
            del later["crop_share"]  # another way of cutting was asked for
        unit = (1.0,) * backbone.channels
        found = self.images.model_copy(update={"size": size, "resize": resize, "mean": mean, "std": std, **later})
        Preprocess(size, backbone.channels, resize, unit, unit, **found.later())  # refuses what has no meaning
        return found

    def _refuse_idle_keys(self, resolved: Recipe) -> None:
        """A key that would do nothing is a misunderstanding: better to say so than to train something else."""
        if resolved.embedder.train == "head":
            # At the value that it has anyway, as `show` prints it, a key is no mistake.
            given, rate = self.training, self.training.learning_rate or HEAD["learning_rate"]
            frozen = resolved.embedder.weights != "none"
            changed = {key for key, value in _given(self.augmentation).items() if value != NO_AUGMENTATION[key]}
            idle = [f"[augmentation] {key}" for key in NO_AUGMENTATION if key in changed]
            idle += ["[training] rotate_classes"] * given.rotate_classes
            idle += ["[training] freeze_batch_norm"] * (given.freeze_batch_norm not in (None, frozen))
            idle += ["[training] head_learning_rate"] * (given.head_learning_rate not in (None, rate))
            if idle:
                raise RecipeError(
                    f'{", ".join(idle)}: no effect with train = "head": one layer learns, from features of '
                    "unchanged images",
                    hint="--set embedder.train=all, or leave it out (the rate of a head is training.learning_rate)",
                )
        if self.training.head_first and self.training.rotate_classes:
            raise RecipeError(
                "[training] head_first and rotate_classes: a head on frozen features knows no rotated classes",
                hint="leave one of them out",
            )
        if self.training.head_first and not resolved.fine_tunes:
            raise RecipeError(
                '[training] head_first: only fine-tuning (train = "all" from given weights) has a head to start from',
                hint="--set embedder.train=all and embedder.weights, or leave it out",
            )


def with_defaults(tables: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of a build's recipe; tables and keys that came later stand at their defaults."""
    later = {
        name: {key: plain(one.get_default(call_default_factory=True)) for key, one in table.model_fields.items()}
        for name, field in Recipe.model_fields.items()
        if isinstance(table := field.annotation, type) and issubclass(table, Table)
        if name not in ASKED_FOR or name in tables
    }
    return {name: {**later.get(name, {}), **tables.get(name, {})} for name in {**tables, **later}}


def make_recipe(tables: dict[str, Any], where: str) -> Recipe:
    """The checked recipe of `tables`; RecipeError names `where`, table and key of the first mistake."""
    try:
        return Recipe.model_validate(tables)
    except ValidationError as error:
        raise one_line(error, where, Recipe) from None


def one_line(error: ValidationError, where: str, recipe: type[Table]) -> RecipeError:
    """Return the first mistake in a `recipe`: where, what was seen, the nearest legal key or the expected type."""
    found = error.errors()
    # A misspelt key is two mistakes, of which the key that is not there says less.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    location = [str(part) for part in first["loc"]]
    if location[:1] == ["loss"] and len(location) > 1 and location[1] in LOSSES:
        location.pop(1)  # pydantic names the member of the union, the recipe does not
    table, key = location[0] if location else "", ".".join(location[1:])
    place = f"{where}: [{table}]" + (f" {key}" if key else "")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        legal = list(_fields_of(first, table, recipe) if key else recipe.model_fields)
        seen = key or table
        kind = f"unknown key {seen!r} in [{table}]" if key else f"unknown table [{seen}]"
        said, near = near_words(seen, nearest(seen, legal, cutoff=0.4))
        pair = near and (f"{table}.{near[0]}", f"{table}.{near[1]}") if key else near
        line = line_of(where, table, key)
        return RecipeError(
            f"{where}{line}: {kind}{said}{more}", hint=f"legal here: {', '.join(sorted(legal))}", near=pair
        )
    if first["type"] == "missing":
        return RecipeError(f"{place} is missing{more}", hint='the least recipe is [dataset] with source = "digits"')
    if first["type"] == "union_tag_not_found":
        given = first["input"]
        name = given.get("name") if isinstance(given, dict) else given
        names = [*(known for known in LOSSES if known != PML), "pml:NAME"]
        seen = f"expected {', '.join(names)}, seen {name!r}{did_you_mean(str(name), names)}"
        return RecipeError(f"{place} name: {seen}{more}", hint="as --set loss.name=triplet")
    fields = _fields_of(first, table, recipe) if key else {}
    named = next((part for part in reversed(location[1:]) if part in fields), "")
    field = fields.get(named)
    if field is not None and first["type"] not in ("value_error", "assertion_error"):
        named = ".".join([*location[1 : location.index(named)], named])
        shown = example(table, named, field) if recipe is Recipe else None  # bench takes no --set
        said, pair = near_value(table, named, field, first.get("input"))
        seen = f"expected {wanted(field)}, seen {brief(first.get('input'))}{said}{more}"
        hint = f"as {shown}" if shown else None
        return RecipeError(f"{where}: [{table}] {named}: {seen}", hint=hint, near=pair)
    if not key and table in recipe.model_fields and first["type"] != "value_error":
        return RecipeError(
            f"{place}: expected a table of keys, seen {brief(first.get('input'))}{more}",
            hint=f"its keys follow a line [{table}], or are given as --set {table}.KEY=VALUE",
        )
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    seen = "" if "seen" in message else f", seen {brief(first.get('input'))}"
    return RecipeError(f"{place}: {message}{seen}{more}")


def _fields_of(first: Any, table: str, recipe: type[Table]) -> dict[str, FieldInfo]:
    if table == "loss":
        member = next((str(part) for part in first["loc"] if part in LOSSES), "l2_softmax")
        return LOSSES[member].model_fields
    field = recipe.model_fields.get(table)
    found: dict[str, FieldInfo] = {}
    for part in map(str, first["loc"][1:] or ("",)):  # of a table within it, where the mistake is in that
        kind = field.annotation if field else None
        found = kind.model_fields if isinstance(kind, type) and issubclass(kind, Table) else found
        field = found.get(part)
    return found


def _training(asked: Training, resolved: Recipe) -> Training:
    of_weights = {"freeze_batch_norm": resolved.embedder.weights != "none"}
    alone = {"ranks": 1} if resolved.embedder.train == "head" else {}  # which is quicker than starting processes
    filled = {**of_training(resolved.kind_of_training), **of_weights, **_given(asked), **alone}
    return Training(**{"head_learning_rate": filled["learning_rate"], **filled})


def _given(table: Table) -> dict[str, Any]:
    return table.model_dump(exclude_none=True)
