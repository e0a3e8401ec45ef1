"""Which indexes are tried for so many rows of such a width, and how large each would be."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from simsearch.vectors.search import REFINE

LEAST_SECONDS = 60.0  # that tuning may take; where two builds of HNSW32 take longer, so long
SAMPLE_BYTES = 512 << 20  # at most

FEW = 1_000  # rows; below, a flat search takes less than what surrounds it, and too few could be held out
_ROWS_A_LIST = 24  # at least
_MOST_PARTS, _MOST_FINE_PARTS = 128, 256
_MOST_LISTS = 32_768


@dataclass(frozen=True)
class Candidate:
    """A FAISS factory string, and how many lists it has (0: none).

    `given`: a recipe names it. It is trained as it would be without tuning, not with centroids found once for many.
    """

    factory: str
    nlist: int = 0
    given: bool = False

    @property
    def refines(self) -> bool:
        """Whether candidates are scored again by the vectors themselves."""
        return bool(re.search(REFINE, self.factory))

    @property
    def is_graph(self) -> bool:
        """Whether it is an HNSW graph."""
        return bool(re.search(r"(^|,)HNSW", self.factory))


def candidates(rows: int, dim: int) -> list[Candidate]:
    """Return what is tried for `rows` x `dim`, in the order in which it is tried."""
    found = [Candidate("Flat")]
    if rows < FEW:
        return found
    middle = 2 ** round(math.log2(math.sqrt(rows)))
    most = min(_MOST_LISTS, rows // _ROWS_A_LIST)
    few, *more = sorted({min(middle * times, most) for times in (1, 2, 4)})
    parts, fine = _parts(dim, least=2, most=_MOST_PARTS), _parts(dim, least=1, most=_MOST_FINE_PARTS)
    codes = f"PQ{parts}x4fs,RFlat"
    # One of each family first: on a busy machine there may be no time for the others. What needs centroids of its own
    # comes late, the more lists the later: finding them takes the square of their number.
    found.append(Candidate(f"IVF{few},Flat", few))
    if parts:
        # Codes alone for vectors without classes. "r": codes of what is left beside the centroid, which tell rows of
        # one dense class apart.
        found += [
            Candidate(codes),
            Candidate(f"IVF{few},PQ{fine}x4fsr,RFlat", few),
            Candidate(f"IVF{few},{codes}", few),
        ]
    found.append(Candidate("HNSW32"))
    found += [Candidate(f"IVF{few},{code}", few) for code in ("SQ8,RFlat", "SQfp16")]
    if parts:
        half = max(16, few // 2)
        found += [Candidate(f"IVF{half},{codes}", half)] * (half < few)
    found += [Candidate(f"IVF{nlist},Flat", nlist) for nlist in more]
    return found + [Candidate(f"IVF{few},{code}", few) for code in ("SQ8", "RaBitQ,RFlat")]


def _parts(dim: int, least: int, most: int) -> int:
    """Return the number of four-bit parts of a vector: `least` numbers each, or more where that were above `most`.

    0 for a vector too short to be coded.
    """
    return next((parts for parts in range(min(most, dim // least), 0, -1) if dim % parts == 0 and dim >= 8), 0)


def total_bytes(candidate: Candidate, sample: int, rows: int, dim: int, measured: int) -> int:
    """Return the bytes of an index over `rows` from those over a sample."""
    fixed = min(measured, candidate.nlist * dim * 4)
    return int(fixed + (measured - fixed) * rows / sample)
