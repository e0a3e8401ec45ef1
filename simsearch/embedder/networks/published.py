"""How published models say that their pictures are prepared -> keys of [images]. Reads JSON, no library of theirs.

Two shapes are read: `preprocessor_config.json` of transformers (an image processor), and `preprocess_cfg.json` or
`config.json` of timm (a data config, maybe under "pretrained_cfg").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simsearch.embedder.networks.published_numbers import (
    LEAST,
    LEAST_SHARE,
    MOST,
    flag,
    number,
    numbers,
    read_config,
    refuse,
    side,
)
from simsearch.embedder.networks.published_processors import accepted
from simsearch.errors import EmbedderError

FILES = ("preprocessor_config.json", "preprocess_cfg.json", "config.json")
RESAMPLE = {1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers, as transformers writes them
BYTE = 1 / 255
CONVNEXT_SQUASHES = 384


def read_beside(model: Path) -> tuple[dict[str, Any], Path | None]:
    """Return the keys of [images] that a file beside a model gives, and that file; ({}, None) where none says any.

    Raises EmbedderError for a file that cannot be read, and for a preparation that has no equal here.
    """
    for name in FILES:
        path = model.parent / name
        if not path.is_file():
            continue
        found = read_config(path)
        if found.keys() & {"pretrained_cfg", "input_size"}:
            return of_timm(_inner(found), str(path)), path
        if found.keys() & {"do_resize", "image_mean", "do_normalize"}:
            return of_transformers(found, str(path)), path
    return {}, None


class Unread(Mapping[str, Any]):
    """Keys of [images] in a file that cannot be read: whoever asks for them gets its EmbedderError."""

    def __init__(self, error: EmbedderError) -> None:
        self.error = error

    def __getitem__(self, key: str) -> Any:
        raise self.error

    def __iter__(self) -> Iterator[str]:
        raise self.error

    def __len__(self) -> int:
        raise self.error


def of_timm(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the keys of [images] for a data config of timm: input_size, interpolation, crop_pct, crop_mode, mean, std.

    timm scales the shorter side to floor(size / crop_pct), and cuts the centre.
    """
    sides = config.get("input_size")
    three = isinstance(sides, list | tuple) and len(sides) == 3
    refuse(not three, where, f"input_size {sides!r:.60}", "channels and two sides")
    assert sides is not None
    channels = int(number(sides[0], where, "input_size", 1, 64))
    height, width = (side(one, where, "input_size") for one in sides[1:])
    mean, std = _scaled(config.get("mean"), config.get("std"), 1.0, where, "")
    share = config.get("crop_pct")
    share = 0.875 if share is None else number(share, where, "crop_pct", LEAST_SHARE, 1)  # timm's own default
    interpolation, mode = config.get("interpolation") or "bilinear", config.get("crop_mode") or "center"
    refuse(height != width, where, f"input_size {height} x {width}", "a square")
    refuse(mode not in ("center", "squash"), where, f"crop_mode {mode!r:.60}", "center or squash")
    known = isinstance(interpolation, str) and interpolation in RESAMPLE.values()
    refuse(not known, where, f"interpolation {interpolation!r:.60}", "bilinear or bicubic")
    refuse(mode == "squash" and share != 1, where, f"crop_pct {share} of a squashed picture", "crop_pct 1")
    resize = "squash" if mode == "squash" else "center_crop"
    return _keys(height, resize, share, str(interpolation), mean[:channels], std[:channels])


