"""The tables of a history, and how they are kept from being changed."""

from __future__ import annotations

import re
import sqlite3
import uuid

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
TABLES = ("meta", "nights", "cells", "blobs", "figures", "per_query", "findings", "ends", "accepts")


def create(database: sqlite3.Connection) -> None:
    """Make the tables within a transaction that the caller began, unless another process was first."""
    if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return
    for statement in STATEMENTS.split(";"):
        if statement.strip():
            database.execute(statement)
    for table in TABLES:
        for change in ("UPDATE", "DELETE"):
            database.execute(
                f"CREATE TRIGGER {table}_{change.lower()} BEFORE {change} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'the history is only ever added to'); END"
            )
    database.execute("INSERT INTO meta VALUES ('identity', ?)", (uuid.uuid4().hex[:12],))
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(f"PRAGMA user_version = {SCHEMA}")


def advice(message: str) -> str:
    """Return what to do about an error of SQLite."""
    if "locked" in message or "busy" in message:
        return "another program holds it: close that, and run the same command again; what was measured is kept"
    if "full" in message or "I/O" in message:
        return "free some space, and run the same command again; what was recorded is kept"
    if "readonly" in message or "unable to open" in message:
        return "check that the file and its folder may be written"
    return DAMAGED
