"""simsearch/images/thumbnails.py: encoding, packing, and damage."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from simsearch.errors import ArtifactError
from simsearch.images.formats.decode import decode
from simsearch.images.thumbnails import DATA, OFFSETS, ThumbnailReader, encode_thumbnail, write_thumbnails


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((28, 28), (28, 28)),
        ((96, 50), (50, 96)),
        ((480, 640, 3), (96, 72)),
        ((1, 5000), (96, 1)),
        ((5000, 1, 3), (1, 96)),
    ],
)
def test_size(shape, size):
    with Image.open(io.BytesIO(encode_thumbnail(noise(*shape)))) as picture:
        assert picture.format == "WEBP"
        assert picture.size == size


def test_small_gray_is_lossless_and_photos_are_near():
    gray = noise(28, 28)
    assert (decode(encode_thumbnail(gray))[..., 0] == gray).all()
    y, x = np.mgrid[0:90, 0:90].astype(np.uint8)
    photo = np.stack([x * 2, y * 2, x + y], axis=2)
    assert np.abs(decode(encode_thumbnail(photo)).astype(int) - photo).mean() < 4


def test_round_trip(tmp_path):
    images = [noise(n + 1, 28) for n in range(10)]
    with write_thumbnails(tmp_path) as writer:
        for image in images[:5]:
            writer(encode_thumbnail(image))
        for image in images[5:]:
            writer(encode_thumbnail(image))
    with ThumbnailReader(tmp_path) as reader:
        assert len(reader) == 10
        assert [reader[row] for row in range(10)] == [encode_thumbnail(image) for image in images]
        for row in (-1, 10):
            with pytest.raises(IndexError):
                reader[row]
        wrong = []

        def check():
            wrong.extend(row for row in list(range(10)) * 50 if decode(reader[row]).shape[0] != row + 1)

        threads = [threading.Thread(target=check) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_no_thumbnails(tmp_path):
    with write_thumbnails(tmp_path):
        pass
    with ThumbnailReader(tmp_path) as reader:
        assert len(reader) == 0


def test_a_failed_run_leaves_nothing_to_read(tmp_path):
    with pytest.raises(TypeError, match="Cannot handle"), write_thumbnails(tmp_path) as writer:
        writer(encode_thumbnail(np.zeros((4, 4, 5), np.uint8)))
    with pytest.raises(ArtifactError, match="cannot be read"):
        ThumbnailReader(tmp_path)


@pytest.mark.parametrize("damage", ["short", "text", "objects", "float", "backwards"])
def test_damage_is_found(tmp_path, damage):
    with write_thumbnails(tmp_path) as writer:
        for _ in range(3):
            writer(encode_thumbnail(noise(4, 4)))
    offsets = np.load(tmp_path / OFFSETS, allow_pickle=False)
    if damage == "short":
        (tmp_path / DATA).write_bytes((tmp_path / DATA).read_bytes()[:-1])
    elif damage == "text":
        (tmp_path / OFFSETS).write_bytes(b"hello")
    elif damage == "objects":
        np.save(tmp_path / OFFSETS, np.array([{}, {}], dtype=object), allow_pickle=True)
    elif damage == "float":
        np.save(tmp_path / OFFSETS, offsets.astype(float))
    else:
        np.save(tmp_path / OFFSETS, offsets[[0, 2, 1, 3]])
    with pytest.raises(ArtifactError):
        ThumbnailReader(tmp_path)
