"""A resolved recipe as text, for people."""

from __future__ import annotations

import json
from typing import Any

from simsearch.vectors.search import KINDS

WHEN_LEFT_OUT = {
    "mean": "measured on the fit images",
    "std": "measured on the fit images",
    "root": "the folder of the source",
    "classes_per_batch": "10, or as many as there are",
    "margin2": 'not used by form = "text"',
    **dict.fromkeys(KINDS, "FAISS's default"),
    "factory": "chosen by measuring",
}


def recipe_lines(recipe: dict[str, Any]) -> list[str]:
    """A resolved recipe as lines of TOML; what is decided later stands in comments."""
    lines = []
    for table, keys in recipe.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {_toml(value)}" for key, value in keys.items() if value is not None]
        lines += [f"# {key}: {WHEN_LEFT_OUT.get(key, 'none')}" for key, value in keys.items() if value is None]
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
