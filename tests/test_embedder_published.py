"""simsearch/embedder/networks/published.py: what files beside models say of their pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor
from torchvision.transforms.functional import crop

from simsearch.embedder.networks.published import of_timm, of_transformers, read_beside
from simsearch.errors import EmbedderError
from simsearch.images.preprocess import Preprocess

MEAN, STD = [0.48, 0.45, 0.4], [0.22, 0.23, 0.21]
TIMM = {"input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.9, "mean": MEAN, "std": STD}
TRANSFORMERS = {
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
}


SQUARE = {"do_center_crop": False, "size": 32}
EDGE = {"do_center_crop": False, "size": {"shortest_edge": 32}}
NAN, INF = float("nan"), float("inf")
# Files of others hold anything: (keys, what is said).
UNREAD = [
    ({"include_top": True}, "only keys whose meaning is known, seen include_top"),
    ({"rescale_offset": True}, "rescale_offset"),
    ({"do_grayscale": True}, "do_grayscale"),
    ({"do_thumbnail": 1, "do_align": [0]}, "seen do_align, do_thumbnail"),
    ({"auto_map": {"AutoImageProcessor": "their.Code"}}, "auto_map"),
    ({"data_format": "channels_last"}, "data_format"),
    ({"image_processor_type": "LevitImageProcessor"}, "one of Beit.*, seen image_processor_type 'LevitImageProcessor'"),
    ({"image_processor_type": "EfficientNetImageProcessor"}, "EfficientNet"),
    ({"image_processor_type": "Siglip2ImageProcessor"}, "Siglip2"),
    ({"image_processor_type": ["ViTImageProcessor"]}, "image_processor_type"),
    ({"image_processor_type": "ViT"}, "image_processor_type"),
    ({"feature_extractor_type": "PerceiverFeatureExtractor"}, "Perceiver"),
    ({"image_processor_type": "MobileViTImageProcessor", "do_normalize": True}, "do_flip_channel_order"),
    ({"do_flip_channel_order": True}, "do_flip_channel_order"),
    ({"do_normalize": "false"}, "true or false, seen do_normalize 'false'"),
    ({"do_resize": "no"}, "do_resize 'no'"),
    ({"do_resize": False, "size": 32}, "no resize"),
    ({"size": {"shortest_edge": 0}}, "a side of 8 to 2048 px, seen size shortest_edge 0"),
    ({"size": {"shortest_edge": -32}}, "-32"),
    ({**SQUARE, "size": 4000}, "a side of 8 to 2048 px, seen size 4000"),
    ({**SQUARE, "size": True}, "size True"),
    ({**SQUARE, "size": INF}, "size inf"),
    ({**SQUARE, "size": 10**400}, "size 1000"),
    ({**SQUARE, "size": 10**5000}, "size more than can be shown"),
    ({**SQUARE, "size": [32, 32]}, "size"),
    ({**SQUARE, "size": {"height": 32.7, "width": 32.7}}, "32.7"),
    ({"size": {"height": 32, "width": 32, "shortest_edge": 40}}, "shortest_edge alone, or height and width"),
    ({**EDGE}, "no do_center_crop"),
    ({"crop_size": {"height": 224, "width": 112}}, "224 x 112"),
    ({"crop_size": {"shortest_edge": 224}}, "crop_size with shortest_edge"),
    ({"crop_size": 20}, "a crop inside the picture"),
    ({**EDGE, "crop_pct": [1]}, r"crop_pct \[1\]"),
    ({**EDGE, "crop_pct": "0.9"}, "crop_pct '0.9'"),
    ({**EDGE, "crop_pct": True}, "crop_pct True"),
    ({**EDGE, "crop_pct": 1e-9}, "crop_pct 1e-09"),
    ({"crop_pct": 0.9}, "crop_pct with do_center_crop"),
    ({**SQUARE, "crop_pct": 0.9, "default_to_square": True}, "crop_pct of a squashed picture"),
    ({"image_mean": "123"}, "a list of numbers, seen image_mean '123'"),
    ({"image_mean": {"1": 1, "2": 2, "3": 3}}, "image_mean"),
    ({"image_mean": [NAN] * 3}, "image_mean nan"),
    ({"image_mean": [10**400, 0, 0]}, "image_mean 1000"),
    ({"image_std": [0, 0, 0]}, "image_std 0"),
    ({"image_std": [INF] * 3}, "image_std inf"),
    ({"rescale_factor": 1e-320}, "rescale_factor 1e-320"),
    ({"rescale_factor": 10**400}, "rescale_factor 1000"),
    ({"rescale_factor": -1 / 255}, "rescale_factor -0.00"),
    ({"resample": "3"}, "resample '3'"),
    ({"resample": True}, "resample True"),
]
UNREAD_OF_TIMM = [
    ({"input_size": [3, 4000, 4000]}, "a side of 8 to 2048 px"),
    ({"input_size": [3, True, True]}, "input_size True"),
    ({"input_size": "333"}, "input_size '333'"),
    ({"crop_pct": 1e-9}, "crop_pct"),
    ({"crop_pct": 5}, "crop_pct 5"),
    ({"crop_pct": [1]}, "crop_pct"),
    ({"crop_mode": ["center"]}, "crop_mode"),
    ({"interpolation": ["bicubic"]}, "interpolation"),
    ({"mean": "555"}, "mean '555'"),
    ({"mean": [INF] * 3}, "mean inf"),
    ({"std": [0] * 3}, "std 0"),
]


def preprocess(keys):
    later = {key: keys[key] for key in ("crop_share", "interpolation", "draft")}
    return Preprocess(keys["size"], 3, keys["resize"], tuple(keys["mean"]), tuple(keys["std"]), **later)


def photo(height=300, width=407):
    y, x = np.mgrid[:height, :width]
    waves = np.stack([127 + 100 * np.sin(x / a) * np.cos(y / b) for a, b in ((3, 5), (7, 2), (4, 9))], axis=2)
    return (waves + np.random.default_rng(0).normal(0, 9, waves.shape)).clip(0, 255).astype(np.uint8)


def seen_by(keys, picture):
    ours = preprocess(keys)
    return ours.normalize(ours.fit(picture)[None])[0]


def floor_crop(size):
    """As transformers cuts, which rounds half a pixel down."""
    return lambda picture: crop(picture, (picture.height - size) // 2, (picture.width - size) // 2, size, size)


def library(shorter, size, interpolation=InterpolationMode.BICUBIC, mean=MEAN, std=STD, cut=CenterCrop):
    steps = [Resize(shorter, interpolation), cut(size), ToTensor(), Normalize(mean, std)]
    return lambda picture: Compose(steps)(Image.fromarray(picture)).numpy()


@pytest.mark.parametrize(
    ("keys", "theirs"),
    [
        (of_timm(TIMM, ""), library(248, 224)),
        (
            of_timm({**TIMM, "crop_pct": None, "interpolation": "bilinear"}, ""),
            library(256, 224, InterpolationMode.BILINEAR),
        ),
        (of_timm({**TIMM, "crop_mode": "squash", "crop_pct": 1.0}, ""), library((224, 224), 224)),
        (of_transformers(TRANSFORMERS, ""), library(256, 224, cut=floor_crop)),
        (of_transformers({**TRANSFORMERS, "size": 224, "crop_size": 224}, ""), library(224, 224, cut=floor_crop)),
        (of_transformers({**TRANSFORMERS, "size": 224, "do_center_crop": False}, ""), library((224, 224), 224)),
        (
            of_transformers({**TRANSFORMERS, "do_normalize": False}, ""),
            library(256, 224, mean=[0] * 3, std=[1] * 3, cut=floor_crop),
        ),
        (
            of_transformers(
                {**TRANSFORMERS, "do_center_crop": False, "size": {"shortest_edge": 224}, "crop_pct": 0.875}, ""
            ),
            library(256, 224, cut=floor_crop),
        ),
    ],
    ids=range(8),
)
def test_what_the_network_sees_is_what_theirs_sees(keys, theirs):
    gap = np.abs(seen_by(keys, photo()) - theirs(photo()))
    assert gap.max() <= 2 / 255 / min(STD)
    assert gap.mean() <= 0.25 / 255 / min(STD)


def test_values_of_0_to_255_are_told_in_mean_and_std():
    """As Caffe's models take them: pixels less a mean, not divided by anything."""
    keys = of_transformers(
        {**TRANSFORMERS, "do_rescale": False, "image_mean": [104, 117, 123], "image_std": [1, 1, 1]}, ""
    )
    plain = preprocess({**keys, "mean": [0.0] * 3, "std": [1.0] * 3})
    pixels = plain.fit(photo()).astype(np.float32).transpose(2, 0, 1)
    wanted = pixels - np.array([104, 117, 123], np.float32)[:, None, None]
    assert seen_by(keys, photo()) == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(
    ("read", "config", "words"),
    [
        (of_timm, {**TIMM, "input_size": [3, 224, 256]}, "224 x 256"),
        (of_timm, {**TIMM, "crop_mode": "border"}, "border"),
        (of_timm, {**TIMM, "interpolation": "random"}, "random"),
        (of_timm, {"mean": MEAN}, "input_size"),
        (of_transformers, {**TRANSFORMERS, "resample": 0}, "resample 0"),
        (of_transformers, {**TRANSFORMERS, "do_pad": True}, "do_pad"),
        (of_transformers, {**TRANSFORMERS, "do_resize": False}, "no resize"),
        (of_transformers, {**TRANSFORMERS, "size": {"height": 20, "width": 30}}, "20 x 30"),
        (of_transformers, {**TRANSFORMERS, "crop_size": 300}, "crop_size 300"),
        (of_transformers, {**TRANSFORMERS, "image_std": None}, "image_std None"),
        (of_transformers, {**TRANSFORMERS, "rescale_factor": 0}, "rescale_factor 0"),
        *((of_transformers, {**TRANSFORMERS, **change}, words) for change, words in UNREAD),
        *((of_timm, {**TIMM, **change}, words) for change, words in UNREAD_OF_TIMM),
    ],
)
def test_what_has_no_equal_here_is_refused(read, config, words):
    with pytest.raises(EmbedderError, match=words) as seen:
        read(config, "config.json")
    assert "config.json" in seen.value.message
    assert "--set images" in seen.value.hint


