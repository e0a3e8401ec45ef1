"""Which indexes are tried for so many rows of such a width, and what one that was tried on a sample would cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAST_SECONDS = 60.0  # that tuning may take; where one HNSW32 takes longer to build, so long
SAMPLE_BYTES = 512 << 20  # at most

_LEAST = 1_000  # rows; below, a flat search takes less than what surrounds it
_ROWS_A_LIST = 24  # at least
_MOST_PARTS = 128
_MOST_LISTS = 32_768
_LIST_SECONDS = 2e-7  # what visiting a list costs, however few rows it has
_HNSW_GROWTH = 0.25  # time of a search over rows: between the logarithm and the caches' misses


@dataclass(frozen=True)
class Candidate:
    """A FAISS factory string, and how many lists it has (0: none)."""

    factory: str
    nlist: int = 0

    @property
    def refines(self) -> bool:
        """Whether candidates are scored again by the vectors themselves."""
        return self.factory.endswith("RFlat")

    @property
    def is_graph(self) -> bool:
        """Whether it is an HNSW graph."""
        return self.factory.startswith("HNSW")


def candidates(rows: int, dim: int) -> list[Candidate]:
    """Return what is tried for `rows` x `dim`, in the order in which it is tried."""
    found = [Candidate("Flat")]
    if rows < _LEAST:
        return found
    middle = 2 ** round(math.log2(math.sqrt(rows)))
    most = min(_MOST_LISTS, rows // _ROWS_A_LIST)
    few, *more = sorted({min(middle * times, most) for times in (1, 2, 4)})
    parts = _parts(dim)
    codes = f"PQ{parts}x4fs,RFlat"
    # One of each family first: on a busy machine there may be no time for the others.
    found.append(Candidate(f"IVF{few},Flat", few))
    found += [Candidate(f"IVF{few},{codes}", few)] if parts else []
    found.append(Candidate("HNSW32"))
    found += [Candidate(f"IVF{nlist},Flat", nlist) for nlist in more]
    if parts:
        half = max(16, few // 2)
        found += [Candidate(codes)] + [Candidate(f"IVF{half},{codes}", half)] * (half < few)
    return found + [Candidate(f"IVF{few},{code}", few) for code in ("SQfp16", "SQ8", "SQ8,RFlat", "RaBitQ,RFlat")]


def _parts(dim: int) -> int:
    """Into how many parts of four bits a vector is coded: two numbers each, or more where there would be too many."""
    return next((parts for parts in range(min(_MOST_PARTS, dim // 2), 0, -1) if dim % parts == 0 and dim >= 8), 0)


def search_seconds(candidate: Candidate, sample: int, rows: int, seconds: float, coarse: float, nprobe: int) -> float:
    """Return what a query would take over `rows` that takes `seconds` over a sample; `coarse`: to find the lists."""
    growth = rows / sample
    if candidate.is_graph:
        return float(seconds * growth**_HNSW_GROWTH)
    fixed = min(seconds, coarse + nprobe * _LIST_SECONDS) if candidate.nlist else 0.0
    return fixed + (seconds - fixed) * growth


def graph_build_seconds(sample: int, rows: int, seconds: float) -> float:
    """Return what building a graph over `rows` would take: insertion is a search."""
    return float(seconds * (rows / sample) ** (1 + _HNSW_GROWTH / 2))


def total_bytes(candidate: Candidate, sample: int, rows: int, dim: int, measured: int) -> int:
    """Return the bytes of an index over `rows` from those over a sample."""
    fixed = min(measured, candidate.nlist * dim * 4)
    return int(fixed + (measured - fixed) * rows / sample)
