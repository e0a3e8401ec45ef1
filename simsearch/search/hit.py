"""One neighbour of a query."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Hit:
    """One neighbour: rank from 1, score (inner product of embeddings, -1 to 1), and which image it is.

    `path` is None where the file is not on this machine; `same_file` tells that it is the query itself, byte for byte.
    `false_accept_rate` is the share of different-label pairs that score at least as much, None where that is unknown.
    `alike` is how many more near-identical hits it stands for, None where hits are not collapsed.
    """

    rank: int
    score: float
    label: str
    image: str
    path: str | None
    row: int
    same_file: bool = False
    false_accept_rate: float | None = None
    alike: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The keys of a hit in `query --json`."""
        record = asdict(self)
        del record["same_file"]
        if self.alike is None:
            del record["alike"]
        return record
