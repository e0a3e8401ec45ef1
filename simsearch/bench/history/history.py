"""The history of nights: one SQLite file that is only ever added to, and that anyone may read.

Tables: nights, cells, figures, per_query and, where there are any, per_image (their values are in blobs), findings,
ends (the verdict of a night), accepts, and seals (of every row, which is held against it when a history is opened). A
night without a row in `ends` was killed, and is continued.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from simsearch.bench.history import tables
from simsearch.bench.history.seals import check_seals, seal_rows
from simsearch.bench.history.tables import finding_row, night_of, readable, result_of
from simsearch.bench.records import Night, Result, Verdict
from simsearch.durable import make_folder
from simsearch.errors import ArtifactError, disk_error

BUSY_SECONDS = 10.0
_VALUES = "SELECT name, data FROM {} JOIN blobs USING (digest)"


class History:
    """An open history. Every write is one transaction, and changes nothing that was written before."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open, or make, the history in `path`.

        Raises ArtifactError when it is damaged, of another kind or version, locked, or cannot be written.
        """
        self.path = path
        if not create and not path.is_file():
            raise ArtifactError(f"no history {path}", hint="simsearch bench measures a night and begins one")
        if path.is_dir():
            raise ArtifactError(f"the history {path} is a folder", hint="--history takes a file")
        make_folder(path.parent)
        self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            with self._told():
                self._prepare()
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> History:
        return self

    def __exit__(self, *raised: object) -> None:
        self._database.close()

    @property
    def identity(self) -> str:
        """Return what tells this history from others, for the name of its scratch area."""
        with readable(self.path, "its identity"):
            known = str(self._rows("SELECT value FROM meta WHERE key = 'identity'")[0][0])
            if not tables.IDENTITY.fullmatch(known):  # it names a folder
                raise ValueError(f"seen {known!r}")
            return known

    def begin(self, night: Night) -> Night:
        """Record that a night began; return it with the number that it gets."""
        with self._writing() as database:
            known = (night.started, night.commit, night.code, night.matrix, night.machine, night.fingerprint)
            number = _insert(database, "nights", None, *known, json.dumps(dict(night.versions)), "")
        return replace(night, number=number)

    def record(self, night: int, result: Result) -> None:
        """Keep the result of a cell."""
        cell = result.cell
        names = json.dumps(result.queries).encode()
        with self._writing() as database:
            digest = _keep(database, names) if result.queries else None
            _insert(
                database, "cells", night, cell.name, cell.recipe, cell.seed, cell.factory, json.dumps(cell.search),
                cell.argument, json.dumps(cell.settings), json.dumps(cell.slot), result.status, result.stage,
                result.error, int(result.broken), json.dumps(result.digests), json.dumps(result.seconds), digest,
            )  # fmt: skip
            for figure in result.figures:
                _insert(database, "figures", night, cell.name, *asdict(figure).values())
            for name, values in result.per_query.items():
                kept = _keep(database, np.asarray(values, dtype="<f8").tobytes())
                _insert(database, "per_query", night, cell.name, name, kept)
            if result.tried:
                tables.create_later(database)
                columns = {name: np.asarray(values, dtype="<f8").tobytes() for name, values in result.per_image.items()}
                for name, data in {tables.NAMES: json.dumps(result.tried).encode(), **columns}.items():
                    _insert(database, "per_image", night, cell.name, name, _keep(database, data))

    def end(
        self, night: int, when: str, verdict: Verdict | None, notes: Sequence[str] = (), *, accepted: str | None = None
    ) -> None:
        """Record that a night ended, with its verdict (None: it was abandoned) and what the gate found.

        `accepted`: the reason, if the night is accepted at once.
        """
        with self._writing() as database:
            if verdict is not None:
                for finding in verdict.findings:
                    _insert(database, "findings", night, *finding_row(finding))
                notes = [*verdict.notes, *notes]
            outcome = "abandoned" if verdict is None else verdict.outcome
            _insert(database, "ends", night, when, outcome, json.dumps(list(notes)))
            if accepted is not None:
                _insert(database, "accepts", None, night, when, accepted)

    def accept(self, night: int, when: str, reason: str) -> None:
        """Make a night the one that later nights are held against."""
        with self._writing() as database:
            _insert(database, "accepts", None, night, when, reason)

    def accepts(self) -> list[tuple[int, str, str]]:
        """Return (night, when, reason) of every acceptance, the newest last."""
        rows = self._rows("SELECT night, at, reason FROM accepts ORDER BY accept")
        return [(int(night), str(at), str(reason)) for night, at, reason in rows]

    def accepted(self) -> Night | None:
        """Return the night that was accepted last, if any."""
        known = self.accepts()
        return next((night for night in self.nights() if known and night.number == known[-1][0]), None)

    def nights(self) -> list[Night]:
        """Return all nights, in the order in which they were begun, also where the clock went back."""
        sql = (
            "SELECT nights.night AS number, started, commit_id AS 'commit', code, matrix, machine, fingerprint, "
            "versions, finished, verdict, notes FROM nights LEFT JOIN ends USING (night) ORDER BY number"
        )
        with readable(self.path, "the table of nights"):
            return [night_of(row) for row in self._rows(sql)]

    def unfinished(self) -> Night | None:
        """Return the night that was begun last and has no end: it was killed."""
        return next((night for night in reversed(self.nights()) if night.verdict is None), None)

    def cell_names(self, night: int) -> set[str]:
        """Return which cells of a night have a result."""
        return {str(name) for (name,) in self._rows("SELECT cell FROM cells WHERE night = ?", night)}

    def results(self, night: int, *, per_query: bool = True) -> list[Result]:
        """Return the results of a night, in the order in which they were measured."""
        found = []
        for row in self._rows("SELECT * FROM cells WHERE night = ? ORDER BY rowid", night):
            name, digest = row["cell"], row["queries"]
            of_it = "WHERE night = ? AND cell = ?"
            figures = self._rows(
                f"SELECT metric, k, scope, value, low, high, n FROM figures {of_it} ORDER BY rowid", night, name
            )
            packed, values, images = None, [], []
            with readable(self.path, f"night {night}, cell {name}"):
                if per_query and digest is not None:
                    packed = self._rows("SELECT data FROM blobs WHERE digest = ?", digest)[0][0]
                    values = self._rows(f"{_VALUES.format('per_query')} {of_it}", night, name)
                if per_query and self._rows("SELECT name FROM sqlite_master WHERE name = 'per_image'"):
                    images = self._rows(f"{_VALUES.format('per_image')} {of_it}", night, name)
                found.append(result_of(row, figures, packed, values, images))
        return found

    def _rows(self, sql: str, *arguments: Any) -> list[Any]:
        with self._told():
            return self._database.execute(sql, arguments).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                seal_rows(self._database)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what SQLite cannot do into one line."""
        try:
            yield
        except sqlite3.Error as error:
            full = disk_error(error, self.path)
            if full is not None:
                raise full from error
            raise ArtifactError(f"the history {self.path}: {error}", hint=tables.advice(str(error))) from error

    def _prepare(self) -> None:
        database = self._database
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA foreign_keys = ON")
        # FULL leaves the journal's removal to the file system: after a power cut its return undoes what was committed.
        database.execute("PRAGMA synchronous = EXTRA")
        if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            with self._writing():
                tables.create(database)
        kind = database.execute("PRAGMA application_id").fetchone()[0]
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if kind != tables.APPLICATION:
            raise ArtifactError(
                f"{self.path} is an SQLite file, but not a history of simsearch",
                hint="--history takes the file that simsearch bench made, or a new name",
            )
        if version != tables.SCHEMA:
            raise ArtifactError(
                f"the history {self.path} has version {version}, this simsearch writes version {tables.SCHEMA}",
                hint="use the simsearch that made it, or --history with a new file",
            )
        verdict = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"damaged: {' '.join(str(verdict).split())}")
        check_seals(database)


def _insert(database: sqlite3.Connection, table: str, *values: Any) -> int:
    """Return the number of the row that is added; None stands for a number that the table counts up."""
    row = database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values).lastrowid
    return int(row or 0)


def _keep(database: sqlite3.Connection, data: bytes) -> str:
    """Return the digest of data that are kept once: a night without a change has the values of the night before."""
    digest = hashlib.sha256(data).hexdigest()
    database.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (digest, zlib.compress(data)))
    return digest
