"""features.h5: blocks survive a kill, the joined file is whole, and nothing else is read."""

import errno
import os

import h5py
import numpy as np
import pytest

from simsearch.errors import DiskError, VectorsError
from simsearch.vectors.features import FeatureBlocks, FeatureFile

ROWS, DIM, BLOCK = 25, 3, 10


@pytest.fixture
def features():
    return np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)


def fill(blocks, features):
    for start, stop in blocks.missing():
        blocks.write(start, features[start:stop])


def joined(folder, features):
    folder.mkdir(exist_ok=True)
    blocks = FeatureBlocks(folder, len(features), features.shape[1], BLOCK)
    fill(blocks, features)
    blocks.join(folder / "features.h5")
    return folder / "features.h5"


def test_blocks_are_joined_and_removed(tmp_path, features):
    path = joined(tmp_path, features)
    assert [p.name for p in tmp_path.iterdir()] == ["features.h5"]
    with FeatureFile(path) as file:
        assert file.shape == (ROWS, DIM)
        np.testing.assert_array_equal(file.read(0, ROWS), features)
        np.testing.assert_array_equal(file.read(7, 12), features[7:12])
        np.testing.assert_array_equal(np.concatenate(list(file.blocks(1, 24, size=5))), features[1:24])
        with pytest.raises(VectorsError, match="within 0 to 25, seen 20 to 26"):
            file.read(20, 26)


def test_nothing_is_missing_only_when_all_is_there(tmp_path, features):
    blocks = FeatureBlocks(tmp_path, ROWS, DIM, BLOCK)
    assert blocks.missing() == [(0, 10), (10, 20), (20, 25)]
    blocks.write(20, features[20:])
    assert blocks.missing() == [(0, 10), (10, 20)]
    with pytest.raises(VectorsError, match="2 blocks of features are missing"):
        blocks.join(tmp_path / "features.h5")
    assert not (tmp_path / "features.h5").exists()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"x")


def empty(path):
    path.write_bytes(b"")


def garbage(path):
    path.write_bytes(b"no numpy file at all")


def wrong_rows(path):
    np.save(path, np.zeros((9, DIM), dtype=np.float32))


def wrong_dim(path):
    np.save(path, np.zeros((BLOCK, DIM + 1), dtype=np.float32))


def wrong_dtype(path):
    np.save(path, np.zeros((BLOCK, DIM)))


def objects(path):
    np.save(path, np.array([{}]), allow_pickle=True)


@pytest.mark.parametrize(
    "damage", [truncate, lengthen, empty, garbage, wrong_rows, wrong_dim, wrong_dtype, objects, lambda p: p.unlink()]
)
def test_a_damaged_block_is_made_again(tmp_path, features, damage):
    fill(FeatureBlocks(tmp_path, ROWS, DIM, BLOCK), features)
    damage(tmp_path / "block-000001.npy")
    (tmp_path / "block-000002.tmp").write_bytes(b"left by a kill")
    again = FeatureBlocks(tmp_path, ROWS, DIM, BLOCK)
    assert again.missing() == [(10, 20)]
    assert not (tmp_path / "block-000001.npy").exists()
    fill(again, features)
    again.join(tmp_path / "features.h5")
    with FeatureFile(tmp_path / "features.h5") as file:
        np.testing.assert_array_equal(file.read(0, ROWS), features)


@pytest.mark.parametrize(
    ("start", "block"),
    [
        (0, np.zeros((9, DIM), dtype=np.float32)),
        (0, np.zeros((10, DIM + 1), dtype=np.float32)),
        (0, np.zeros((10, DIM))),
        (5, np.zeros((10, DIM), dtype=np.float32)),
        (20, np.zeros((10, DIM), dtype=np.float32)),
    ],
)
def test_a_block_of_another_shape_is_refused(tmp_path, start, block):
    with pytest.raises(VectorsError, match="expected float32"):
        FeatureBlocks(tmp_path, ROWS, DIM, BLOCK).write(start, block)


def test_a_nan_row_is_kept_for_normalization_to_name(tmp_path, features):
    features[3] = np.nan
    with FeatureFile(joined(tmp_path, features)) as file:
        assert np.isnan(file.read(3, 4)).all()


def test_the_same_features_give_the_same_bytes(tmp_path, features):
    one, other = joined(tmp_path / "one", features), joined(tmp_path / "other", features)
    assert one.read_bytes() == other.read_bytes()


