"""Perceptual hashes: the same picture in another size and compression has a near one, another picture has not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from simsearch.images.perceptual import difference_hash, lookalikes, near_hashes, reduction, reductions, twins
from simsearch.images.thumbnails import encode_thumbnail, write_thumbnails


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
        bits += [int(fields[x + 1] - fields[x] > 0.05 * 4 * gray.std()) for x in range(8)]
    assert f"{hash_of(encoded(smooth(5))):064b}" == "".join(map(str, bits))


def test_near_hashes_turn_the_five_bits_that_are_least_sure():
    gray = reduction(encoded(smooth(5)))
    near = near_hashes(gray)
    assert near[0] == difference_hash(gray)
    assert len(set(near)) == 32
    turned = [one ^ near[0] for one in near]
    bits = [one for one in turned if one.bit_count() == 1]
    assert len(bits) == 5
    assert all(one & ~sum(bits) == 0 for one in turned)


@pytest.mark.parametrize("ground", [False, True], ids=["photo", "on a white ground"])
def test_copies_saved_again_look_the_same_and_others_do_not(tmp_path, ground):
    pictures = []
    for seed in range(30):
        noise = np.random.default_rng([1, seed]).normal(0, 6, (256, 256))
        picture = np.clip(smooth(seed, 256) + noise, 0, 255).astype(np.uint8)
        if ground:
            picture[:70], picture[-70:], picture[:, :70], picture[:, -70:] = 254, 254, 254, 254
        pictures.append(picture)
    again = [np.asarray(Image.open(io.BytesIO(encoded(one, "JPEG", quality=70)))) for one in pictures]
    small = [np.asarray(Image.fromarray(one).resize((128, 128), Image.Resampling.LANCZOS)) for one in pictures]
    with write_thumbnails(tmp_path) as writer:
        for picture in pictures + again + small:
            writer(encode_thumbnail(picture))
    groups = lookalikes(reductions(tmp_path), range(90))
    assert all(len({row % 30 for row in group}) == 1 for group in groups), "others are not taken for copies"
    assert sum(map(len, groups)) >= 84, groups
    found = twins(reductions(tmp_path), range(30, 90), gallery=30)
    assert all(gallery == position % 30 for position, gallery in found.tolist())
    assert len(found) >= 56


def test_twins_look_the_same_in_gray_as_well(tmp_path):
    ramp = np.tile(np.linspace(0, 250, 96).astype(np.uint8), (96, 1))
    with write_thumbnails(tmp_path) as writer:
        for picture in (ramp, ramp // 2, ramp + 1):
            writer(encode_thumbnail(picture))
    assert hash_of(encoded(ramp)) == hash_of(encoded(ramp // 2))
    assert twins(reductions(tmp_path), [0, 1, 2], gallery=3).tolist() == [[0, 2], [2, 0]]


def test_twins_are_the_first_gallery_row_that_is_not_the_query(tmp_path):
    blank = np.full((96, 96), 7, np.uint8)
    pictures = [smooth(0), smooth(1), smooth(0), blank, blank, smooth(2), smooth(1), smooth(9)]
    with write_thumbnails(tmp_path) as writer:
        for picture in pictures:
            writer(encode_thumbnail(picture))
    found = twins(reductions(tmp_path), [0, 2, 3, 5, 6, 7], gallery=6)
    assert found.tolist() == [[0, 2], [1, 0], [4, 1]]
    assert twins(reductions(tmp_path), [7], gallery=6).shape == (0, 2)


def test_groups_of_pictures_that_look_the_same(tmp_path):
    blank = np.full((96, 96), 7, np.uint8)
    pictures = [smooth(0), smooth(1), blank, smooth(0), smooth(2), blank, smooth(0), smooth(1), smooth(3)]
    with write_thumbnails(tmp_path) as writer:
        for picture in pictures:
            writer(encode_thumbnail(picture))
    reduced = reductions(tmp_path)
    assert lookalikes(reduced, range(9)) == [[0, 3, 6], [1, 7]]
    assert lookalikes(reduced, [1, 2, 3, 5, 6]) == [[3, 6]]
    apart = np.stack((reduced[0], reduced[0] // 2, reduced[0] + np.uint8(0)))
    assert lookalikes(apart, range(3)) == [[0, 2]], "the same hash, but not as bright"
