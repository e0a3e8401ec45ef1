"""No flipped bit of a history passes for a figure, and a history without seals opens and gets them."""

from __future__ import annotations

import random
import sqlite3
import tarfile

import pytest
from old_home.make import ARCHIVE
from test_bench_history import filled, table

from simsearch.bench.history.history import History
from simsearch.errors import ArtifactError

FLIPS = 300
KEPT = ("meta", "nights", "cells", "blobs", "figures", "per_query", "findings", "ends", "accepts")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.sqlite"


def everything(path):
    """All that a history holds, as its readers see it."""
    with History(path, create=False) as history:
        nights = history.nights()
        return repr([nights, history.accepts(), [history.results(night.number) for night in nights]])


def test_a_flipped_bit_is_told_or_changes_nothing(path):
    filled(path)
    whole, was, told, chosen = path.read_bytes(), everything(path), 0, random.Random(0)
    for _ in range(FLIPS):
        data = bytearray(whole)
        data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        path.write_bytes(data)
        try:
            assert everything(path) == was
        except ArtifactError:
            told += 1
    assert told > FLIPS // 20  # most of a page of a small table is empty


@pytest.mark.parametrize("text", ["the first", "digits", "2026-11-25T02:10:00", "recall", "regression"])
def test_a_letter_of_any_row_is_told(path, text):
    filled(path)
    path.write_bytes(path.read_bytes().replace(text.encode(), bytes([text.encode()[0] ^ 1]) + text[1:].encode()))
    with pytest.raises(ArtifactError, match=r"damaged|malformed"):
        History(path)


def test_a_changed_figure_is_told(path):
    filled(path)
    with sqlite3.connect(path) as database:
        database.execute("DROP TRIGGER figures_update")
        database.execute("UPDATE figures SET value = 0.91 WHERE value = 0.9")
    with pytest.raises(ArtifactError, match="row 1 of figures is not what was written"):
        History(path)


def test_a_row_that_is_gone_is_told(path):
    filled(path)
    with sqlite3.connect(path) as database:
        database.execute("DROP TRIGGER accepts_delete")
        database.execute("DELETE FROM accepts")
    with pytest.raises(ArtifactError, match="row 1 of accepts"):
        History(path)


def test_an_old_history_opens_and_is_sealed_with_the_next_row(path):
    with tarfile.open(ARCHIVE) as archive:
        path.write_bytes(archive.extractfile("home/bench/history.sqlite").read())
    before = everything(path)
    with History(path) as history:
        assert not history._rows("SELECT name FROM sqlite_master WHERE name = 'seals'")
        (number, *_), *_ = history.accepts()
        history.accept(number, "2026-11-30T00:00:00+00:00", "again")
    assert len(table(path, "seals")) == sum(len(table(path, name)) for name in KEPT)
    assert everything(path) != before
    with sqlite3.connect(path) as database:
        database.execute("DROP TRIGGER figures_update")
        database.execute("UPDATE figures SET n = n + 1 WHERE rowid = 1")
    with pytest.raises(ArtifactError, match="row 1 of figures"):
        History(path)
