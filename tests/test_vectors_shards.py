"""Shards survive a kill, are joined once they are all there and whole, and only where machines compute alike."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from simsearch.errors import DiskError, VectorsError
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.shards import LIST, MOST_APART, Shards, apart, this_machine

ROWS, DIM, SHARD = 25, 3, 10
FILES = [f"shard-{start:010d}.npy" for start in (0, 10, 20)]


@pytest.fixture
def features():
    return np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)


def fill(shards, features):
    for start, stop in shards.missing():
        shards.write(start, features[start:stop])


def read(path):
    with FeatureFile(path) as file:
        return file.read(0, file.shape[0])


def test_shards_are_joined_and_removed(tmp_path, features):
    shards = Shards(tmp_path, ROWS, DIM, SHARD)
    fill(shards, features)
    shards.join(tmp_path / "features.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["features.h5"]
    np.testing.assert_array_equal(read(tmp_path / "features.h5"), features)


def test_nothing_is_missing_only_when_all_is_there(tmp_path, features):
    shards = Shards(tmp_path, ROWS, DIM, SHARD)
    assert shards.missing() == [(0, 10), (10, 20), (20, 25)]
    shards.write(20, features[20:])
    assert shards.missing() == [(0, 10), (10, 20)]
    with pytest.raises(VectorsError, match="2 shards of features are missing"):
        shards.join(tmp_path / "features.h5")
    assert not (tmp_path / "features.h5").exists()


def test_the_list_tells_of_each_shard(tmp_path, features):
    fill(Shards(tmp_path, ROWS, DIM, SHARD), features)
    lines = [json.loads(line) for line in (tmp_path / LIST).read_text().splitlines()]
    assert [(line["start"], line["n"], line["dim"]) for line in lines] == [(0, 10, 3), (10, 10, 3), (20, 5, 3)]
    assert [line["size"] for line in lines] == [(tmp_path / name).stat().st_size for name in FILES]
    assert {"cpu", "onnxruntime", "numpy", "simsearch"} <= lines[0]["machine"].keys()
    assert all(line["machine"] == this_machine() for line in lines)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def of_another_size(path):
    """As an earlier run left it that had other shards."""
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    Shards(path.parent, ROWS, DIM, SHARD).write(0, np.ones((SHARD, DIM), np.float32))
    Shards(path.parent, 15, DIM, 5).write(10, np.ones((5, DIM), np.float32))


def unlisted(path):
    """As a kill leaves it between the file and its line."""
    lines = (path.parent / LIST).read_bytes().splitlines(keepends=True)
    (path.parent / LIST).write_bytes(lines[0] + lines[2] + lines[1][:40])


@pytest.mark.parametrize("damage", [truncate, flip, of_another_size, unlisted, lambda p: p.unlink()])
def test_a_damaged_shard_is_made_again(tmp_path, features, damage):
    folder = tmp_path / "scratch"
    folder.mkdir()
    fill(Shards(folder, ROWS, DIM, SHARD), features)
    damage(folder / FILES[1])
    again = Shards(folder, ROWS, DIM, SHARD)
    assert (10, 20) in again.missing()
    assert (0, 10) not in again.missing()
    assert not (folder / FILES[1]).exists()
    fill(again, features)
    assert Shards(folder, ROWS, DIM, SHARD).missing() == [], "also behind half a line"
    again.join(tmp_path / "features.h5")
    found = read(tmp_path / "features.h5")
    np.testing.assert_array_equal(found[10:], features[10:])


@pytest.mark.parametrize(
    ("start", "shard"),
    [
        (0, np.zeros((9, DIM), dtype=np.float32)),
        (0, np.zeros((10, DIM + 1), dtype=np.float32)),
        (0, np.zeros((10, DIM))),
        (5, np.zeros((10, DIM), dtype=np.float32)),
        (20, np.zeros((10, DIM), dtype=np.float32)),
    ],
)
def test_a_shard_of_another_shape_is_refused(tmp_path, start, shard):
    with pytest.raises(VectorsError, match="expected float32"):
        Shards(tmp_path, ROWS, DIM, SHARD).write(start, shard)
    with pytest.raises(VectorsError, match="expected float32"):
        Shards(tmp_path, ROWS, DIM, SHARD, canaries=2).write(0, np.zeros((10, DIM), dtype=np.float32))


@pytest.mark.parametrize("difference", [0, 0.5 * MOST_APART, 2 * MOST_APART])
def test_machines_that_compute_otherwise_are_not_joined(tmp_path, features, difference):
    shards, canaries = Shards(tmp_path, ROWS, DIM, SHARD, canaries=2), features[:2]
    there = {**this_machine(), "cpu": "Other CPU", "onnxruntime": "9.9"}
    for start, stop in shards.missing():
        far = start == 20
        moved = canaries + np.float32([[0], [difference]]) * np.linalg.norm(canaries, axis=1, keepdims=True)
        shards.write(start, features[start:stop], moved if far else canaries, there if far else None)
    if difference <= MOST_APART:
        shards.join(tmp_path / "features.h5")
        np.testing.assert_array_equal(read(tmp_path / "features.h5"), features)
        return
    with pytest.raises(VectorsError) as seen:
        shards.join(tmp_path / "features.h5")
    assert "\n" not in seen.value.message
    assert "the same 2 images, 2.0e-06 of their length apart (expected at most 1e-06)" in seen.value.message
    assert f"cpu {this_machine()['cpu']}, onnxruntime" in seen.value.message
    assert "and with cpu Other CPU, onnxruntime 9.9" in seen.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == [*FILES, LIST], "and nothing is lost"


def test_what_is_far_apart():
    one = np.float32([[3, 4], [0, 0]])
    assert apart(one, one) == 0
    assert apart(one, one + np.float32([[0, 0.5], [0, 0]])) == pytest.approx(0.1)
    one[0, 1] = np.nan
    assert apart(one, one) == 0
    assert apart(one, np.nan_to_num(one)) == np.inf
    assert apart(one * np.float32(np.nan), np.nan_to_num(one)) == 0, "no image was read there"


def test_no_rows_are_refused(tmp_path):
    with pytest.raises(VectorsError, match="0 rows"):
        Shards(tmp_path, 0, DIM)


def test_a_full_disk_is_met_before_hdf5_is_asked(tmp_path, features, monkeypatch):
    shards = Shards(tmp_path, ROWS, DIM, SHARD)
    fill(shards, features)

    def full(descriptor, start, size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DiskError, match=r"no space left on the disk of .*/features.h5: 1,700 bytes are needed, "):
        shards.join(tmp_path / "features.h5")
    assert not shards.missing(), "the shards are kept for the next run"
    assert sorted(path.name for path in tmp_path.iterdir()) == [*FILES, LIST]
