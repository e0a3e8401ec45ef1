"""Large sets of queries are measured by a sample of them, which what comes and goes changes little."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from commands import run_cli
from conftest import SMALL, write_folder
from hypothesis import given
from hypothesis import strategies as st

from simsearch.stages import evaluate
from simsearch.stages.asked import MOST_QUERIES, measured_queries


def digests_of(pictures):
    return b"".join(hashlib.sha256(str(picture).encode()).digest() for picture in pictures)


@given(st.data())
def test_the_sample_is_that_of_the_smallest_digests(data):
    pictures = data.draw(st.lists(st.integers(0, 30), min_size=1, max_size=60))  # equal pictures among them
    rows = sorted(data.draw(st.sets(st.integers(0, len(pictures) - 1))))
    most = data.draw(st.integers(1, 20))
    digests = digests_of(pictures)
    slow = sorted(sorted(rows, key=lambda row: (digests[32 * row : 32 * row + 32], row))[:most])
    assert measured_queries(rows, digests, most) == slow


def test_all_are_asked_up_to_the_limit():
    rows = list(range(0, 2 * MOST_QUERIES, 2))
    assert measured_queries(rows, bytes(64 * MOST_QUERIES)) == rows


def test_a_corpus_that_grows_exchanges_few():
    pictures = np.random.default_rng(0).permutation(4_000).tolist()
    before = {pictures[row] for row in measured_queries(range(3_000), digests_of(pictures[:3_000]), 300)}
    after = {pictures[row] for row in measured_queries(range(4_000), digests_of(pictures), 300)}
    # A third more rows takes the places of a quarter of the sample, in the mean; nobody else leaves.
    assert len(after) == 300
    assert 45 <= len(before - after) <= 105
    assert after - before <= set(pictures[3_000:])


def test_a_build_says_that_it_asked_a_sample(tmp_path, monkeypatch):
    folder, home = write_folder(tmp_path / "photos"), tmp_path / "home"

    def build(name):
        done = run_cli("build", folder, *SMALL, "--name", name, "--home", home, "--json", check=0)
        stages = json.loads((home / "builds" / f"{name}.json").read_bytes())["stages"]
        report = json.loads((home / "builds" / name / "report.json").read_bytes())
        return report, stages, done.stderr

    whole, stages, _ = build("whole")
    assert "queries_of" not in whole
    monkeypatch.setattr(evaluate, "MOST_QUERIES", 5)
    sampled, others, said = build("sampled")
    assert (sampled["queries"], sampled["queries_of"]) == (5, whole["queries"])
    assert f"5 of {whole['queries']} queries" in said
    assert f"5 of {whole['queries']} queries" in run_cli("evaluate", "sampled", "--home", home, check=0).stdout
    assert f"5 of {whole['queries']} queries" in (home / "builds" / "sampled" / "report.html").read_text()
    differ = {name for name in stages if stages[name] != others[name]}
    assert "evaluate" in differ
    assert not differ & {"dataset", "train", "embed", "index"}
    one = next(iter((home / "artifacts" / "evaluate").glob(f"{others['evaluate']['digest']}*")))
    with np.load(one / "queries.npz") as stored:
        assert len(stored["rows"]) == 5
