"""Which images meet in the batches of a training, and whether ranks can share them. Loads torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from simsearch.arrays import Integers
from simsearch.console import Progress
from simsearch.embedder.training.sampling import BalancedSampler, in_equal_parts, shuffled_batches
from simsearch.errors import RecipeError
from simsearch.recipe import filled
from simsearch.recipe.loss import BalancedLoss, Loss
from simsearch.recipe.tables import Training

CLASSES_PER_BATCH = 10
LEAST_OF_BATCH_NORM = 32  # images that its statistics are worth something of


def batches_of(
    table: Loss, training: Training, labels: Integers, progress: Progress, *, ranks: int = 1, batch_norm: bool = False
) -> Callable[[int], Iterator[Integers]]:
    """Return the batches of an epoch: shuffled, or balanced where the loss compares images; `ranks` share each equally.

    `batch_norm`: statistics are learnt from the images of a rank. Raises RecipeError for batches that cannot be shared.
    """
    whole: Callable[[int], Iterator[Integers]]
    if isinstance(table, BalancedLoss):
        classes = table.classes_per_batch or min(CLASSES_PER_BATCH, len(np.unique(labels)))
        sampler = BalancedSampler(labels, classes, table.images_per_class, training.seed)
        if sampler.short_classes:
            images = table.images_per_class
            progress.say(f"{sampler.short_classes} classes have fewer than {images} fit images: drawn with replacement")
        whole, size, key = sampler.batches, classes * table.images_per_class, "loss.images_per_class"
    else:
        size, key = filled(training.batch_size), "training.batch_size"
        whole = lambda epoch: shuffled_batches(len(labels), size, training.seed, epoch)  # noqa: E731 - one of two
    if ranks == 1:
        return whole
    if size % ranks:
        raise RecipeError(
            f"[training] ranks = {ranks}: a batch has {size:,} images, expected a multiple of {ranks}",
            hint=f"--set {key}=N with another number, or other ranks",
        )
    share = min(size, len(labels)) // ranks
    least = LEAST_OF_BATCH_NORM if batch_norm else 1
    if share < least:
        raise RecipeError(
            f"[training] ranks = {ranks}: a rank has {share} images of a batch, expected at least {least}"
            + (" for batch norm, which learns from them alone" if batch_norm else ""),
            hint=f"take fewer ranks{', or --set training.freeze_batch_norm=true' if batch_norm else ''}",
        )
    if batch_norm:
        progress.say(f"Batch norm learns from the {share} images of a rank, not from the {share * ranks} of a batch")
    return lambda epoch: in_equal_parts(whole(epoch), ranks, least)
