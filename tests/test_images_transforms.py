"""simsearch/images/preprocess.py against the transforms of published models: torchvision's, on Pillow images."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from conftest import SMALL, run_cli, write_folder
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from simsearch.errors import RecipeError
from simsearch.images.formats.decode import decode
from simsearch.images.preprocess import INTERPOLATIONS, ORDERS, RESIZES, Preprocess

MOST, MEAN = 2, 0.25  # of 255, as a build proves its model by
SHAPES = [(256, 341), (341, 256), (300, 300), (255, 388), (97, 640), (40, 31), (224, 500), (224, 224)]


def scene(height, width, seed=0):
    """A picture with edges, fine stripes and noise, (H, W, 3): what is cut or scaled otherwise is seen in it."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(x / a) * np.cos(y / b) for a, b in ((3, 7), (11, 4), (2, 2))]
    picture = np.stack(waves, axis=2) + random.normal(0, 12, (height, width, 3))
    picture[height // 3 : height // 2, width // 4 : width // 2] = (250, 20, 60)
    return picture.clip(0, 255).astype(np.uint8)


def make(size=224, resize="center_crop", **more):
    return Preprocess(size, 3, resize, (0.5,) * 3, (0.5,) * 3, **more)


def seen_by(library, picture):
    return np.asarray(library(Image.fromarray(picture))).astype(int)


def differ(preprocess, library, shapes=SHAPES):
    """Return the largest and the largest mean difference over pictures."""
    gaps = [np.abs(preprocess.fit(scene(*s)).astype(int) - seen_by(library, scene(*s))) for s in shapes]
    return max(gap.max() for gap in gaps), max(gap.mean() for gap in gaps)


def library(interpolation, share, size=224):
    kind = InterpolationMode[interpolation.upper()]
    return transforms.Compose(
        [transforms.Resize(int(size / share + 1e-6), interpolation=kind), transforms.CenterCrop(size)]
    )


def test_floor_crop_rounds_half_a_pixel_of_a_corner_down():
    """As transformers does: torchvision cuts these two one pixel further, and others alike."""
    rows = np.arange(67, dtype=np.uint8)[:, None].repeat(64, axis=1)
    assert make(64, "center_crop").fit(rows)[0, 0, 0] == 2  # of 1.5
    assert make(64, "floor_crop").fit(rows)[0, 0, 0] == 1
    for share in (1.0, 0.9):
        ours, torchvision = (make(64, resize, crop_share=share) for resize in ("floor_crop", "center_crop"))
        even = scene(80, 100)
        same = (ours.fit(even) == torchvision.fit(even)).all()
        resized = 100 * int(64 / share) // 80 - 64, int(64 / share) - 64
        assert same == all(gap % 4 != 3 for gap in resized)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("share", [1.0, 0.875, 0.95, 224 / 235])
def test_center_crop_is_what_torchvision_sees(interpolation, share):
    most, mean = differ(make(interpolation=interpolation, crop_share=share), library(interpolation, share))
    assert most <= MOST
    assert mean <= MEAN


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_squash_is_what_torchvision_sees(interpolation):
    whole = transforms.Resize((224, 224), interpolation=InterpolationMode[interpolation.upper()])
    most, mean = differ(make(resize="squash", interpolation=interpolation), whole)
    assert most <= MOST
    assert mean <= MEAN


@pytest.mark.parametrize(
    "wrong",
    [{"interpolation": "bilinear"}, {"order": "bgr"}, {"crop_share": 0.9}, {"resize": "crop", "crop_share": 1.0}],
    ids=str,
)
def test_what_is_prepared_otherwise_is_seen_in_the_pixels(wrong):
    most, mean = differ(make(**{"interpolation": "bicubic", "crop_share": 0.875, **wrong}), library("bicubic", 0.875))
    assert most > MOST
    assert mean > MEAN


def test_without_antialias_is_sampling_at_points():
    picture = scene(60, 90)
    preprocess = make(24, "squash", antialias=False)
    seen = preprocess.fit(picture)
    for row, column in np.ndindex(24, 24):
        y, x = (row + 0.5) * 60 / 24 - 0.5, (column + 0.5) * 90 / 24 - 0.5
        top, left = int(np.floor(y)), int(np.floor(x))
        down, across = y - top, x - left
        corner = [picture[min(top + i, 59), min(left + j, 89)].astype(float) for i in (0, 1) for j in (0, 1)]
        shares = ((1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across)
        wanted = sum(share * value for share, value in zip(shares, corner, strict=True))
        assert np.abs(seen[row, column] - wanted).max() <= 1
    assert differ(preprocess, transforms.Resize((24, 24)), [(60, 90)])[0] > 20


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_without_antialias_edges_are_no_black_frame(interpolation):
    white = np.full((7, 50, 3), 255, np.uint8)
    for resize in ("squash", "crop", "center_crop"):
        assert (make(32, resize, antialias=False, interpolation=interpolation).fit(white) == 255).all(), resize


def test_order_of_channels_is_that_of_the_model():
    picture = scene(50, 60)
    rgb, bgr = (make(32, order=order).fit(picture) for order in ORDERS)
    assert (rgb[:, :, ::-1] == bgr).all()
    assert (make(50, "squash", order="bgr").fit(scene(50, 50)) == scene(50, 50)[:, :, ::-1]).all()


def test_without_draft_a_large_jpeg_is_decoded_whole():
    buffer = io.BytesIO()
    Image.fromarray(scene(900, 1200)).save(buffer, "JPEG", quality=95)
    data = buffer.getvalue()
    whole = np.asarray(library("bilinear", 0.875, 64)(Image.open(io.BytesIO(data)))).astype(int)
    gaps = {}
    for draft in (True, False):
        preprocess = make(64, crop_share=0.875, draft=draft)
        assert preprocess.at_least == (64 if draft else None)
        gaps[draft] = np.abs(preprocess.fit(decode(data, preprocess.at_least)).astype(int) - whole).max()
    assert gaps[False] <= MOST
    assert gaps[True] > MOST


def test_extreme_pictures_and_sizes_fit_all_ways():
    for resize in RESIZES:
        for shape in [(1, 5000), (5000, 1), (1, 1), (3, 2)]:
            for antialias in (True, False):
                assert make(28, resize, antialias=antialias).fit(scene(*shape)).shape == (28, 28, 3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"interpolation": "cubic"}, "interpolation"),
        ({"order": "gbr"}, "order"),
        ({"crop_share": 1.5}, "crop_share"),
        ({"crop_share": float("nan")}, "crop_share"),
        ({"crop_share": 0.9, "resize": "crop"}, "center_crop"),
        ({"interpolation": "lanczos", "antialias": False}, "antialias"),
    ],
)
def test_values_that_cannot_be_used(values, words):
    with pytest.raises(RecipeError, match=words):
        make(**values)
    with pytest.raises(RecipeError, match="three channels"):
        Preprocess(8, 1, "squash", (0.5,), (0.5,), order="bgr")


