"""What is kept of models that others publish: their files, and what their library said of them, which takes seconds.

Commands name the folder in the environment, as they do for other libraries (see `Home.prepare_environment`), since what
only looks at a recipe knows no home.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

PLACE = "SIMSEARCH_MODELS"
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")  # as the libraries of the hub call it
_found: dict[str, dict[str, Any]] = {}  # by this process


def models_folder() -> Path:
    """Return the folder of models of the home that is worked in, else of the default home."""
    return Path(os.environ.get(PLACE) or Path("data", "datasets", "models"))


def offline() -> bool:
    """Return whether nothing may be downloaded: `--offline`, or the variable of the hub's own libraries."""
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in OFFLINE)


def recalled(name: str, library: str | None) -> dict[str, Any] | None:
    """Return what was remembered of the model `name`, None where that is nothing, or of another version of `library`.

    Without the library (None) what any version said still holds: a finished build needs no more.
    """
    known = _found.get(name)
    if known is None:
        with suppress(OSError, ValueError):
            read = json.loads(_file(name).read_bytes())
            known = read if isinstance(read, dict) else None
    return known if known is not None and library in (None, known.get("library")) else None


def remember(name: str, facts: Mapping[str, Any]) -> None:
    """Remember facts of JSON values of the model `name`; `keep` writes them."""
    _found[name] = dict(facts)


def keep() -> None:
    """Write what this process found out. Called where a home may be written to; what cannot be written costs time."""
    for name, facts in _found.items():
        if _written(name) != (data := json.dumps(facts, indent=1).encode()):
            with suppress(OSError):
                path = _file(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_name(f".{path.name}.{os.getpid()}")
                partial.write_bytes(data)
                partial.replace(path)


def _written(name: str) -> bytes | None:
    """Return what is written of the model `name`; None where that is nothing."""
    try:
        return _file(name).read_bytes()
    except OSError:
        return None


def _file(name: str) -> Path:
    return models_folder() / "facts" / f"{name.replace(':', '-')}.json"
