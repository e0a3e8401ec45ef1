"""Which image processors of transformers are read, and what each does where its file says nothing.

A closed list: others turn channels, cut patches or scale in two steps, and their files look the same. Each was compared
with transformers 5.24 itself, whole and with every key of its file left out (tests/test_hf_processors.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simsearch.embedder.networks.published_numbers import flag, refuse

BILINEAR, BICUBIC = 2, 3  # Pillow's numbers, as transformers writes them
CUT = {"resample": BICUBIC, "do_center_crop": True, "default_to_square": False}
WHOLE = {"resample": BICUBIC, "default_to_square": True}
USUAL: dict[str, dict[str, Any]] = {
    "Beit": WHOLE,
    "Bit": CUT,
    "Blip": WHOLE,
    "CLIP": CUT,
    "ChineseCLIP": CUT,
    "ConvNext": {"resample": BICUBIC, "default_to_square": False, "crop_pct": 224 / 256},
    "DeiT": {**WHOLE, "do_center_crop": True},
    "MobileNetV1": {**CUT, "resample": BILINEAR},
    "MobileNetV2": {**CUT, "resample": BILINEAR},
    "MobileViT": {**CUT, "do_flip_channel_order": True, "do_normalize": False},
    "Pvt": WHOLE,
    "Segformer": {"resample": BILINEAR, "default_to_square": True},
    "Siglip": {"resample": BICUBIC, "default_to_square": False},
    "ViT": {"resample": BILINEAR, "default_to_square": True},
}
# One name a processor: by the way it computes, and as older versions called it.
ENDINGS = ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor")
SQUARE = "default_to_square"  # what a size that is one number means
KIND, OLD_KIND = "image_processor_type", "feature_extractor_type"
READ = {
    *("do_resize", "size", "resample", "default_to_square", "do_center_crop", "crop_size", "crop_pct"),
    *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "do_flip_channel_order"),
}
# What changes no pixel of the one RGB picture that is asked for: labels, names, where it is computed.
IDLE = {
    *(KIND, OLD_KIND, "processor_class", "_processor_class", "_valid_processor_keys", "_name_or_path"),
    *("do_convert_rgb", "do_reduce_labels", "reduce_labels", "device", "disable_grouping", "use_fast", "backend"),
    *("transformers_version",),
}


def filled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with what the named processor does where they say nothing; a step that is null is none."""
    said = {key: value for key, value in config.items() if value is not None or key not in ("crop_pct", SQUARE)}
    steps = {key: False for key, value in said.items() if value is None and key.startswith("do_")}
    return {**USUAL.get(_kind(config) or "", {}), **said, **steps}


def accepted(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the settings, `filled`, of a processor that is known.

    Raises EmbedderError for another, and for a key that asks for what nobody here knows.
    """
    kind = _kind(config)
    known = ", ".join(f"{name}ImageProcessor" for name in USUAL)
    said = repr(config.get(KIND) or config.get(OLD_KIND))
    refuse(kind is not None and kind not in USUAL, where, f"{KIND} {said:.60}", f"one of {known}")
    unknown = sorted(key for key in config.keys() - READ - IDLE if config[key] and not _as_usual(key, config[key]))
    refuse(bool(unknown), where, ", ".join(unknown)[:200], "only keys whose meaning is known")
    found = filled(config)
    flips = flag(found, where, "do_flip_channel_order", False)
    twice = (flips or kind == "MobileViT") and flag(found, where, "do_normalize", True)
    refuse(twice, where, "do_normalize with do_flip_channel_order", "one of them")
    cut = "crop_pct" in found and flag(found, where, "do_center_crop", False)
    refuse(cut, where, "crop_pct with do_center_crop", "one of them")
    refuse("crop_pct" in found and kind not in (None, "ConvNext"), where, f"crop_pct of a {kind}", "none")
    return found


def _kind(config: Mapping[str, Any]) -> str | None:
    """Return what a processor is called without its ending; None where the file names none."""
    said = config.get(KIND) or config.get(OLD_KIND)
    if said is None:
        return None
    ending = next((one for one in ENDINGS if isinstance(said, str) and said.endswith(one)), None)
    return f"{said!r:.60}" if ending is None else str(said).removesuffix(ending)


def _as_usual(key: str, value: Any) -> bool:
    return key in ("data_format", "input_data_format") and value == "channels_first"
