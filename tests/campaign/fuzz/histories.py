"""Histories of nights: bytes of the SQLite file, and values of its rows, which no digest is over."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np

from campaign.fuzz.files import Files
from campaign.fuzz.mutating import VALUES, changed
from campaign.fuzz.parser import Input, Parser

TABLES = ("meta", "nights", "cells", "blobs", "figures", "per_query", "per_image", "findings", "ends", "accepts")


def make(folder: Path) -> None:
    """Write a history of two nights."""
    from simsearch.bench.history.history import History
    from simsearch.bench.records import Cause, Cell, Finding, Night, NightFigure, Result, Verdict

    cell = Cell("digits", 0, "IVF16,Flat", (("nprobe", 4),), "digits", ("training.seed=0",), (1, 0))
    night = Night(
        0, "2026-11-25T02:00:00+00:00", "abc", "code", "matrix", "a machine", "f1", {"torch": "2.15", "x": None}
    )
    found = Finding(
        cell.name,
        "recall",
        1,
        "all",
        0.9,
        0.8,
        -0.1,
        (-0.2, -0.05),
        0.001,
        0.002,
        3,
        True,
        False,
        Cause("index", "why"),
    )
    result = Result(
        cell, "measured", digests={"train": {"digest": "d", "content": "c"}}, seconds={"train": 3.5},
        figures=(NightFigure("recall", 1, "all", 0.9, 0.8, 1.0, 3), NightFigure("bytes", None, "all", 10.0)),
        queries=("a.png", "b.png", "ü.png"), per_query={"recall@1": np.array([1.0, 0.0, np.nan])},
        tried=("a.png", "b.png"), per_image={"score": np.array([0.1, 0.2])},
    )  # fmt: skip
    identity = mock.patch.object(uuid, "uuid4", return_value=uuid.UUID(int=7 << 100))
    with identity, History(folder / "history.sqlite") as history:
        for _ in range(2):
            number = history.begin(night).number
            history.record(number, result)
            verdict = Verdict("regression", (found,), (), (), (), (), ("a note",))
            history.end(number, "2026-11-25T02:10:00+00:00", verdict, accepted="the first")


class Histories(Files):
    """Reads all nights as the job does, and exports them."""

    def changed(self, chosen: Random) -> Input:
        name = next(iter(self.files))
        data = self.files[name]
        if chosen.random() < 0.4:
            return Input(name, changed(chosen, data))
        with sqlite3.connect(":memory:") as database:
            database.deserialize(data)
            for _ in range(1 + (chosen.random() < 0.2)):
                _change_a_row(chosen, database)
            return Input(name, database.serialize())

    def answer(self, path: Path) -> Any:
        from simsearch.bench.history.history import History
        from simsearch.bench.written import export

        with History(path, create=False) as history:
            nights = history.nights()
            found: list[Any] = [nights, history.accepts(), history.accepted(), history.unfinished(), history.identity]
            for night in nights:
                found.append(sorted(history.cell_names(night.number)))
                for result in history.results(night.number):
                    found += [result.cell.name, result.figures, result.queries, result.tried]
                    for values in (result.per_query, result.per_image):
                        found += [(name, column.tobytes()) for name, column in values.items()]
            for end in (".csv", ".jsonl"):
                found.append(export(history, path.with_suffix(end)))
            return found


def _change_a_row(chosen: Random, database: sqlite3.Connection) -> None:
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {name}")
    table = chosen.choice(TABLES)
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    column = chosen.choice(columns)
    rows = database.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
    if not rows:
        return
    row, old = chosen.choice(rows)
    new: Any = chosen.choice(VALUES)
    if isinstance(new, list | dict):
        new = str(new)
    if isinstance(new, int) and not -(2**63) <= new < 2**63:
        new = float(new)
    if isinstance(old, str | bytes) and chosen.random() < 0.5:
        raw = old.encode() if isinstance(old, str) else old
        new = changed(chosen, raw)
        new = new.decode("utf-8", "replace") if isinstance(old, str) else new
    if isinstance(new, str):
        new = new.encode("utf-8", "replace").decode()
    try:
        database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row))
    except sqlite3.Error:  # a column that takes no such value
        database.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))


PARSERS = (Parser("history", make, Histories),)