def test_what_could_be_said_before_is_written_as_it_was():
    assert make(resize="crop").to_json().keys() == {"version", "size", "channels", "resize", "mean", "std", "decoding"}
    assert make(resize="crop").to_json()["version"] == 2
    for more in (
        {"interpolation": "bicubic"},
        {"crop_share": 0.9},
        {"order": "bgr"},
        {"draft": False},
        {"antialias": False},
    ):
        whole = make(**more)
        assert whole.to_json()["version"] == 3
        assert Preprocess.from_json(whole.to_json()) == whole


def test_a_build_keeps_its_preprocessing_to_its_queries(tmp_path):
    folder, home = write_folder(tmp_path / "photos"), tmp_path / "home"
    said = {"resize": "center_crop", "crop_share": 0.8, "interpolation": "bicubic", "draft": False}
    keys = [f"--set=images.{key}={json.dumps(value)}" for key, value in said.items()]
    run_cli("build", folder, *SMALL, *keys, "--home", home, check=0)
    bundles = [json.loads(path.read_bytes()) for path in home.glob("artifacts/train/*/embedder.json")]
    assert bundles
    for bundle in bundles:
        assert bundle["preprocessing"]["version"] == 3
        assert said.items() <= bundle["preprocessing"].items()
    image = next(folder.rglob("*.png"))
    hits = json.loads(run_cli("query", image, "--json", "--home", home, check=0).stdout)["hits"]
    assert hits[0]["score"] > 0.9999  # embedded by the same pixels as when it was built
    assert "up to date" in run_cli("build", folder, *SMALL, *keys, "--home", home, check=0).stderr
    other = run_cli("build", folder, *SMALL, *keys[:2], "--home", home, check=0)
    assert "Trained" in other.stderr
