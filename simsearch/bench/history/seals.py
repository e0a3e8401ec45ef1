"""A seal for each row of a history: SQLite looks after its pages, and not after the bits of what they hold."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from simsearch.bench.history.tables import only_added_to

SEALS = "seals"
_TABLE = f"CREATE TABLE IF NOT EXISTS {SEALS} (of TEXT NOT NULL, row INTEGER NOT NULL, seal TEXT NOT NULL, "
_TABLE += "PRIMARY KEY (of, row))"


def seal_rows(database: sqlite3.Connection) -> None:
    """Seal the rows of all tables that came after the last sealed one, within a transaction that the caller began.

    Rows are only ever added, so those that an older simsearch wrote are sealed with the next that are.
    """
    database.execute(_TABLE)
    only_added_to(database, SEALS)
    for table in _tables(database):
        last = database.execute(f"SELECT max(row) FROM {SEALS} WHERE of = ?", (table,)).fetchone()[0] or 0
        rows = database.execute(f"SELECT rowid, * FROM {table} WHERE rowid > ?", (last,)).fetchall()
        seals = ((table, row[0], _seal(table, row)) for row in rows)
        database.executemany(f"INSERT INTO {SEALS} VALUES (?, ?, ?)", seals)


def check_seals(database: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError for a row that is not what was sealed; one without a seal is believed."""
    known = set(_tables(database))
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (SEALS,)).fetchone():
        return
    for (table,) in database.execute(f"SELECT DISTINCT of FROM {SEALS}").fetchall():
        if table not in known:
            raise sqlite3.DatabaseError(f"damaged: a seal of no table, {table!r}")
        rows = database.execute(
            f"SELECT s.row, s.seal, t.rowid, t.* FROM {SEALS} s LEFT JOIN {table} t ON t.rowid = s.row WHERE s.of = ?",
            (table,),
        )
        for number, seal, *row in rows:
            if seal != _seal(table, row):
                raise sqlite3.DatabaseError(f"damaged: row {number} of {table} is not what was written")


def _tables(database: sqlite3.Connection) -> list[str]:
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return sorted(str(name) for (name,) in found if name != SEALS)


def _seal(table: str, row: Sequence[Any]) -> str:
    """Return the SHA-256 over a table's name and the values of a row, its number first."""
    values = [hashlib.sha256(value).digest() if isinstance(value, bytes) else value for value in row]
    return hashlib.sha256(repr([table, *values]).encode()).hexdigest()
