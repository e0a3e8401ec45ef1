"""Perceptual hashes: the same picture in another size and compression has the same one, another picture has not."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from simsearch.images.perceptual import difference_hash, lookalikes, reduction, reductions, twins
from simsearch.images.thumbnails import ThumbnailWriter


def smooth(seed, size=96):
    """A smooth gray picture."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC))


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def hash_of(data):
    return difference_hash(reduction(data))


def test_equal_by_looks_not_by_bytes():
    hashes = {hash_of(encoded(smooth(seed))) for seed in range(30)}
    assert len(hashes) == 30
    assert hash_of(encoded(smooth(3), "BMP")) == hash_of(encoded(smooth(3)))
    gray = np.asarray(Image.fromarray(smooth(5)).resize((17, 16), Image.Resampling.BOX)).astype(int)
    bits = []
    for y in range(0, 16, 2):
        fields = [sum(gray[y + dy, x + dx] for dy in (0, 1) for dx in (0, 1)) for x in range(0, 16, 2)]
        fields.append(2 * (gray[y, 16] + gray[y + 1, 16]))
        bits += [int(fields[x + 1] > fields[x]) for x in range(8)]
    assert np.unpackbits(np.frombuffer(hash_of(encoded(smooth(5))), np.uint8)).tolist() == bits


def test_twins_look_the_same_in_gray_as_well(tmp_path):
    ramp = np.tile(np.linspace(0, 250, 96).astype(np.uint8), (96, 1))
    with ThumbnailWriter(tmp_path) as writer:
        for picture in (ramp, ramp // 2, ramp + 1):
            writer.append(picture)
    assert hash_of(encoded(ramp)) == hash_of(encoded(ramp // 2))
    assert twins(reductions(tmp_path), [0, 1, 2], gallery=3).tolist() == [[0, 2], [2, 0]]


def test_twins_are_the_first_gallery_row_that_is_not_the_query(tmp_path):
    blank = np.full((96, 96), 7, np.uint8)
    pictures = [smooth(0), smooth(1), smooth(0), blank, blank, smooth(2), smooth(1), smooth(9)]
    with ThumbnailWriter(tmp_path) as writer:
        for picture in pictures:
            writer.append(picture)
    found = twins(reductions(tmp_path), [0, 2, 3, 5, 6, 7], gallery=6)
    assert found.tolist() == [[0, 2], [1, 0], [4, 1]]
    assert twins(reductions(tmp_path), [7], gallery=6).shape == (0, 2)


def test_groups_of_pictures_that_look_the_same(tmp_path):
    blank = np.full((96, 96), 7, np.uint8)
    pictures = [smooth(0), smooth(1), blank, smooth(0), smooth(2), blank, smooth(0), smooth(1), smooth(3)]
    with ThumbnailWriter(tmp_path) as writer:
        for picture in pictures:
            writer.append(picture)
    reduced = reductions(tmp_path)
    assert lookalikes(reduced, range(9)) == [[0, 3, 6], [1, 7]]
    assert lookalikes(reduced, [1, 2, 3, 5, 6]) == [[3, 6]]
    apart = np.stack((reduced[0], reduced[0] // 2, reduced[0] + np.uint8(0)))
    assert lookalikes(apart, range(3)) == [[0, 2]], "the same hash, but not as bright"
