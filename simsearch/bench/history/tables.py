"""The tables of a history, how they are kept from being changed, and their rows turned back into what they are of.

What is read is checked: a flipped byte must not pass for a figure.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import sqlite3
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np

from simsearch.arrays import Numbers
from simsearch.bench.records import Cell, Finding, Night, NightFigure, Result, Status
from simsearch.errors import ArtifactError

APPLICATION = 0x53494D53  # "SIMS"
SCHEMA = 1
IDENTITY = re.compile("[0-9a-f]{12}")
DAMAGED = "move it away, or restore it from a copy; simsearch bench then begins or continues a history"

STATEMENTS = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE nights (
    night INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL, commit_id TEXT, code TEXT NOT NULL,
    matrix TEXT NOT NULL, machine TEXT NOT NULL, fingerprint TEXT NOT NULL, versions TEXT NOT NULL, folder TEXT NOT NULL
);
CREATE TABLE cells (
    night INTEGER NOT NULL REFERENCES nights, cell TEXT NOT NULL, recipe TEXT NOT NULL, seed INTEGER NOT NULL,
    factory TEXT NOT NULL, search TEXT NOT NULL, argument TEXT NOT NULL, settings TEXT NOT NULL, slot TEXT NOT NULL,
    status TEXT NOT NULL, stage TEXT, error TEXT, broken INTEGER NOT NULL, digests TEXT NOT NULL, seconds TEXT NOT NULL,
    queries TEXT, PRIMARY KEY (night, cell)
);
CREATE TABLE blobs (digest TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE figures (
    night INTEGER NOT NULL REFERENCES nights, cell TEXT NOT NULL, metric TEXT NOT NULL, k INTEGER, scope TEXT NOT NULL,
    value REAL NOT NULL, low REAL, high REAL, n INTEGER
);
CREATE INDEX figures_of_a_cell ON figures (night, cell);
CREATE TABLE per_query (
    night INTEGER NOT NULL REFERENCES nights, cell TEXT NOT NULL, name TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES blobs,
    PRIMARY KEY (night, cell, name)
);
CREATE TABLE findings (
    night INTEGER NOT NULL REFERENCES nights, cell TEXT NOT NULL, metric TEXT NOT NULL, k INTEGER, scope TEXT NOT NULL,
    before REAL NOT NULL, after REAL NOT NULL, difference REAL NOT NULL, low REAL, high REAL, p_value REAL, p_holm REAL,
    n INTEGER, worse INTEGER NOT NULL, better INTEGER NOT NULL, stage TEXT, why TEXT
);
CREATE TABLE ends (
    night INTEGER PRIMARY KEY REFERENCES nights, finished TEXT NOT NULL, verdict TEXT NOT NULL, notes TEXT NOT NULL
);
CREATE TABLE accepts (
    accept INTEGER PRIMARY KEY AUTOINCREMENT, night INTEGER NOT NULL REFERENCES nights, at TEXT NOT NULL,
    reason TEXT NOT NULL
);
"""
LATER = """
CREATE TABLE IF NOT EXISTS per_image (
    night INTEGER NOT NULL REFERENCES nights, cell TEXT NOT NULL, name TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES blobs,
    PRIMARY KEY (night, cell, name)
)
"""
"""A table that a history gets with its first values of single images, which not every recipe has."""
NAMES = "names"  # the row of per_image that holds the names of the images, as JSON
TABLES = ("meta", "nights", "cells", "blobs", "figures", "per_query", "findings", "ends", "accepts")

Packed = Sequence[tuple[str, bytes]]  # names of values, and the values


def create(database: sqlite3.Connection) -> None:
    """Make the tables within a transaction that the caller began, unless another process was first."""
    if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            database.execute(statement)
    for table in TABLES:
        only_added_to(database, table)
    database.execute("INSERT INTO meta VALUES ('identity', ?)", (uuid.uuid4().hex[:12],))
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(f"PRAGMA user_version = {SCHEMA}")


def create_later(database: sqlite3.Connection) -> None:
    """Make the table of single images within a transaction that the caller began, unless it is there."""
    database.execute(LATER)
    only_added_to(database, "per_image")


def only_added_to(database: sqlite3.Connection, table: str) -> None:
    """Let nothing be changed in a table, or taken from it."""
    for change in ("UPDATE", "DELETE"):
        database.execute(
            f"CREATE TRIGGER IF NOT EXISTS {table}_{change.lower()} BEFORE {change} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'the history is only ever added to'); END"
        )


def advice(message: str) -> str:
    """Return what to do about an error of SQLite."""
    if "locked" in message or "busy" in message:
        return "another program holds it: close that, and run the same command again; what was measured is kept"
    if "full" in message or "I/O" in message:
        return "free some space, and run the same command again; what was recorded is kept"
    if "readonly" in message or "unable to open" in message:
        return "check that the file and its folder may be written"
    return DAMAGED


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


def result_of(row: Any, figures: Sequence[Any], packed: bytes | None, values: Packed, images: Packed) -> Result:
    """Return the result of a cell, of its rows in cells, figures, queries, per_query and per_image."""
    names = [] if packed is None else json.loads(zlib.decompress(packed))
    tried: list[str] = next((json.loads(zlib.decompress(data)) for key, data in images if key == NAMES), [])
    per_query = _columns(values, len(names), "queries")
    per_image = _columns([one for one in images if one[0] != NAMES], len(tried), "images")
    digests = {str(stage): dict(reference) for stage, reference in json.loads(row["digests"]).items()}
    seconds = {str(stage): float(taken) for stage, taken in json.loads(row["seconds"]).items()}
    if row["status"] not in get_args(Status) or not seconds.keys() <= digests.keys():
        raise ValueError(f"status {row['status']!r} with digests of {sorted(digests)}")
    return Result(
        cell=_cell(row), status=row["status"], stage=row["stage"], error=row["error"], broken=bool(row["broken"]),
        digests=digests, seconds=seconds, figures=tuple(_figure(figure) for figure in figures), queries=tuple(names),
        per_query=per_query, tried=tuple(tried), per_image=per_image,
    )  # fmt: skip


def _columns(values: Packed, count: int, what: str) -> dict[str, Numbers]:
    found = {str(key): np.frombuffer(zlib.decompress(data), dtype="<f8") for key, data in values}
    if any(len(column) != count for column in found.values()):
        raise ValueError(f"not a value for each of {count:,} {what}")
    return found


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