def refused(path, match):
    with pytest.raises(VectorsError, match=match) as caught:
        FeatureFile(path)
    assert str(path) in caught.value.message


def test_a_file_that_is_not_hdf5_is_refused(tmp_path, features):
    refused(tmp_path / "absent.h5", "cannot read features")
    (tmp_path / "text.h5").write_text("hello")
    refused(tmp_path / "text.h5", "expected an HDF5 file")
    path = joined(tmp_path, features)
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, "cannot read features")


def test_a_flipped_bit_is_an_error_or_leaves_an_array(tmp_path, features):
    """Most flips of HDF5's own first 56 bytes are refused; damage further on is for the artifact's checksums."""
    path = joined(tmp_path, features)
    whole = path.read_bytes()
    random, refusals = np.random.default_rng(1), []
    for position in (*range(56), *random.choice(len(whole), 150, replace=False)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        try:
            with FeatureFile(path) as file:
                assert file.read(0, file.shape[0]).shape == file.shape
        except VectorsError:
            refusals.append(position)
    assert len({position for position in refusals if position < 56}) > 45


def test_data_sets_that_read_other_files_or_nothing_are_refused(tmp_path, features):
    joined(tmp_path, features)
    path = tmp_path / "x.h5"

    def make(write):
        with h5py.File(path, "w") as file:
            write(file)

    layout = h5py.VirtualLayout((ROWS, DIM), np.float32)
    layout[:] = h5py.VirtualSource("features.h5", "features", (ROWS, DIM))
    make(lambda f: f.create_virtual_dataset("features", layout))
    refused(path, "virtual")
    raw = [(str(tmp_path / "raw"), 0, ROWS * DIM * 4)]
    make(lambda f: f.create_dataset("features", (ROWS, DIM), np.float32, external=raw))
    refused(path, "external")
    make(lambda f: f.__setitem__("features", h5py.ExternalLink("features.h5", "features")))
    refused(path, "link")
    make(lambda f: (f.create_dataset("a", data=features), f.__setitem__("features", h5py.SoftLink("/a"))))
    refused(path, "link")
    make(lambda f: f.create_group("features"))
    refused(path, "no such data set")
    make(lambda f: None)
    refused(path, "no such data set")
    make(lambda f: f.create_dataset("features", data=features.astype(np.float64)))
    refused(path, r"float64 \(25, 3\)")
    make(lambda f: f.create_dataset("features", data=features[0]))
    refused(path, r"\(3,\)")
    make(lambda f: f.create_dataset("features", (ROWS, DIM), np.float32))
    refused(path, "never written")
    make(lambda f: f.create_dataset("features", (ROWS, DIM), np.float32, chunks=(5, DIM)).__setitem__(slice(0, 5), 1))
    refused(path, "never written")


def test_no_rows_are_refused(tmp_path):
    with pytest.raises(VectorsError, match="0 rows"):
        FeatureBlocks(tmp_path, 0, DIM)


def test_the_joined_file_is_one_contiguous_table(tmp_path, features):
    path = joined(tmp_path / "x", features)
    with h5py.File(path, "r") as file:
        data = file["features"]
        assert (data.chunks, data.dtype, data.shape) == (None, np.float32, features.shape)
        np.testing.assert_array_equal(data[:], features)
        place = data.id.get_offset()
    np.testing.assert_array_equal(np.memmap(path, np.float32, "r", place, features.shape), features)
    # As long as HDF5 says that it is: h5py opens it to be added to, too.
    with h5py.File(path, "a") as file:
        file["more"] = [1, 2, 3]
        np.testing.assert_array_equal(file["features"][:], features)


def test_a_full_disk_is_met_before_hdf5_is_asked(tmp_path, features, monkeypatch):
    blocks = FeatureBlocks(tmp_path, ROWS, DIM, BLOCK)
    fill(blocks, features)

    def full(descriptor, start, size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DiskError, match=r"no space left on the disk of .*/features.h5: 1,700 bytes are needed, "):
        blocks.join(tmp_path / "features.h5")
    assert not blocks.missing(), "the blocks are kept for the next run"
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"] * 3


def test_a_file_system_without_reservations_is_written_to(tmp_path, features, monkeypatch):
    def unknown(descriptor, start, size):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    with FeatureFile(joined(tmp_path / "x", features)) as file:
        np.testing.assert_array_equal(file.read(0, ROWS), features)
