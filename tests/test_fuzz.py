"""Fuzzing of what is parsed, some seconds of it; the product broken on purpose, and the table of docs/trust.md."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from campaign.fuzz.broken import BROKEN
from campaign.fuzz.fuzz_counts import FILE, FuzzCounts
from campaign.fuzz.mutating import changed, value
from campaign.fuzz.parser import Input, Wrong
from campaign.fuzz.parsers import PARSERS
from campaign.fuzz.working import drawn, once

from simsearch.errors import VectorsError

TESTS = Path(__file__).parent
TRUST = TESTS.parent / "docs" / "trust.md"
QUICK = ("JPEG", "PNG", "TIFF", "npy", "fvecs", "HDF5", "CSV", "labels", "recipes", "packs", "history")


def fuzz(*words):
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    return subprocess.run(
        [sys.executable, "-m", "campaign.fuzz", *map(str, words)],
        cwd=TESTS, env=environment, capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip


@pytest.mark.slow
def test_some_seconds_find_nothing(tmp_path):
    done = fuzz("--inputs", 150, "--seed", 1, "--parser", *QUICK, "--counts", tmp_path / "counts.json")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    counted = FuzzCounts.read(tmp_path / "counts.json")
    assert counted.parsers.keys() == set(QUICK)
    assert counted.total() == 150 * len(QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hdf5-narrowed", "member-unchecked"])
def test_what_is_broken_on_purpose_is_found(tmp_path, name):
    done = fuzz("--seed", 1, "--counts", tmp_path / "counts.json", "--mutants", name)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert FuzzCounts.read(tmp_path / "counts.json").mutants.keys() == {name}


def test_the_published_table_is_what_was_counted():
    counted = FuzzCounts.read(FILE)
    page = TRUST.read_text()
    assert [line for line in counted.table() if line not in page] == []
    assert counted.parsers.keys() == {parser.name for parser in PARSERS}
    assert counted.total() >= 60_000
    assert counted.mutants.keys() == BROKEN.keys()


def test_counts_add_up(tmp_path):
    for letter in "rx":
        counts = FuzzCounts.read(tmp_path / "counts.json")
        counts.add("PNG", letter)
        counts.write(tmp_path / "counts.json")
    counts.add("home-JSON", "s")
    assert counts.table() == [
        "| PNG | 2 | 1 | 0 | 0 | 1 |",
        "| home JSON | 1 | 0 | 1 | 0 | 0 |",
        "| together | 3 | 1 | 1 | 0 | 1 |",
    ]


def test_an_input_is_made_again_from_its_name(tmp_path):
    parser = next(one for one in PARSERS if one.name == "fvecs")
    parser.make(tmp_path)
    readers = [parser.open(tmp_path) for _ in range(2)]
    assert [drawn(readers[0], "fvecs", "7", number) for number in range(50)] == [
        drawn(readers[1], "fvecs", "7", number) for number in range(50)
    ]


def test_every_change_changes():
    for number in range(500):
        data = changed(random.Random(number), b"some bytes", [b"of another"])
        assert data == changed(random.Random(number), b"some bytes", [b"of another"]) != b"some bytes"
        json.dumps(value(random.Random(number), {"a": [1, "x", None], "b": {"c": 0.5}}))


class Answers:
    """A reader whose answer is what it is given to do."""

    def read(self, given):
        if isinstance(given.data, Exception):
            raise given.data
        return given.data


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        (True, "s"),
        (False, "v"),
        (VectorsError("no vectors"), "r"),
        (VectorsError("x" * 20_000), "x"),
        (Wrong("rows of zeros"), "x"),
        (TypeError("no str"), "x"),
        (MemoryError(), "x"),
    ],
)
def test_what_is_a_find(answer, letter):
    assert once(Answers(), Input("", answer))[0] == letter
