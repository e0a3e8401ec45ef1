"""Rows of a history turned back into what they were made of, and checked: a flipped byte must not pass for a figure."""

from __future__ import annotations

import datetime as dt
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np

from simsearch.bench.history.schema import DAMAGED
from simsearch.bench.records import Cell, Finding, Night, NightFigure, Result, Status
from simsearch.errors import ArtifactError


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong in reading back `what` into an ArtifactError."""
    try:
        yield
    except (zlib.error, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"the history {path}: damaged: {what} cannot be read: {error}", hint=DAMAGED) from error


def night_of(row: Any) -> Night:
    """Return a night, of its row under the names of a Night's fields."""
    dt.datetime.fromisoformat(row["started"])
    notes = tuple(json.loads(row["notes"] or "[]"))
    return Night(**{**row, "versions": dict(json.loads(row["versions"])), "notes": notes})


def result_of(row: Any, figures: Sequence[Any], packed: bytes | None, values: Sequence[tuple[str, bytes]]) -> Result:
    """Return the result of a cell, of its rows in cells, figures, queries and per_query."""
    names = [] if packed is None else json.loads(zlib.decompress(packed))
    per_query = {str(key): np.frombuffer(zlib.decompress(data), dtype="<f8") for key, data in values}
    digests = {str(stage): dict(reference) for stage, reference in json.loads(row["digests"]).items()}
    seconds = {str(stage): float(taken) for stage, taken in json.loads(row["seconds"]).items()}
    if row["status"] not in get_args(Status) or not seconds.keys() <= digests.keys():
        raise ValueError(f"status {row['status']!r} with digests of {sorted(digests)}")
    if any(len(column) != len(names) for column in per_query.values()):
        raise ValueError(f"not a value for each of {len(names):,} queries")
    return Result(
        cell=_cell(row), status=row["status"], stage=row["stage"], error=row["error"], broken=bool(row["broken"]),
        digests=digests, seconds=seconds, figures=tuple(_figure(figure) for figure in figures), queries=tuple(names),
        per_query=per_query,
    )  # fmt: skip


def finding_row(found: Finding) -> tuple[Any, ...]:
    """Return the row of a finding, without its night."""
    low, high = found.interval or (None, None)
    cause = found.cause
    return (
        *(found.cell, found.metric, found.k, found.scope, found.before, found.after, found.difference, low, high),
        *(found.p_value, found.p_holm, found.n, int(found.worse), int(found.better)),
        *((None, None) if cause is None else (cause.stage, cause.why)),
    )


def _figure(row: Any) -> NightFigure:
    figure = NightFigure(*row)
    if not math.isfinite(figure.value):
        raise ValueError(f"{figure.metric} is {figure.value!r}")
    return figure


def _cell(row: Mapping[str, Any]) -> Cell:
    at, place = json.loads(row["slot"])
    return Cell(
        recipe=row["recipe"], seed=row["seed"], factory=row["factory"],
        search=tuple((str(key), int(value)) for key, value in json.loads(row["search"])),
        argument=row["argument"], settings=tuple(json.loads(row["settings"])), slot=(at, place),
    )  # fmt: skip
