"""What a search is asked over HTTP: keys of JSON or a form, their bounds, and the question that they are."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from simsearch.arrays import Floats
from simsearch.console import shorten
from simsearch.search import Question
from simsearch.server.limits import MOST_HITS, MOST_MARKS, MOST_NUMBERS, MOST_OFFSET, MOST_TEXT, MOST_VECTORS
from simsearch.server.problems import Problem

Number = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=MOST_TEXT)]
# As an array at once: a list of floats is four times as large, and waits in the queue with its request.
Vector = Annotated[list[Number], Field(fail_fast=True), AfterValidator(lambda row: np.array(row, dtype=np.float64))]
Row = Annotated[int, Field(ge=0, lt=2**31, description="Row of an image of the corpus.")]


class Form(BaseModel):
    """How many hits are wanted, and which; what else a form has beside its picture."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(10, ge=1, le=MOST_HITS, description="How many hits.")
    offset: int = Field(0, ge=0, le=MOST_OFFSET, description="How many of the nearest are passed over.")
    min_score: Number | None = Field(None, ge=-1, le=1, description="Only hits that score at least this.")
    max_far: Number | None = Field(
        None, gt=0, le=1, description="Only hits that at most this share of different-label pairs reaches."
    )
    where: Text | None = Field(None, description="A filter, as \"label = 'apple'\".")
    collapse: bool = Field(False, description="One hit of each group of near-identical ones.")
    not_self: bool = Field(False, description="Leave the query itself out of the hits.")
    crop: Text | None = Field(None, description="Search by a part: x,y,w,h as shares of the upright picture.")

    def question(self) -> Question:
        """Return the question, of as many hits as the page and all before it have."""
        return Question(
            self.k + self.offset, self.min_score, self.max_far, self.collapse, self.where or None, self.not_self
        )

    def box(self) -> tuple[float, float, float, float] | None:
        """Return the crop as shares x, y, w, h, None without one; Problem for what is none."""
        if not self.crop:
            return None
        try:
            x, y, w, h = (float(part) for part in self.crop.split(","))
        except ValueError:
            x = y = w = h = float("nan")
        if not (0 <= x < 1 and 0 <= y < 1 and 0 < w <= 1 and 0 < h <= 1 and x + w <= 1.0001 and y + h <= 1.0001):
            raise Problem(
                422,
                f"crop: expected x,y,w,h, shares from 0 to 1, seen {shorten(self.crop, 40)!r}",
                "as 0.1,0.2,0.5,0.5",
            )
        return x, y, w, h


class Asked(Form):
    """A search by JSON: one of `row`, `image`, `vector` and `vectors`."""

    row: Row | None = None
    image: Text | None = Field(None, description="Name of an image of the corpus.")
    vector: Vector | None = Field(None, description="One raw vector of the embedder's width.")
    vectors: Annotated[list[Vector], Field(fail_fast=True, max_length=MOST_VECTORS)] | None = Field(
        None, description="Several of them."
    )
    digest: Text | None = Field(None, description="The state that `row` is of: another one is answered with 410.")

    def given(self) -> str:
        """Return which of the four is there; Problem for none or several."""
        there = [name for name in ("row", "image", "vector", "vectors") if getattr(self, name) is not None]
        if len(there) != 1:
            raise Problem(422, f"expected one of row, image, vector and vectors, seen {', '.join(there) or 'none'}")
        return there[0]


class Picked(BaseModel):
    """An image of the corpus, by its row or its name."""

    model_config = ConfigDict(extra="forbid")

    row: Row | None = None
    image: Text | None = None


class Pair(BaseModel):
    """Two images of the corpus that are compared."""

    model_config = ConfigDict(extra="forbid")

    one: Picked
    other: Picked
    max_far: Number | None = Field(None, gt=0, le=1)
    digest: Text | None = None


class PairForm(BaseModel):
    """What a form of two pictures has beside them."""

    model_config = ConfigDict(extra="forbid")

    max_far: Number | None = Field(None, gt=0, le=1)


class Nothing(BaseModel):
    """A form that has nothing beside its picture."""

    model_config = ConfigDict(extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


def from_json(model: type[Model], body: bytes) -> Model:
    """Return what a body of JSON says; Problem for what is no JSON (400) and for keys and values that are not known.

    One of more parts than any question has is refused unread (413): each would cost up to a kilobyte of memory.
    """
    if body.count(b",") >= MOST_NUMBERS:
        raise Problem(413, f"the body has more than {MOST_NUMBERS:,} numbers", "send fewer vectors at once")
    if sum(body.count(mark) for mark in (b"[", b"{", b'"')) > MOST_MARKS:
        raise Problem(413, f"the body has more than {MOST_VECTORS:,} lists or as many keys", "see /docs")
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise _refused(error) from None


def from_fields(model: type[Model], fields: dict[str, str]) -> Model:
    """Return what the text fields of a form say; an empty one says nothing. Problem for what is not known."""
    try:
        return model.model_validate({name: text for name, text in fields.items() if text != ""})
    except ValidationError as error:
        raise _refused(error) from None


def vectors_of(rows: list[list[float]], dim: int) -> Floats:
    """Return vectors (N, dim) float32; Problem for another width and for numbers that no float32 holds."""
    for place, row in enumerate(rows):
        if len(row) != dim:
            raise Problem(422, f"vectors[{place}]: expected {dim} numbers, seen {len(row)}", "those of this embedder")
    found = np.array(rows, dtype=np.float64).reshape(len(rows), dim)
    if len(found) and np.abs(found).max() > np.finfo(np.float32).max:
        raise Problem(422, "a vector has a number that is too large for float32")
    return found.astype(np.float32)


def _refused(error: ValidationError) -> Problem:
    first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid":
        return Problem(
            400, f"the body is no JSON: {first['msg']}", "send Content-Type: application/json and a JSON object"
        )
    said = "is not known" if first["type"] == "extra_forbidden" else first["msg"]
    return Problem(422, f"{shorten(place, 60)}: {said}" if place else said, "see /docs for what it takes")
