"""[defects]: the table of a recipe that finds defects. Most recipes have none, and stay what they are without it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from simsearch.recipe.table import Table, setting

Method = Literal["mean", "neighbours", "mahalanobis", "means"]
ASKED_FOR = ("defects",)  # tables that mean something by being there


class Defects(Table):
    """[defects]: what is far from normal images. A recipe without this table looks for no defects."""

    normal: str | None = setting("The label of the normal images.", None, min_length=1)
    method: Method = setting("How far from normal images is told; docs/defects.md explains each.", "mean")
    false_alarms: float = setting("The share of normal images that may be called defective.", 0.01, gt=0, lt=1)


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
