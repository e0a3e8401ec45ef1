"""What is said between a build and the process that commands Ray: an order there, events back, a line of JSON each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from simsearch import errors
from simsearch.errors import SimsearchError


@dataclass(frozen=True)
class Work:
    """Shards to write into a folder: rows of the table of images in another folder, by the files of a model.

    `images` is what `read_again` opens them by.
    """

    folder: str
    rows: int
    dim: int
    shard_rows: int
    table: str
    first: int
    canaries: list[int]
    network: str
    head: str | None
    preprocessing: dict[str, Any]
    images: dict[str, Any]


@dataclass(frozen=True)
class Order:
    """Where Ray is (None: it is started here, with its files below `temp`), and what to do; None: look whether it is.

    `patience`: for how many seconds nothing may happen.
    """

    address: str | None
    temp: str
    patience: float
    work: Work | None = None

    def to_line(self) -> str:
        """Return a line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Order:
        """Return the order that `to_line` wrote."""
        told = json.loads(line)
        work = told.pop("work")
        return cls(**told, work=None if work is None else Work(**work))


def told(error: SimsearchError) -> dict[str, str]:
    """Return an error as an event."""
    return {"error": type(error).__name__, "message": error.message, "hint": error.hint}


def error_of(event: dict[str, Any]) -> SimsearchError:
    """Return the error that `told` made an event of."""
    kind: type[SimsearchError] = getattr(errors, event["error"])
    return kind(event["message"], hint=event["hint"])
