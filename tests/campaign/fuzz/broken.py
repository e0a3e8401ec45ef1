"""The product broken on purpose, in workers alone: each has to be found, or the runs prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def digest_unchecked() -> None:
    """The files of an artifact are parsed as they are."""
    from simsearch.artifacts import Store

    Store._check = lambda store, path, size, sha256: None  # type: ignore[method-assign]


def member_unchecked() -> None:
    """The members of a pack are written as they are."""
    from simsearch.packs import reading

    reading._checked = lambda path, file, member: reading.pieces_of(file, member.size)  # type: ignore[assignment]


def pixels_unbounded() -> None:
    """As many pixels are decoded as a header says."""
    from simsearch.images.formats import decode

    decode.check_size = lambda size, decoding: None


def hdf5_narrowed() -> None:
    """Of what h5py raises, OSError alone is expected."""
    from simsearch.vectors.formats import hdf5

    hdf5.UNREADABLE = (OSError,)  # type: ignore[assignment]


def form_narrowed() -> None:
    """A form that cannot be read is not expected."""
    from simsearch.server import multipart

    multipart.FormParserError = ZeroDivisionError  # type: ignore[assignment, misc]


def csv_narrowed() -> None:
    """Text that is in no encoding is not expected."""
    from simsearch.images.sources import delimited

    delimited._strict = lambda data, encoding, *said: data.decode(encoding)


def zero_rows() -> None:
    """Vectors without a direction pass."""
    import numpy as np

    from simsearch.vectors.formats import parts

    parts.norms = lambda block: np.ones(len(block))


# What is broken, and the parser that has to find it.
BROKEN: dict[str, tuple[Callable[[], Any], str]] = {
    "digest-unchecked": (digest_unchecked, "FAISS"),
    "member-unchecked": (member_unchecked, "packs"),
    "pixels-unbounded": (pixels_unbounded, "BMP"),
    "hdf5-narrowed": (hdf5_narrowed, "HDF5"),
    "form-narrowed": (form_narrowed, "HTTP-bodies"),
    "csv-narrowed": (csv_narrowed, "CSV"),
    "zero-rows": (zero_rows, "fvecs"),
}
