"""How published models say that their pictures are prepared -> keys of [images]. Reads JSON, no library of theirs.

Two shapes are read: `preprocessor_config.json` of transformers (an image processor), and `preprocess_cfg.json` or
`config.json` of timm (a data config, maybe under "pretrained_cfg").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simsearch.errors import EmbedderError

FILES = ("preprocessor_config.json", "preprocess_cfg.json", "config.json")
MOST_BYTES = 1_000_000
RESAMPLE = {1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers, as transformers writes them
BYTE = 1 / 255
CONVNEXT_SQUASHES = 384
HINT = "--set images.size, resize, interpolation, mean and std say it instead"


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


def of_timm(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the keys of [images] for a data config of timm: input_size, interpolation, crop_pct, crop_mode, mean, std.

    timm scales the shorter side to floor(size / crop_pct), and cuts the centre.
    """
    try:
        channels, height, width = (int(side) for side in config["input_size"])
        mean, std = _numbers(config["mean"]), _numbers(config["std"])
        share = float(config.get("crop_pct") or 0.875)  # timm's own default
        interpolation, mode = config.get("interpolation") or "bilinear", config.get("crop_mode") or "center"
    except (KeyError, TypeError, ValueError) as error:
        raise EmbedderError(f"{where}: expected a data config of timm: {error!r}", hint=HINT) from None
    _refuse(height != width, where, f"input_size {height} x {width}", "a square")
    _refuse(mode not in ("center", "squash"), where, f"crop_mode {mode!r}", "center or squash")
    _refuse(interpolation not in RESAMPLE.values(), where, f"interpolation {interpolation!r}", "bilinear or bicubic")
    _refuse(mode == "squash" and share != 1, where, f"crop_pct {share} of a squashed picture", "crop_pct 1")
    resize = "squash" if mode == "squash" else "center_crop"
    return _keys(height, resize, share, interpolation, mean[:channels], std[:channels])


def of_transformers(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the keys of [images] for the settings of an image processor of transformers.

    What the network sees is (value * rescale_factor - mean) / std of values 0 to 255: mean and std come back as those
    of values / 255. It rounds half a pixel of the corner of a crop down.
    """
    try:
        factor = float(config.get("rescale_factor", BYTE)) if config.get("do_rescale", True) else 1.0
        normal = bool(config.get("do_normalize", True))
        mean = _numbers(config["image_mean"]) if normal else [0.0] * 3
        std = _numbers(config["image_std"]) if normal else [1.0] * 3
        shorter, sides = _size(config["size"], where) if config.get("do_resize", True) else (None, None)
        if isinstance(config.get("size"), int) and not config.get("do_center_crop", False):
            shorter, sides = None, (int(config["size"]),) * 2  # as for a ViT; with a crop it is the shorter side
        crop = _size(config["crop_size"], where) if config.get("do_center_crop", False) else None
        interpolation = RESAMPLE.get(int(config.get("resample", 2)))
        scale = 255 * factor
        mean, std = [value / scale for value in mean], [value / scale for value in std]
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise EmbedderError(f"{where}: expected the settings of an image processor: {error!r}", hint=HINT) from None
    _refuse(
        interpolation is None, where, f"resample {config.get('resample')}", "1, 2 or 3 (lanczos, bilinear, bicubic)"
    )
    _refuse(bool(config.get("do_pad")), where, "do_pad", "none")
    _refuse(shorter is None and sides is None, where, "no resize", "size with shortest_edge, or height and width")
    side = None if crop is None else crop[0] or (crop[1] or (None,))[0]
    if shorter is not None and config.get("crop_pct"):  # as for a ConvNeXt, which squashes from 384 px on
        wide = shorter >= CONVNEXT_SQUASHES
        share = 1.0 if wide else float(config["crop_pct"])
        return _keys(shorter, "squash" if wide else "floor_crop", share, str(interpolation), mean, std)
    if shorter is not None:
        cut = side or shorter
        _refuse(cut > shorter, where, f"crop_size {cut} of shortest_edge {shorter}", "a crop inside the picture")
        return _keys(cut, "floor_crop", cut / shorter, str(interpolation), mean, std)
    assert sides is not None
    _refuse(sides[0] != sides[1], where, f"size {sides[0]} x {sides[1]}", "a square")
    _refuse(side not in (None, sides[0]), where, f"crop_size {side} of a squashed picture", f"{sides[0]}")
    return _keys(sides[0], "squash", 1.0, str(interpolation), mean, std)


def _keys(
    size: int, resize: str, share: float, interpolation: str, mean: list[float], std: list[float]
) -> dict[str, Any]:
    pixels = {"size": size, "resize": resize, "crop_share": share, "interpolation": interpolation}
    return {**pixels, "draft": False, "mean": mean, "std": std}  # a JPEG decoded at a reduced size has other pixels


def _size(value: Any, where: str) -> tuple[int | None, tuple[int, int] | None]:
    """Return (shorter side, None) or (None, (height, width))."""
    if isinstance(value, int):
        return value, None
    if "shortest_edge" in value:
        _refuse("longest_edge" in value, where, "longest_edge", "shortest_edge alone")
        return int(value["shortest_edge"]), None
    return None, (int(value["height"]), int(value["width"]))


def _inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("pretrained_cfg", config)
    return inner if isinstance(inner, dict) else {}


def _numbers(values: Any) -> list[float]:
    return [float(value) for value in values]


def _refuse(wrong: bool, where: str, seen: str, expected: str) -> None:
    if wrong:
        raise EmbedderError(f"{where}: expected {expected}, seen {seen}", hint=HINT)


def read_config(path: Path) -> dict[str, Any]:
    """Return the table of a file of settings; EmbedderError for one that cannot be read."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"larger than {MOST_BYTES:,} bytes")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("no table")
        return found
    except (OSError, ValueError, RecursionError) as error:
        raise EmbedderError(f"cannot read {path}: {error}", hint=HINT) from None
