"""What may go wrong in a part of a night without ending the others."""

from __future__ import annotations

from simsearch.errors import SimsearchError

FAILURES = (
    SimsearchError, OSError, MemoryError, ArithmeticError, ValueError, LookupError, RuntimeError, TypeError,
    AttributeError, ImportError,
)  # fmt: skip


def words_of(error: BaseException) -> str:
    """Return words for an error."""
    return error.message if isinstance(error, SimsearchError) else f"{type(error).__name__}: {error}"