def test_the_file_beside_a_model(tmp_path):
    model = tmp_path / "model.onnx"
    assert read_beside(model) == ({}, None)
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 7}))
    assert read_beside(model) == ({}, None), "a file that says nothing of pixels"
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": TIMM}))
    assert read_beside(model) == (of_timm(TIMM, ""), tmp_path / "config.json")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(TRANSFORMERS))
    assert read_beside(model)[0] == of_transformers(TRANSFORMERS, "")
    for bad in ("{", "[]", "null", "[" * 100_000, '{"input_size": 3}', '{"do_resize": NaN}', '{"x": [-Infinity]}'):
        (tmp_path / "preprocessor_config.json").write_text(bad)
        with pytest.raises(EmbedderError, match="preprocessor_config"):
            read_beside(model)


@pytest.mark.parametrize(
    ("kind", "size", "resample", "wanted"),
    [
        ("ViTImageProcessor", 32, None, ("squash", "bilinear")),
        ("ViTImageProcessorFast", 32, None, ("squash", "bilinear")),
        ("BeitImageProcessor", 32, None, ("squash", "bicubic")),
        ("CLIPImageProcessor", 32, None, ("floor_crop", "bicubic")),
        ("MobileNetV2ImageProcessor", 32, None, ("floor_crop", "bilinear")),
        ("ConvNextImageProcessor", 32, None, ("floor_crop", "bicubic")),
        ("CLIPImageProcessor", 32, 2, ("floor_crop", "bilinear")),
    ],
)
def test_what_a_file_does_not_say_is_what_its_processor_does(kind, size, resample, wanted):
    said = {"resample": resample} if resample else {}
    keys = of_transformers(
        {"image_processor_type": kind, "size": size, "crop_size": 32, "image_mean": MEAN, "image_std": STD, **said}, ""
    )
    assert (keys["resize"], keys["interpolation"], "order" in keys) == (*wanted, False)


def test_channels_that_a_processor_turns_are_turned_here_too():
    keys = of_transformers(
        {"image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 36}, "crop_size": 32}, ""
    )
    assert (keys["order"], keys["mean"], keys["std"]) == ("bgr", [0.0] * 3, [1.0] * 3)


def test_a_data_config_as_timm_itself_gives_it_has_tuples():
    config = {"input_size": (3, 160, 160), "mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2), "crop_pct": 1.0}
    assert of_timm(config, "timm:x") == of_timm(
        {key: [*value] if key != "crop_pct" else value for key, value in config.items()}, "timm:x"
    )
