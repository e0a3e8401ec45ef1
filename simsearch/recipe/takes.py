"""What a key of a recipe takes, in words, an example of it, and where it stands in a file."""

from __future__ import annotations

import json
import os
import re
import shlex
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from simsearch.errors import near_words, nearest
from simsearch.recipe.table import Table

NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false"}
MEANT = {"gpu": "cuda"}  # which is nearer to "cpu" by its letters
BOUNDS = {"ge": "{} or more", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
# Of keys without a default, where the least that they take would be a poor example.
EXAMPLES: dict[str, Any] = {
    "epochs": 20,
    "batch_size": 64,
    "learning_rate": 0.001,
    "head_learning_rate": 0.002,
    "weight_decay": 0.05,
    "size": 224,
    "colour": 0.2,
    "rotate": 10,
    "scale": 0.1,
    "target_recall": 0.99,
    "max_bytes": 1_000_000_000,
    "max_build_seconds": 600,
    "efSearch": 64,
    "nprobe": 16,
    "mean": [0.5],
    "std": [0.5],
    "backbone": "torchvision:resnet50",
    "weights": "default",
    "factory": "IVF256,Flat",
    "columns": {"path": "file", "label": "class"},
}


def wanted(field: FieldInfo) -> str:
    """Return `takes` with its article, for a sentence: "a whole number, 1 or more"."""
    words = takes(field)
    return f"a {words}" if words.startswith(("whole", "number", "list", "table")) else words


def near_value(table: str, key: str, field: FieldInfo, seen: Any) -> tuple[str, tuple[str, str] | None]:
    """Return the words for a value that is near to one of those that a key takes, and the pair of what was `--set`."""
    kinds = get_args(field.annotation) if get_origin(field.annotation) is not Literal else (field.annotation,)
    legal = [one for kind in kinds if get_origin(kind) is Literal for one in get_args(kind) if isinstance(one, str)]
    if not isinstance(seen, str) or not legal:
        return "", None
    said, pair = near_words(seen, MEANT.get(seen.lower()) or nearest(seen.lower(), legal))
    return said, pair and (f"{table}.{key}={pair[0]}", f"{table}.{key}={pair[1]}")


def example(table: str, key: str, field: FieldInfo) -> str | None:
    """Return a `--set` for a shell that a key takes; None without one."""
    default = field.get_default(call_default_factory=True)
    value = EXAMPLES.get(key) if field.is_required() or default is None else default
    if value is None:
        kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None)]
        literals = [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
        least = [value for one in field.metadata if (value := getattr(one, "ge", None)) is not None]
        value = next(iter([*literals, *([True] if bool in kinds else []), *least]), None)
    if value is None or isinstance(value, Table) or (isinstance(value, dict | list) and not value):
        return None
    shown = value if isinstance(value, str) else toml(value)
    return f"--set {shlex.quote(f'{table}.{key}={shown}')}"


def toml(value: Any) -> str:
    """Return a value as TOML has it, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def takes(field: FieldInfo) -> str:
    """Return what a key takes, in words: "whole number, 1 or more"."""
    limits = {
        kind: value for one in field.metadata for kind in BOUNDS if (value := getattr(one, kind, None)) is not None
    }
    words = [text.format(limits[kind]) for kind, text in BOUNDS.items() if kind in limits]
    if {"ge", "le"} <= limits.keys():
        words = [f"{limits['ge']} to {limits['le']}"]
    return ", ".join([_type(field.annotation), *words])


def _type(kind: Any) -> str:
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(map(toml, inside))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in inside if one is not type(None)))
    if origin is list:
        return f"list of {_type(inside[0])}"
    if origin is dict or kind is dict or (isinstance(kind, type) and issubclass(kind, Table)):
        return "table"
    return NAMES[kind]


def line_of(where: str, table: str, key: str) -> str:
    """Return ", line N" for the line that a key, or a table, has in a file; "" where it is not found in one."""
    try:
        lines = Path(os.path.expanduser(where)).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    within, heading = "", re.compile(r"\s*\[([^\[\]]+)\]")
    for number, line in enumerate(lines, 1):
        if found := heading.match(line):
            within = found[1].strip()
            if not key and within == table:
                return f", line {number}"
        elif key and within == table and line.partition("=")[0].strip().strip("\"'") == key:
            return f", line {number}"
    return ""
