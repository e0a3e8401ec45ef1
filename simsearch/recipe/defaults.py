"""What keys of [training] and [augmentation] are where a recipe leaves them out: it depends on what is trained.

Those of small networks were chosen on val rows: docs/results.md.
"""

from __future__ import annotations

import math
from typing import Any, Literal

Kind = Literal["head", "fine-tuning", "small", "scratch"]

PHOTO_AUGMENTATION: dict[str, Any] = {"crop": 0.5, "flip": True, "colour": 0.2}
# Safe for characters too, which a flip is not.
SMALL_AUGMENTATION: dict[str, Any] = {"shift": 1}
NO_AUGMENTATION: dict[str, Any] = {"crop": 1.0, "flip": False, "colour": 0.0, "rotate": 0.0, "scale": 0.0, "shift": 0}
HEAD: dict[str, Any] = {
    "epochs": 40,
    "batch_size": 256,
    "learning_rate": 2e-3,
    "weight_decay": 1e-4,
    "schedule": "late_decay",
    "patience": 0,
}
SCRATCH: dict[str, Any] = {**HEAD, "epochs": 6, "learning_rate": 1e-3}
# `mnist_cnn` and `conv4` from no weights; the epochs are those of much data, see `epochs_for`.
SMALL: dict[str, Any] = {**SCRATCH, "batch_size": 128, "learning_rate": 2e-3, "weight_decay": 0.3}
FINE_TUNING: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 16,
    "learning_rate": 3e-4,
    "head_learning_rate": 2e-3,
    "weight_decay": 1e-4,
    "schedule": "one_cycle",
    "patience": 3,
}
# What small networks were trained by at first, where it differs: builds made so are known by it.
FIRST: dict[str, Any] = {"epochs": 6, "batch_size": 256, "learning_rate": 1e-3, "weight_decay": 1e-4}
FIRST_SHIFT = 0

LEAST_STEPS, MOST_EPOCHS = 2000, 100


def epochs_for(images: int, batch_size: int) -> int:
    """Return how many epochs train a small network on so many fit images: 2,000 steps or more, 6 to 100 epochs."""
    steps = max(1, math.ceil(images / batch_size))
    return max(int(SMALL["epochs"]), min(MOST_EPOCHS, math.ceil(LEAST_STEPS / steps)))


def of_training(kind: Kind) -> dict[str, Any]:
    """Return the defaults of [training]."""
    return {"head": HEAD, "fine-tuning": FINE_TUNING, "small": SMALL, "scratch": SCRATCH}[kind]


def of_augmentation(kind: Kind, *, photos: bool) -> dict[str, Any]:
    """Return the defaults of [augmentation]; `photos`: of a folder or a list."""
    own = {"small": SMALL_AUGMENTATION, "fine-tuning": PHOTO_AUGMENTATION if photos else {}}
    return {**NO_AUGMENTATION, **own.get(kind, {})}
