"""What an index is searched with: one value, handed on whole from the recipe to FAISS; light, for every room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

IVF, HNSW, REFINE = "IVF", "HNSW", "RFlat|Refine"  # what the factory of an index with such a setting holds


def _of(kind: str) -> Any:
    return field(default=None, metadata={"kind": kind})


@dataclass(frozen=True)
class Search:
    """Search settings, spelled as FAISS and the recipe's [index] spell them; None leaves FAISS's default.

    A new one is a line here and a key of [index]: FAISS gets it by this name, with the parameters of its kind.
    """

    nprobe: int | None = _of(IVF)
    efSearch: int | None = _of(HNSW)
    k_factor: float | None = _of(REFINE)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Search:
        """Return the settings among the keys of `record`. Raises TypeError for one that is no number of its type."""
        found = {key: record.get(key) for key in KINDS}
        for key, value in found.items():
            if not isinstance(value, int | None if key in WHOLE else int | float | None):
                raise TypeError(f"search setting {key}: expected a number, seen {value!r}")
        return cls(**found)

    def to_json(self) -> dict[str, Any]:
        """Return what a build's record and the digest of evaluate hold: a setting that came later only where given."""
        return {"nprobe": self.nprobe, "efSearch": self.efSearch, **self.given()}

    def given(self) -> dict[str, int | float]:
        """Return those that are set."""
        return {key: value for key, value in vars(self).items() if value is not None}


DEFAULT = Search()
KINDS: dict[str, str] = {one.name: one.metadata["kind"] for one in fields(Search)}
WHOLE = frozenset(one.name for one in fields(Search) if "int" in str(one.type))  # counted, not measured
