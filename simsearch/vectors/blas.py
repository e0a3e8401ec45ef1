"""The threads of BLAS, where pieces of work run beside each other already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_blas_thread() -> Iterator[int]:
    """Within it a call of BLAS takes one thread; yields how many it took before."""
    # Not before it is needed: a single query has no use for it.
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    blas = ThreadpoolController().select(user_api="blas")
    before: int = max((library["num_threads"] for library in blas.info()), default=1)
    with blas.limit(limits=1):
        yield before
