"""How pictures are decoded: the rules and settings that a build holds to from its first picture to its last query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from simsearch.errors import RecipeError

RULES = 2
MAX_PIXELS = 134_217_728
BACKGROUND = re.compile(r"auto|white|black|checker|#[0-9a-fA-F]{6}")

Range = str | tuple[float, float]


@dataclass(frozen=True)
class Decoding:
    """What of a file becomes which pixels; of `rules` 1, only the defaults of `FIRST` exist.

    `background` lies behind what is transparent: auto, white, black, checker or #rrggbb. `range`: which values of
    pictures of more than 8 bits are black and white: auto, full, or (low, high). `max_pixels`: most that are decoded.
    Raises RecipeError for a value that cannot be used.
    """

    rules: int = RULES
    background: str = "auto"
    range: Range = "auto"
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if not 1 <= self.rules <= RULES:
            raise RecipeError(f"decoding has rules {self.rules}: this program knows 1 to {RULES}")
        if not BACKGROUND.fullmatch(self.background):
            raise RecipeError(
                f"images.background is {self.background!r}: expected auto, white, black, checker or #rrggbb"
            )
        if isinstance(self.range, str):
            sound = self.range in ("auto", "full")
        else:
            sound = len(self.range) == 2 and self.range[0] < self.range[1]
        if not sound:
            raise RecipeError(f"images.range is {self.range!r}: expected auto, full, or [low, high]")
        if not 1 <= self.max_pixels < 2**31:
            raise RecipeError(f"images.max_pixels is {self.max_pixels}: expected 1 to 2,147,483,647")

    def changes(self) -> dict[str, Any]:
        """Return what is not the default of its rules, as plain JSON values: what enters addresses."""
        usual, own = (asdict(FIRST if self.rules == 1 else PRESENT)), self.to_json()
        return {key: value for key, value in own.items() if value != usual[key]}

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary of plain JSON values."""
        return {**asdict(self), "range": self.range if isinstance(self.range, str) else list(self.range)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Decoding:
        """Return the Decoding that `to_json` wrote; raises RecipeError for a value that cannot be used."""
        try:
            span = values["range"]
            limits: Range = span if isinstance(span, str) else (float(span[0]), float(span[1]))
            return cls(int(values["rules"]), str(values["background"]), limits, int(values["max_pixels"]))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RecipeError(f"decoding cannot be read: {type(error).__name__} {error}") from None


PRESENT = Decoding()
FIRST = Decoding(1, "white", "full")  # what a build without a word on it was decoded by


def told(facts: Mapping[str, Any]) -> Decoding:
    """Return how the facts of a dataset artifact say that its files were decoded; without a word, by rules 1."""
    return Decoding.from_json(facts["decoding"]) if "decoding" in facts else FIRST
