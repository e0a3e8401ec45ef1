"""Which model a path stands for, and the nearest one that is there: for names that stand for nothing."""

from __future__ import annotations

from contextlib import suppress
from os.path import expanduser
from pathlib import Path

from simsearch.errors import near_path

FOLDER, FILE = "hf:", "onnx:"


def standing_for(path: str) -> str | None:
    """Return the backbone that a path stands for: an ONNX file, or the folder of a model; None where it does not."""
    place = Path(expanduser(path))  # as it is where there is no such user
    with suppress(OSError, ValueError):  # what no file system takes as a path
        if place.is_file():
            return f"{FILE}{path}" if place.suffix == ".onnx" else None
        if path and (place / "config.json").is_file():
            return f"{FOLDER}{path}"
        inside = sorted(place.glob("*.onnx")) if path else []
        return f"{FILE}{inside[0]}" if len(inside) == 1 else None
    return None


def nearest_to(path: str) -> str | None:
    """Return the backbone that a path stands for, else that of the nearest path that stands for one."""
    found = standing_for(path)
    if found is None and (near := near_path(path, lambda one: standing_for(one) is not None)):
        return standing_for(near)
    return found
