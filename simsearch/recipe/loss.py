"""[loss]: one table a loss, each with its own keys, so that an option of another loss is refused."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

from pydantic import Discriminator, Tag, field_validator, model_validator

from simsearch.recipe.table import Options, Table, setting

Mining = Literal["all", "hard", "batch_hard", "semi_hard", "semi_hard_all", "distance_weighted"]
PML = "pml"
PML_PREFIX = "pml:"


class Loss(Table):
    """What every loss has."""

    raw: ClassVar[bool] = False  # whether its features are compared as they are, by L2 distance
    if TYPE_CHECKING:
        name: str

    def resolve(self) -> Loss:
        """The table with every default filled in."""
        return self


class SoftmaxLoss(Loss):
    """Plain softmax: the baseline."""

    raw = True
    name: Literal["softmax"] = setting("Which loss.")


class L2SoftmaxLoss(Loss):
    """L2-constrained softmax (arXiv 1703.09507)."""

    name: Literal["l2_softmax"] = setting("Which loss.", "l2_softmax")
    alpha: float = setting("The length that features are scaled to before the classifier.", 16.0, gt=0)
    learn_alpha: bool = setting("Learn alpha too, starting from its value.", False)


class BalancedLoss(Loss):
    """Keys of the sampler: each batch holds P classes x K images."""

    classes_per_batch: int | None = setting("Labels in a batch.", None, ge=2, le=65536)
    images_per_class: int = setting("Images of each label in a batch.", 12, ge=2, le=65536)


class TripletLoss(BalancedLoss):
    """Triplet loss (FaceNet, arXiv 1503.03832) on balanced batches."""

    name: Literal["triplet"] = setting("Which loss.")
    margin: float = setting("How much farther a negative must be than the positive (squared distance).", 0.2, gt=0)
    mining: Mining = setting("Which triplets of a batch count; docs/method.md explains each.", "semi_hard")


class QuadrupletLoss(BalancedLoss):
    """Quadruplet loss (arXiv 1704.01719) on balanced batches; `form = "text"` has one margin."""

    name: Literal["quadruplet"] = setting("Which loss.")
    form: Literal["paper", "text"] = setting(
        "paper: the second term takes d(n1, n2); text: it takes d(anchor, n2).", "paper"
    )
    margin1: float = setting("Margin of the triplet term; with form text of both terms.", 0.2, gt=0)
    margin2: float | None = setting("Margin of the second term, at most margin1.", None, gt=0)
    mining: Mining = setting("Which triplets of a batch count; docs/method.md explains each.", "semi_hard")

    @model_validator(mode="after")
    def _margins(self) -> QuadrupletLoss:
        if self.form == "text" and self.margin2 is not None:
            raise ValueError(f'form = "text" has one margin, margin1: expected no margin2, seen {self.margin2}')
        if self.margin2 is not None and self.margin2 > self.margin1:
            raise ValueError(f"expected margin2 <= margin1 = {self.margin1}, seen margin2 = {self.margin2}")
        if self.classes_per_batch is not None and self.classes_per_batch < 3:
            raise ValueError("a quadruplet holds three classes: expected classes_per_batch of 3 or more, seen 2")
        return self

    def resolve(self) -> QuadrupletLoss:
        """The table with margin2 filled in: half of margin1, as in the paper's experiments."""
        if self.form == "text" or self.margin2 is not None:
            return self
        return self.model_copy(update={"margin2": self.margin1 / 2})


class PmlLoss(BalancedLoss):
    """`pml:NAME`: a loss of pytorch-metric-learning with keyword arguments `options`, on balanced batches."""

    name: str = setting("pml:NAME, a loss of pytorch-metric-learning.")
    options: Options = setting("Arguments of the class of that loss, as {alpha = 2.0}.", {})

    @field_validator("name")
    @classmethod
    def _a_class_name(cls, name: str) -> str:
        wanted = name.removeprefix(PML_PREFIX)
        if not wanted.isidentifier() or keyword.iskeyword(wanted):
            raise ValueError(f"expected pml:NAME, as pml:ContrastiveLoss, seen {name!r}")
        return name


LOSSES: dict[str, type[Loss]] = {
    "softmax": SoftmaxLoss,
    "l2_softmax": L2SoftmaxLoss,
    "triplet": TripletLoss,
    "quadruplet": QuadrupletLoss,
    PML: PmlLoss,
}


def loss_tag(table: Any) -> str | None:
    """Which table a [loss] is: its name, `pml` for all of pytorch-metric-learning; "l2_softmax" where it names none."""
    name = table.get("name", "l2_softmax") if isinstance(table, dict) else getattr(table, "name", None)
    if not isinstance(name, str):
        return None
    return PML if name.startswith(PML_PREFIX) else name if name in LOSSES and name != PML else None


if TYPE_CHECKING:
    LossTable = Loss
else:
    LossTable = Annotated[
        Union[tuple(Annotated[table, Tag(name)] for name, table in LOSSES.items())], Discriminator(loss_tag)  # noqa: UP007
    ]
