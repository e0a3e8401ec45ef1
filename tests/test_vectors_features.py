"""features.h5: one plain table that is whole, and nothing else is read."""

import errno
import os

import h5py
import numpy as np
import pytest

from simsearch.errors import VectorsError
from simsearch.vectors.features import FeatureFile, write_features

ROWS, DIM, BLOCK = 25, 3, 10


@pytest.fixture
def features():
    return np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)


def joined(path, features):
    path.parent.mkdir(exist_ok=True)
    write_features(path, features.shape, [features[:BLOCK], features[BLOCK:]])
    return path


def test_it_is_read_in_blocks(tmp_path, features):
    with FeatureFile(joined(tmp_path / "features.h5", features)) as file:
        assert file.shape == (ROWS, DIM)
        np.testing.assert_array_equal(file.read(0, ROWS), features)
        np.testing.assert_array_equal(file.read(7, 12), features[7:12])
        np.testing.assert_array_equal(np.concatenate(list(file.blocks(1, 24, size=5))), features[1:24])
        with pytest.raises(VectorsError, match="within 0 to 25, seen 20 to 26"):
            file.read(20, 26)


def test_a_nan_row_is_kept_for_normalization_to_name(tmp_path, features):
    features[3] = np.nan
    with FeatureFile(joined(tmp_path / "features.h5", features)) as file:
        assert np.isnan(file.read(3, 4)).all()


def test_the_same_features_give_the_same_bytes(tmp_path, features):
    one, other = (joined(tmp_path / name / "features.h5", features) for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def refused(path, match):
    with pytest.raises(VectorsError, match=match) as caught:
        FeatureFile(path)
    assert str(path) in caught.value.message


def test_a_file_that_is_not_hdf5_is_refused(tmp_path, features):
    refused(tmp_path / "absent.h5", "cannot read features")
    (tmp_path / "text.h5").write_text("hello")
    refused(tmp_path / "text.h5", "expected an HDF5 file")
    path = joined(tmp_path / "features.h5", features)
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, "cannot read features")


def test_a_flipped_bit_is_an_error_or_leaves_an_array(tmp_path, features):
    """Most flips of HDF5's own first 56 bytes are refused; damage further on is for the artifact's checksums."""
    path = joined(tmp_path / "features.h5", features)
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
    joined(tmp_path / "features.h5", features)
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


def test_the_joined_file_is_one_contiguous_table(tmp_path, features):
    path = joined(tmp_path / "x" / "features.h5", features)
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


def test_a_file_system_without_reservations_is_written_to(tmp_path, features, monkeypatch):
    def unknown(descriptor, start, size):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    with FeatureFile(joined(tmp_path / "x" / "features.h5", features)) as file:
        np.testing.assert_array_equal(file.read(0, ROWS), features)
