"""The kinds of index that Milvus really builds, and what each is built and searched with.

A closed list: milvus-lite takes any name and searches every row then, and a server that lacks a kind may wait for its
index for ever (2.3.5, for DISKANN). Its SCANN is left out: as it is set it finds less than .95 of exact answers.
"""

from __future__ import annotations

from typing import Any

from simsearch.console import shorten
from simsearch.errors import RecipeError

FLAT, HNSW = "FLAT", "HNSW"
KINDS = (FLAT, HNSW, "IVF_FLAT", "IVF_SQ8")  # of a file and of a server alike
FLAT_UP_TO = 50_000  # rows: up to here looking at each takes a server no longer than the way to it and back

MOST_ASKED = 16_384  # neighbours of a query that Milvus gives at most
_NLIST, _ROWS_OF_LIST, _PROBED = 1024, 39, 16
_M, _EF_CONSTRUCTION, _EF = 16, 200, 128


def kind_for(wanted: str | None, rows: int) -> str:
    """Return the kind of index that is wanted, by size without one; RecipeError for one that is not really built."""
    if wanted is None:
        return FLAT if rows <= FLAT_UP_TO else HNSW
    if wanted.upper() not in KINDS:
        raise RecipeError(
            f"--index: expected {', '.join(KINDS)}, seen {shorten(wanted, 40)}",
            hint=f"leave it out: {FLAT} up to {FLAT_UP_TO:,} rows, else {HNSW}",
        )
    return wanted.upper()


def built_with(kind: str, rows: int) -> dict[str, int]:
    """Return the parameters that an index of so many rows is built with."""
    if kind == FLAT:
        return {}
    if kind == HNSW:
        return {"M": _M, "efConstruction": _EF_CONSTRUCTION}
    return {"nlist": max(1, min(_NLIST, rows // _ROWS_OF_LIST))}


def searched_with(kind: str, rows: int, k: int) -> dict[str, Any]:
    """Return the parameters of a search for the `k` nearest; `rows` as `built_with` was given."""
    if kind == FLAT:
        return {}
    if kind == HNSW:
        return {"ef": max(_EF, 2 * k)}
    nlist = built_with(kind, rows)["nlist"]
    return {"nprobe": min(nlist, max(_PROBED, nlist // _PROBED))}