def of_transformers(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the keys of [images] for the settings of an image processor of transformers.

    What the network sees is (value * rescale_factor - mean) / std of values 0 to 255: mean and std come back as those
    of values / 255. It rounds half a pixel of the corner of a crop down.
    """
    config = accepted(config, where)
    factor = number(config.get("rescale_factor", BYTE), where, "rescale_factor", LEAST, MOST)
    scale = 255 * factor if flag(config, where, "do_rescale", True) else 255.0
    means: tuple[Any, Any] = ([0.0] * 3, [1.0] * 3)
    if flag(config, where, "do_normalize", True):
        means = config.get("image_mean"), config.get("image_std")
    mean, std = _scaled(*means, scale, where, "image_")
    cuts = flag(config, where, "do_center_crop", False)
    refuse(not flag(config, where, "do_resize", True), where, "no resize", "do_resize true")
    number_is_square = flag(config, where, "default_to_square", not cuts)
    shorter, square = _size(config.get("size"), where, "size", number_is_square)
    crop = _size(config.get("crop_size"), where, "crop_size", True)[1] if cuts else None
    refuse(cuts and crop is None, where, "crop_size with shortest_edge", "its height and width")
    resample = config.get("resample", 2)
    known = type(resample) is int and resample in RESAMPLE
    refuse(not known, where, f"resample {resample!r:.60}", "1, 2 or 3 (lanczos, bilinear, bicubic)")
    order = "bgr" if flag(config, where, "do_flip_channel_order", False) else None

    def keys(size: int, resize: str, share: float) -> dict[str, Any]:
        found = _keys(size, resize, share, RESAMPLE[resample], mean, std)
        return found if order is None else {**found, "order": order}

    if shorter is not None and "crop_pct" in config:  # as for a ConvNeXt, which squashes from 384 px on
        share = number(config["crop_pct"], where, "crop_pct", LEAST_SHARE, 1)
        wide = shorter >= CONVNEXT_SQUASHES
        return keys(shorter, "squash", 1.0) if wide else keys(shorter, "floor_crop", share)
    refuse("crop_pct" in config, where, "crop_pct of a squashed picture", "none")
    if shorter is not None:
        refuse(crop is None, where, f"size shortest_edge {shorter} and no do_center_crop", "a square")
        cut = crop or shorter
        fits = LEAST_SHARE <= cut / shorter <= 1
        refuse(not fits, where, f"crop_size {cut} of shortest_edge {shorter}", "a crop inside the picture")
        return keys(cut, "floor_crop", cut / shorter)
    assert square is not None
    refuse(crop not in (None, square), where, f"crop_size {crop} of a squashed picture", f"{square}")
    return keys(square, "squash", 1.0)


def _keys(
    size: int, resize: str, share: float, interpolation: str, mean: list[float], std: list[float]
) -> dict[str, Any]:
    pixels = {"size": size, "resize": resize, "crop_share": share, "interpolation": interpolation}
    return {**pixels, "draft": False, "mean": mean, "std": std}  # a JPEG decoded at a reduced size has other pixels


def _size(value: Any, where: str, key: str, number_is_square: bool) -> tuple[int | None, int | None]:
    """Return (shorter side, None), or (None, the side of a square)."""
    if not isinstance(value, dict):
        found = side(value, where, key)
        return (None, found) if number_is_square else (found, None)
    said = {name: one for name, one in value.items() if one is not None}
    if said.keys() == {"shortest_edge"}:
        return side(said["shortest_edge"], where, f"{key} shortest_edge"), None
    named = said.keys() == {"height", "width"}
    refuse(not named, where, f"{key} with {', '.join(said)}"[:90], "shortest_edge alone, or height and width")
    height, width = (side(said[name], where, f"{key} {name}") for name in ("height", "width"))
    refuse(height != width, where, f"{key} {height} x {width}", "a square")
    return None, height


def _scaled(mean: Any, std: Any, scale: float, where: str, of: str) -> tuple[list[float], list[float]]:
    """Return the mean and standard deviation a channel of values / 255, where theirs are of values times `scale`."""
    means, stds = numbers(mean, where, f"{of}mean"), numbers(std, where, f"{of}std", LEAST)
    return [value / scale for value in means], [value / scale for value in stds]


def _inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("pretrained_cfg", config)
    return inner if isinstance(inner, dict) else {}
