"""The header of a .safetensors file: what it says of itself, and the names of its tensors. No tensor is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simsearch.errors import EmbedderError

FILE_HINT = "--set embedder.weights=FILE (.safetensors, .pth or .pt)"
MAX_HEADER_BYTES = 100_000_000


def read_metadata(path: Path) -> dict[str, str]:
    """Return the `__metadata__` table of a .safetensors file, {} without one; EmbedderError when it is unreadable."""
    metadata = _read_header(path).get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise EmbedderError(f"cannot read weights {path}: metadata are not text", hint=FILE_HINT)
    return dict(metadata)


def tensor_names(path: Path) -> list[str]:
    """Return the names of the tensors of a .safetensors file; EmbedderError when it is unreadable."""
    return [name for name in _read_header(path) if name != "__metadata__"]


def _read_header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            # A wrong file must not make us read (or allocate) whatever its first eight bytes happen to say.
            if not 2 <= length <= min(MAX_HEADER_BYTES, path.stat().st_size - 8):
                raise ValueError("no safetensors header")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("no safetensors header")
        return header
    except FileNotFoundError as error:
        raise EmbedderError(f"weights file {path} does not exist", hint=FILE_HINT) from error
    except (OSError, ValueError, RecursionError) as error:
        raise EmbedderError(f"cannot read weights {path}: {error}", hint=FILE_HINT) from error
