"""Neighbours that an ann-benchmarks file brings: compared with exact search when it is imported."""

from __future__ import annotations

import json
from html import unescape

import h5py
import numpy as np
import pytest
from conftest import run_cli, snapshot
from test_import import unit

from simsearch.errors import VectorsError
from simsearch.exchange.vectors_in import run_import
from simsearch.home import Home
from simsearch.integrity.repairing import repair_build
from simsearch.report.known import known_words
from simsearch.report.reading import report_of
from simsearch.vectors.formats import open_vectors
from simsearch.vectors.known import agreement

RANDOM = np.random.default_rng(5)
BASE = (RANDOM.normal(size=(300, 6)) * RANDOM.uniform(0.2, 5, size=(300, 1))).astype(np.float32)
BASE[100:110] = BASE[7]  # ten equal rows: which of them come first is nobody's fault
ASKED = np.concatenate([BASE[7:8], RANDOM.normal(size=(39, 6)).astype(np.float32)])


def by_angle(k):
    return np.argsort(-(unit(ASKED.astype("f8")) @ unit(BASE.astype("f8")).T), axis=1)[:, :k]


def by_distance(k):
    return np.argsort(((ASKED[:, None].astype("f8") - BASE) ** 2).sum(axis=2), axis=1)[:, :k]


def write(path, neighbours, distance="angular"):
    with h5py.File(path, "w") as file:
        file["train"], file["test"] = BASE, ASKED
        if neighbours is not None:
            file["neighbors"] = neighbours
        if distance:
            file.attrs["distance"] = distance
    return path


def imported(tmp_path, *given):
    home = Home(tmp_path / "home")
    return run_import(str(write(tmp_path / "x.hdf5", *given)), home, "mine", {}).report


def test_the_files_own_neighbours_are_those_of_exact_search(tmp_path):
    path, home = write(tmp_path / "x.hdf5", by_angle(20).astype("i4")), tmp_path / "home"
    done = run_cli("index", "import", path, "--name", "mine", "--home", home, "--json", check=0)
    report = json.loads(done.stdout)
    assert report["file_neighbours"] == {"k": 20, "queries": 40, "with_neighbours": 40, "of": 40,
                                         "distance": "angular", "agree": 1.0, "reason": None}  # fmt: skip
    told = "1.0000 of the file's own neighbours are those of exact search (first 20 of 40 queries)"
    assert told in done.stderr
    assert "warning" not in done.stderr
    build = Home(home).build("mine")
    assert told in unescape(build.page_path.read_text())
    assert told in " ".join(run_cli("evaluate", "--home", home, check=0).stdout.split())
    before = snapshot(home)
    assert told in run_cli("index", "import", path, "--name", "mine", "--home", home, check=0).stderr
    assert snapshot(home) == before
    index = Home(home).store.open("index", **build.record.stages["index"]).file("index.faiss")
    index.chmod(0o644)
    index.write_bytes(index.read_bytes()[:-1])
    mended, found = repair_build(build, Home(home))
    assert found.sound
    assert report_of(mended)["file_neighbours"]["agree"] == 1


def test_neighbours_by_another_distance_are_said_loudly_with_the_reason(tmp_path):
    share = np.mean([np.isin(a, b).mean() for a, b in zip(by_distance(10), by_angle(10), strict=True)])
    path = write(tmp_path / "x.hdf5", by_distance(10), "euclidean")
    command = ("index", "import", path, "--name", "mine", "--home", tmp_path / "home")
    for _ in range(2):
        said = run_cli(*command, check=0).stderr
        assert "warning: only 0." in said
        assert "made for the distance euclidean, and simsearch searches by angle" in said
    report = report_of(Home(tmp_path / "home").build("mine"))
    assert report["file_neighbours"]["agree"] == pytest.approx(share, abs=0.03)
    assert "Warning: only 0." in Home(tmp_path / "home").build("mine").page_path.read_text()


def test_rows_in_another_order_are_seen_whatever_the_file_says(tmp_path):
    report = imported(tmp_path, (by_angle(10) + 1) % 300)
    assert report["file_neighbours"]["agree"] < 0.5
    assert "another order of rows" in known_words(report)


def test_neighbours_of_some_queries_and_more_than_a_hundred(tmp_path):
    report = imported(tmp_path, by_angle(150)[:25].astype("u2"), None)
    found = report["file_neighbours"]
    assert (found["k"], found["queries"], found["with_neighbours"], found["of"]) == (100, 25, 25, 40)
    assert (found["agree"], found["distance"]) == (1.0, None)
    assert "of 40 only 25 have" in known_words(report)


@pytest.mark.parametrize(("row", "words"), [(-1, "row -1"), (300, "row 300, of 300")])
def test_rows_that_are_not_there_are_said(tmp_path, row, words):
    known = by_angle(10)
    known[3, 4] = row
    report = imported(tmp_path, known)
    assert report["file_neighbours"]["agree"] is None
    assert known_words(report).startswith("warning: the file's own neighbours are not compared: those of test 3 name")
    assert words in known_words(report)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (by_angle(10).astype("f4"), "float32"),
        (by_angle(10)[0], "(10,)"),
        (np.zeros((41, 3), "i4"), "41 rows for 40"),
    ],
)
def test_what_are_no_neighbours_is_said_and_the_vectors_are_taken(tmp_path, known, words):
    path = write(tmp_path / "x.hdf5", known)
    (note,) = open_vectors(path).notes
    assert "its neighbours are not compared" in note
    assert words in note
    said = run_cli("index", "import", path, "--name", "mine", "--home", tmp_path / "home", check=0).stderr
    assert note in said
    assert "file_neighbours" not in report_of(Home(tmp_path / "home").build("mine"))


def test_neighbours_that_cannot_be_read_are_one_line(tmp_path):
    path = write(tmp_path / "x.hdf5", None)
    with h5py.File(path, "a") as file:
        known = file.create_dataset("neighbors", data=by_angle(20).astype("i4"), chunks=(40, 20), compression="gzip")
        place = known.id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[place : place + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(VectorsError, match=r"x\.hdf5: rows 0 to 40 cannot be read"):
        run_import(str(path), Home(tmp_path / "home"), "mine", {})


def test_a_file_without_neighbours_or_without_queries(tmp_path):
    assert "file_neighbours" not in imported(tmp_path, None)
    with h5py.File(tmp_path / "y.hdf5", "w") as file:
        file["train"], file["neighbors"] = BASE, by_angle(10)
    report = run_import(str(tmp_path / "y.hdf5"), Home(tmp_path / "home"), "other", {}).report
    assert "file_neighbours" not in report
    assert known_words(report) is None


def test_ties_may_permute_and_a_row_named_twice_counts_once():
    queries, base = unit(ASKED), unit(BASE)
    known = by_angle(4)
    known[0] = [109, 101, 104, 7]  # of eleven equal rows
    blocks = [base[:105], base[105:106], base[106:]]
    assert agreement(queries, known, blocks).tolist() == [1.0] * 40
    known[1] = known[1, 0]
    assert agreement(queries, known, blocks)[:3].tolist() == [1.0, 0.25, 1.0]
