"""[defects]: the table of a recipe that finds defects. Most recipes have none, and stay what they are without it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, field_validator, model_serializer

from simsearch.recipe.table import Table, setting

Method = Literal["auto", "mean", "neighbours", "mahalanobis", "means", "patch"]
ASKED_FOR = ("defects",)  # tables that mean something by being there
AUTO, PATCH = "auto", "patch"


class Patch(Table):
    """[defects.patch]: what method patch compares. Other methods but auto do not look at it."""

    sides: list[int] = setting("Sides of a square as large as the pictures that are looked at.", [104, 144, 192, 288])
    strides: list[int] = setting("Which inner stages: the side of the picture over that of the map.", [16])
    local: int = setting("Side, in places, of the mean around each place; 1: none.", 1, ge=1, le=15)
    bank: int = setting("Normal patches that are kept of each side.", 3000, ge=2, le=1_000_000)
    per_image: int = setting("Patches of each picture that the bank is chosen from.", 40, ge=1, le=10_000)
    worst: int = setting("How many of the worst patches a picture's score is the mean of.", 3, ge=1, le=1000)
    fusion: Literal["max", "mean"] = setting("How the scores of several sides become one.", "mean")

    @field_validator("sides", "strides")
    @classmethod
    def _different(cls, values: list[int]) -> list[int]:
        if not values or min(values) < 1 or len(set(values)) != len(values):
            raise ValueError(f"expected different whole numbers above 0, seen {values}")
        return sorted(values)


class Defects(Table):
    """[defects]: what is far from normal images. A recipe without this table looks for no defects."""

    normal: str | None = setting("The label of the normal images.", None, min_length=1)
    method: Method = setting("How far from normal images is told; docs/defects.md explains each.", "auto")
    false_alarms: float = setting("The share of normal images that may be called defective.", 0.01, gt=0, lt=1)
    outliers: Literal["refuse", "keep"] = setting(
        "What is done about normal images that are far from the others.", "refuse"
    )
    unseen: list[str] = setting("Labels that are neither trained on nor searched in, to try kinds never seen.", [])
    patch: Patch = setting("Keys of method patch, a table of their own.", Patch())

    def settings(self) -> dict[str, Any]:
        """Return what of it decides what is fitted; which labels are unseen, the dataset says."""
        return self.model_dump(exclude={"unseen"} | (set() if self.method in (AUTO, PATCH) else {PATCH}))


class Asked(Table):
    """A recipe of which a table may be missing; it is then missing in what is written too."""

    @property
    def finds_defects(self) -> bool:
        """Whether there is a table [defects]."""
        return "defects" in self.model_fields_set

    @model_serializer(mode="wrap")
    def _without_what_nobody_asked_for(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        whole: dict[str, Any] = write(self)
        return {name: table for name, table in whole.items() if name not in ASKED_FOR or name in self.model_fields_set}
