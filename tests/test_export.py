"""`simsearch export`: what other tools read, compared with the features and a plain product."""

from __future__ import annotations

import csv
import errno
import os
import resource
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest
from commands import ENTRY
from conftest import artifact_file, run_cli

from simsearch.exchange import vectors_out
from simsearch.exchange.vectors_in import run_import
from simsearch.home import Home
from simsearch.report.reading import report_of
from simsearch.vectors.exact import exact_neighbours, exact_search
from simsearch.vectors.formats.metadata import parquet_library


@pytest.fixture(scope="module")
def source(built):
    """(home, embeddings (N, D) float64, features, records) of the build `photos`, read without our own readers."""
    home = built[1]
    with h5py.File(artifact_file(home, "embed", "features.h5")) as file:
        features = file["features"][:]
    with artifact_file(home, "dataset", "images.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    rows = features.astype(np.float64)
    return home, rows / np.linalg.norm(rows, axis=1, keepdims=True), features, records


def exported(home, tmp_path, form, name, *more):
    done = run_cli("export", "photos", "--format", form, "--out", tmp_path / name, *more, "--home", home, check=0)
    assert done.stdout == f"{tmp_path / name}\n"
    assert sorted(os.listdir(tmp_path)) == [name], "nothing else is left"
    return tmp_path / name


def test_npy_in_the_layout_of_embedding_reader(source, tmp_path):
    home, embeddings, _, records = source
    out = exported(home, tmp_path, "npy", "out")
    vectors = np.load(out / "img_emb" / "img_emb_0.npy", allow_pickle=False)
    assert (vectors.dtype, vectors.flags.c_contiguous) == (np.float32, True)
    assert np.allclose(vectors, embeddings, atol=1e-6)
    library = parquet_library()
    if library is None:
        with (out / "metadata" / "metadata_0.csv").open(newline="") as file:
            table = [(entry["image"], entry["label"], int(entry["row"])) for entry in csv.DictReader(file)]
    else:
        columns = library.read_table(out / "metadata" / "metadata_0.parquet").to_pydict()
        table = list(zip(columns["image"], columns["label"], columns["row"], strict=True))
    assert table == [(record["image"], record["label"], int(record["row"])) for record in records]


def test_raw_features(source, tmp_path):
    home, _, features, _ = source
    out = exported(home, tmp_path, "npy", "out", "--raw")
    assert (np.load(out / "img_emb" / "img_emb_0.npy") == features).all()


def truth(embeddings, records):
    gallery = np.array([record["gallery"] == "1" for record in records])
    query = np.array([record["query"] == "1" for record in records])
    scores = embeddings[query] @ embeddings[gallery].T
    return embeddings[gallery], embeddings[query], scores, np.sort(-scores, axis=1)


def test_hdf5_as_ann_benchmarks_reads_it(source, tmp_path):
    home, embeddings, _, records = source
    train, test, scores, best = truth(embeddings, records)
    with h5py.File(exported(home, tmp_path, "ann-benchmarks", "x.hdf5")) as file:
        attributes = {key: str(value) for key, value in file.attrs.items()}
        assert attributes == {"type": "dense", "distance": "angular", "dimension": "64", "point_type": "float"}
        assert np.allclose(file["train"], train, atol=1e-6)
        assert np.allclose(file["test"], test, atol=1e-6)
        neighbours, distances = file["neighbors"][:], file["distances"][:]
    assert neighbours.shape == distances.shape == (len(test), len(train))
    assert np.allclose(distances, 1 + best, atol=1e-6)
    assert np.allclose(1 - np.take_along_axis(scores, neighbours, axis=1), distances, atol=1e-6)
    assert (np.sort(neighbours, axis=1) == np.arange(len(train))).all()


def test_fvecs_with_their_ground_truth(source, tmp_path):
    home, embeddings, _, records = source
    train, test, scores, best = truth(embeddings, records)
    out = exported(home, tmp_path, "fvecs", "out")
    assert sorted(os.listdir(out)) == ["base.fvecs", "groundtruth.ivecs", "query.fvecs"]
    for name, rows in (("base", train), ("query", test)):
        found = np.fromfile(out / f"{name}.fvecs", "<i4").reshape(-1, 65)
        assert (found[:, 0] == 64).all()
        assert np.allclose(found[:, 1:].view("<f4"), rows, atol=1e-6)
    found = np.fromfile(out / "groundtruth.ivecs", "<i4").reshape(len(test), -1)[:, 1:]
    assert np.allclose(np.take_along_axis(scores, found, axis=1), -best, atol=1e-6)


@pytest.mark.parametrize("form", ["npy", "ann-benchmarks", "fvecs"])
def test_what_is_exported_can_be_imported(source, tmp_path, form):
    home, _, _, records = source
    out = exported(home, tmp_path, form, "x.hdf5")
    build = run_import(str(out), Home(tmp_path / "home"), "again", {}).build
    report = report_of(build)
    gallery = sum(record["gallery"] == "1" for record in records)
    assert report["gallery"] == (len(records) if form == "npy" else gallery)
    assert report["index"]["ann_recall"]["10"] == 1.0
    assert report["classes"] == (3 if form == "npy" else None)


def test_queries_of_the_gallery_itself_are_taken_out_of_train(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", rows)
    home = tmp_path / "home"
    run_import(str(tmp_path / "x.npy"), Home(home), "mine", {})
    run_cli("export", "--format", "ann-benchmarks", "--out", tmp_path / "x.hdf5", "--home", home, check=0)
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert (file["train"].shape, file["test"].shape) == ((54, 6), (6, 6))
        together = np.concatenate((file["train"][:], file["test"][:]))
        assert file["distances"][:].min() > 1e-3
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.allclose(together[np.lexsort(together.T)], unit[np.lexsort(unit.T)], atol=1e-6)


def test_neighbours_over_blocks_are_those_of_one_search():
    random = np.random.default_rng(0)
    base = random.integers(-2, 3, (500, 6)).astype(np.float32)  # many ties
    queries = random.integers(-2, 3, (40, 6)).astype(np.float32)
    for k, size in ((1, 7), (10, 64), (100, 33), (600, 499)):
        blocks = (base[start : start + size] for start in range(0, 500, size))
        scores, rows = exact_neighbours(queries, blocks, k)
        ((_, whole_scores, whole_rows),) = exact_search(queries, base, k, "ip")
        assert (rows == whole_rows).all()
        assert (scores == whole_scores).all()


def test_nothing_is_overwritten_and_mistakes_are_told(source, tmp_path):
    home = source[0]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("mine")
    for form, name, more, words in [
        ("npy", "there", [], "exists"),
        ("ann-benchmarks", "x.npy", [], ".hdf5"),
        ("npy", "no/such/x", [], "no folder"),
        ("fvecs", "x", ["--raw"], "--raw"),
        ("parquet", "x", [], "parquet"),
    ]:
        done = run_cli("export", "photos", "--format", form, "--out", tmp_path / name, *more, "--home", home, check=2)
        assert words in done.stderr
        assert [line.partition(":")[0] for line in done.stderr.splitlines()[-2:]] == ["error", "hint"]
    assert (tmp_path / "there" / "mine.txt").read_text() == "mine"
    assert os.listdir(tmp_path) == ["there"]
    run_cli("export", "nosuch", "--format", "npy", "--out", tmp_path / "x", "--home", home, check=2)


@pytest.mark.parametrize("form", ["npy", "pack"])
def test_a_folder_that_cannot_be_made_durable_gets_nothing(source, tmp_path, monkeypatch, form):
    def failing(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    out = tmp_path / "x.pack"
    words = ("export", "photos", "--format", form, "--out", out, "--home", source[0])
    with monkeypatch.context() as broken:
        broken.setattr(vectors_out, "fsync", failing)
        assert "error: " in run_cli(*words, check=2).stderr
    assert os.listdir(tmp_path) == [], "it would be in the way of the same command"
    run_cli(*words, check=0)


def test_damaged_features_are_not_exported(copy_of_built, tmp_path):
    home = copy_of_built[1]
    path = artifact_file(home, "embed", "features.h5")
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    done = run_cli("export", "--format", "npy", "--out", tmp_path / "out", "--home", home, check=2)
    assert "damaged" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_stopped_export_leaves_nothing_under_its_name(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40_000, 8)).astype(np.float32))
    home = tmp_path / "home"
    run_import(str(tmp_path / "x.npy"), Home(home), "mine", {})
    for stop, expected in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        command = [*ENTRY, "export", "--format", "npy", "--out", str(tmp_path / "out"), "--home", str(home)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            until = time.monotonic() + 60
            while not list(tmp_path.glob(".out.partial-*/img_emb/*")) and time.monotonic() < until:
                assert process.poll() is None
                time.sleep(0.002)
            process.send_signal(stop)
            assert process.wait(60) == expected
        assert not (tmp_path / "out").exists()
        assert bool(list(tmp_path.glob(".out.partial-*"))) == (stop == signal.SIGKILL)


@pytest.mark.parametrize(("form", "out"), [("npy", "x"), ("ann-benchmarks", "x.hdf5"), ("fvecs", "x")])
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(built, tmp_path, form, out):
    """A bound on the size of files stands for the full disk: the system refuses to write in both."""
    done = subprocess.run(
        [*ENTRY, "export", "--format", form, "--out", str(tmp_path / out), "--home", str(built[1])],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900)),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert not list(tmp_path.iterdir())
