"""The same pixels: pictures as we prepare them against what a model's own library makes of them, and features too.

A model is as good as in its paper only on pictures prepared as there, and nothing else shows that they are not: such a
build works, and answers worse. Compared are values / 255, with the normalization undone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Pixels
from simsearch.embedder.networks.family import Theirs
from simsearch.errors import RecipeError
from simsearch.images.preprocess import CENTRED, INTERPOLATIONS, LATER, LONGEST, Preprocess

MOST, MEAN = 2.0, 0.25  # of 255: anywhere in a picture, and on average
ROUNDING = 0.01  # of 255: float32
LEAST_COSINE = 0.9999
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCALES = (IMAGENET, ((0.5,) * 3, (0.5,) * 3), ((0.0,) * 3, (1.0,) * 3))
LEAST_SHARE = 0.8  # of the shorter side that published models keep
ORDER_OF_KEYS = ("size", "resize", "crop_share", "interpolation", "antialias", "order", "mean", "std")


@dataclass(frozen=True)
class Gap:
    """How far pictures are apart, of 255: the largest difference anywhere, and the mean."""

    most: float
    mean: float

    @property
    def small(self) -> bool:
        """Whether that is rounding; never for what is not finite."""
        return self.most <= MOST + ROUNDING and self.mean <= MEAN + ROUNDING

    @property
    def words(self) -> str:
        """The gap in words."""
        return f"by up to {self.most:.0f} of 255, {self.mean:.2f} on average"


def gap_of(ours: Floats, theirs: Floats, std: Sequence[float]) -> Gap:
    """Return how far (N, C, S, S) float32 are from `theirs`, whose normalization divided by `std`."""
    if ours.shape != theirs.shape:
        return Gap(math.inf, math.inf)
    apart = np.abs(ours.astype(np.float64) - theirs) * np.reshape(std, (-1, 1, 1)) * 255
    return Gap(float(apart.max()), float(apart.mean()))


def cosines(ours: Floats, theirs: Floats) -> Floats:
    """Return the cosine (N,) of each feature (N, D) with its counterpart: 1 for two of zeros, NaN as NaN."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    both = (a == 0).all(axis=1) & (b == 0).all(axis=1)
    found: Floats = np.where(both, 1.0, np.einsum("nd,nd->n", a, b) / np.where(lengths == 0, 1.0, lengths))
    return found


def for_proof(settings: Mapping[str, Any], channels: int = 3) -> Preprocess:
    """Return the preprocessing of keys of [images], for pictures that are decoded whole."""
    return Preprocess(**{**settings, "channels": channels, "draft": False, "mean": tuple(settings["mean"]),
                         "std": tuple(settings["std"])})  # fmt: skip


def shown(picture: Pixels) -> Pixels:
    """Return (H, W, 3) of a decoded picture (H, W) or (H, W, 3), of a very long one the middle.

    What is more than eight times as long as wide is cut before it is scaled here, which nobody else does.
    """
    height, width = picture.shape[:2]
    most = LONGEST * min(height, width)
    top, left = max(0, (height - most) // 2), max(0, (width - most) // 2)
    picture = picture[top : top + most, left : left + most]
    return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)


def drawn_card(size: int, share: float = 1.0) -> Pixels:
    """Return a drawn picture, larger than `size` and not square, in which every way of preparing it is seen.

    Pictures of a corpus may be flat, gray or of that very size already, and the backbone serves other corpora too.
    Where `share` of its shorter side is kept, half a pixel is left over that libraries round otherwise.
    """
    shorter, height, width = math.floor(size / share + 1e-6), round(1.4 * size) + 1, round(1.9 * size)
    width = next((w for w in range(width, width + size) if (int(shorter * w / height) - size) % 4 == 3), width)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    near, far = size / 20, size / 5
    waves = (np.sin(x / near) * np.cos(y / far), np.sin((x + y) / near), np.cos(x / far) * np.sin(y / near))
    card = np.stack([120 + 30 * number + 60 * wave for number, wave in enumerate(waves)], axis=2)
    card[height // 3 : height // 2, width // 4 : width // 2] = (230, 40, 60)
    card[height // 2 :: 9, :, 2] += 40
    return card.clip(0, 255).astype(np.uint8)


def likely_cause(settings: Mapping[str, Any], theirs: Theirs, channels: int = 3) -> dict[str, Any] | None:
    """Return the keys of [images], changed in as few places as needed, that prepare the card as `theirs` does."""
    card = drawn_card(int(settings["size"]), float(settings.get("crop_share", 1.0)))
    seen = np.asarray(theirs.prepare(card), dtype=np.float32)[None]
    for changes in _changes(settings):
        said = {**settings, **changes, "draft": False}
        try:
            preprocess = for_proof(said, channels)
        except RecipeError:
            continue  # what has no meaning together
        ours = preprocess.normalize(preprocess.fit(card)[None])
        if gap_of(ours, seen, theirs.settings["std"]).small:
            return said
    return None


def _changes(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what may be otherwise: one kind of it at a time, then two."""
    size = int(settings["size"])
    shorter = [size / side for side in range(size, math.ceil(size / LEAST_SHARE) + 1)]
    cuts: list[dict[str, Any]] = [{"resize": how, "crop_share": share} for how in CENTRED for share in shorter]
    cuts += [{"resize": resize, "crop_share": 1.0} for resize in ("squash", "crop", "pad")]
    kinds: tuple[list[dict[str, Any]], ...] = (
        [{"interpolation": name, "antialias": all_pixels} for all_pixels in (True, False) for name in INTERPOLATIONS],
        [{"order": "bgr" if settings.get("order", "rgb") == "rgb" else "rgb"}],
        cuts,
        [{"mean": mean, "std": std} for mean, std in SCALES],
    )
    for count in (1, 2):
        for some in itertools.combinations(kinds, count):
            for parts in itertools.product(*some):
                yield {key: value for part in parts for key, value in part.items()}


def otherwise(said: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keys of [images] that are `said` otherwise than `own` has them: (said, own) of each."""
    plain = {**LATER, **own, "draft": False}
    found = {key: (said.get(key, LATER.get(key)), plain[key]) for key in (*ORDER_OF_KEYS, "draft") if key in plain}
    if said.get("resize") not in CENTRED:
        found.pop("crop_share", None)  # of no meaning then
    return {key: pair for key, pair in found.items() if not _alike(*pair)}


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, int | float | list | tuple) and isinstance(other, int | float | list | tuple):
        return np.shape(one) == np.shape(other) and bool(np.allclose(one, other, rtol=0, atol=1e-6))
    return bool(one == other)


def key_words(keys: Iterable[tuple[str, Any]]) -> str:
    """Return keys of [images] with their values as `--set` takes them, in one line."""
    return ", ".join(f"images.{key}={value_words(value)}" for key, value in keys)


def value_words(value: Any) -> str:
    """Return a value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(f'{one:.9g}' for one in value)}]"
    return f"{value:.9g}" if isinstance(value, float) else str(value)
