"""Random changes of training images: what may come out, and that it is drawn from torch's random state alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from simsearch.embedder.training.augment import Changes, augmented, stored_size


def change(images, **settings):
    return augmented(lambda x: x, Changes(**settings), images.shape[1])(images)


def test_nothing_asked_nothing_done():
    def prepare(images):
        return images

    assert augmented(prepare, Changes(), 28) is prepare


def test_shifted_images_are_the_slow_loops():
    images = torch.randint(1, 256, (40, 6, 5, 2), dtype=torch.uint8)
    torch.manual_seed(0)
    moved = change(images, shift=2)
    assert moved.shape == images.shape
    seen = set()
    for before, after in zip(images, moved, strict=True):
        matches = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(after, _moved(before, down, right))
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 10


def _moved(image, down, right):
    out = torch.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if 0 <= y + down < image.shape[0] and 0 <= x + right < image.shape[1]:
                out[y, x] = image[y + down, x + right]
    return out


def disc(y, x, size=33):
    """A white image with a dark disc of radius 4 at (y, x) from the centre."""
    rows, columns = np.mgrid[:size, :size] - size // 2
    return np.where((rows - y) ** 2 + (columns - x) ** 2 <= 16, 0, 255).astype(np.uint8)[..., None]


def where(image):
    """Distance and angle (degrees) of the dark mass from the centre, and its size in pixels."""
    dark = 255 - image[..., 0].numpy().astype(np.float64)
    rows, columns = np.mgrid[: len(dark), : len(dark)] - len(dark) // 2
    y, x = (dark * rows).sum() / dark.sum(), (dark * columns).sum() / dark.sum()
    return math.hypot(y, x), math.degrees(math.atan2(y, x)), dark.sum() / 255


def test_warped_images_turn_and_scale_within_bounds():
    images = torch.from_numpy(np.stack([disc(0, 8)] * 60))
    torch.manual_seed(0)
    turned = [where(image) for image in change(images, rotate=20.0)]
    assert all(abs(distance - 8) < 0.2 and abs(angle) <= 20.5 for distance, angle, _ in turned)
    assert max(angle for _, angle, _ in turned) > 15 > -15 > min(angle for _, angle, _ in turned)
    scaled = [where(image) for image in change(images, scale=0.25)]
    assert all(5.9 < distance < 10.1 and abs(angle) < 1 for distance, angle, _ in scaled)
    assert all(size == pytest.approx(where(images[0])[2] * (d / 8) ** 2, rel=0.1) for d, _, size in scaled)
    assert max(d for d, _, _ in scaled) > 9.5 > 6.5 > min(d for d, _, _ in scaled)
    # What comes in from outside repeats the border, here white.
    assert change(images, rotate=45.0)[:, 0, 0].min() == 255


def test_photos_are_cropped_flipped_and_coloured_each_for_itself():
    ramp = torch.arange(16, dtype=torch.uint8)[None, None, :, None].expand(50, 16, 16, 3) * 16
    torch.manual_seed(0)
    flips = change(ramp, flip=True)
    left = (flips[:, 0, 0, 0] == 0).sum()
    assert 10 < left < 40
    assert all(torch.equal(image, ramp[0]) or torch.equal(image, ramp[0].flip(1)) for image in flips)
    crops = change(ramp, crop=0.3)
    assert crops.shape == ramp.shape
    assert crops.dtype == torch.uint8
    spans = (crops[:, 8, -1, 0].int() - crops[:, 8, 0, 0].int()) / 240
    assert 0.4 < spans.min() < 0.7 < spans.max() <= 1
    grey = torch.full((50, 16, 16, 3), 100, dtype=torch.uint8)
    coloured = change(grey, colour=0.2)
    assert 79 <= coloured.min() < 90 < 110 < coloured.max() <= 121


def test_crops_are_of_the_shapes_and_shares_asked_for():
    """A picture whose channels are x and y tells what part of it a crop was."""
    side, least = 120, 0.3
    ramp = torch.arange(side, dtype=torch.uint8)
    images = torch.stack((ramp.expand(side, side), ramp.expand(side, side).T), dim=2).expand(200, -1, -1, -1)
    torch.manual_seed(0)
    seen = change(images, crop=least).flatten(1, 2).float()
    width, height = (seen.amax(1) - seen.amin(1) + 1).unbind(1)
    shapes, shares = width / height, width * height / side**2
    assert 0.73 < shapes.min() < 0.8
    assert 1.25 < shapes.max() < 1.37
    assert least - 0.03 < shares.min() < least + 0.1
    assert shares.max() > 0.8


def test_crops_are_taken_from_images_large_enough_to_stay_sharp():
    assert stored_size(1.0, 160) == 160
    assert stored_size(0.5, 160) == 227
    assert stored_size(0.01, 160) == 320
    assert stored_size(0.5, 2048) == 2048
    crops = augmented(lambda x: x, Changes(crop=0.5), 12)(torch.zeros(3, 17, 17, 3, dtype=torch.uint8))
    assert crops.shape == (3, 12, 12, 3)


@pytest.mark.parametrize("first", [{"shift": 1}, {"rotate": 10.0}, {"scale": 0.1}, {}])
@pytest.mark.parametrize("second", [{"crop": 0.5}, {"flip": True}, {"colour": 0.2}])
def test_changes_together_keep_the_scale(first, second):
    torch.manual_seed(0)  # a shift brings in black: with bad luck of the colours the mean is more than 20 off
    images = torch.randint(0, 256, (20, 16, 16, 3), dtype=torch.uint8)
    changed = change(images, **first, **second)
    assert changed.dtype == torch.uint8
    assert changed.float().mean() == pytest.approx(images.float().mean().item(), abs=20)


def test_the_same_random_state_gives_the_same_changes():
    images = torch.randint(0, 256, (6, 12, 12, 3), dtype=torch.uint8)
    settings = {"crop": 0.5, "flip": True, "colour": 0.3, "rotate": 10.0, "scale": 0.1, "shift": 1}
    torch.manual_seed(3)
    first = change(images, **settings)
    torch.manual_seed(3)
    assert torch.equal(first, change(images, **settings))
    assert not torch.equal(first, change(images, **settings))
