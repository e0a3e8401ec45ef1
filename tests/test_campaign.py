"""The fault campaign, a minute of it; its mutants, and the table that docs/trust.md publishes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from campaign.counts import FILE, Counts
from campaign.mutants import MUTANTS
from campaign.trials import Trial

TESTS = Path(__file__).parent
TRUST = TESTS.parent / "docs" / "trust.md"


def campaign(*words):
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    return subprocess.run(
        [sys.executable, "-m", "campaign", *map(str, words)],
        cwd=TESTS, env=environment, capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip


@pytest.mark.slow
def test_a_short_campaign_loses_nothing(tmp_path):
    seed = random.randrange(10**6)
    done = campaign("--minutes", 1, "--seed", seed, "--counts", tmp_path / "counts.json")
    assert done.returncode == 0, f"seed {seed}\n{done.stdout}\n{done.stderr}"
    counted = Counts.read(tmp_path / "counts.json")
    assert counted.runs[0]["trials"] > 10
    assert len(counted.faults) > 5 or counted.runs[0]["skipped"]


@pytest.mark.slow
def test_what_is_broken_on_purpose_is_found(tmp_path):
    counts = tmp_path / "counts.json"
    done = campaign("--counts", counts, "--mutants", "hash-too-early")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert Counts.read(counts).mutants.keys() == {"hash-too-early"}


def test_the_published_table_is_what_was_counted():
    counted = Counts.read(FILE)
    page = TRUST.read_text()
    assert [line for line in counted.table() if line not in page] == []
    assert counted.mutants.keys() == MUTANTS.keys()


def test_counts_add_up(tmp_path):
    path = tmp_path / "counts.json"
    for _ in range(2):
        counts = Counts.read(path)
        counts.add("cut", "sync", met=True, red=False)
        counts.add("cut", "build", met=False, red=True)
        counts.write(path)
    assert json.loads(path.read_text())["faults"] == {"cut": {"build": [2, 2, 2], "sync": [2, 0, 0]}}
    assert counts.total("cut") == [4, 2, 2]
    assert "| power cuts | 4 | 2 | 2 |" in counts.table()


def test_a_trial_is_named_and_found_again():
    for trial in (Trial("sync", "cut", 37), Trial("home/builds/photos.json:12", "flipped", 3)):
        assert Trial.parse(str(trial)) == trial
