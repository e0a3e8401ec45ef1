"""Which images meet in a batch: shuffled batches of all images, and balanced ones for pair losses."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from simsearch.arrays import Integers
from simsearch.errors import EmbedderError

LARGEST_BATCH = 65_536


def shuffled_batches(n: int, batch_size: int, seed: int, epoch: int) -> Iterator[Integers]:
    """Yield range(n) in an order that (seed, epoch) alone decide, in batches (B,) int64; the last may be smaller.

    A last batch of one image joins the one before: batch norm cannot work on a single value.
    """
    order = np.random.default_rng([seed, epoch]).permutation(n).astype(np.int64, copy=False)
    starts = list(range(0, n, batch_size))
    if len(starts) > 1 and n - starts[-1] == 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        yield order[start:stop]


def in_equal_parts(batches: Iterator[Integers], parts: int, least: int) -> Iterator[Integers]:
    """Yield batches (B,) cut to a multiple of `parts`, but none that gives a part fewer than `least` images.

    Of shuffled batches only the last of an epoch may be left out, or lose a few images: others in every epoch.
    """
    for batch in batches:
        share = len(batch) // parts
        if share >= least:
            yield batch[: share * parts]


class BalancedSampler:
    """Batches of P classes x K images, which pair losses need (FaceNet, section 3.2).

    A class gives its images in shuffled order and starts again when fewer than K are left, so no batch holds an
    image twice, unless its class has fewer than K images: those are drawn with replacement (`short_classes` many).
    """

    def __init__(self, labels: Integers, classes_per_batch: int, images_per_class: int, seed: int) -> None:
        """`labels` (N,) int64. Raises EmbedderError for one class, for P > number of classes, and for P or K < 2."""
        names, inverse = np.unique(labels, return_inverse=True)
        if len(names) < 2:
            raise EmbedderError(
                f"a balanced batch needs at least 2 classes, the fit images have {len(names)}",
                hint="give images of a second class, or set loss.name to softmax or l2_softmax",
            )
        if classes_per_batch > len(names):
            raise EmbedderError(
                f"loss.classes_per_batch = {classes_per_batch}, but the fit images have {len(names)} classes",
                hint=f"--set loss.classes_per_batch={len(names)} or fewer",
            )
        if classes_per_batch < 2 or images_per_class < 2:
            raise EmbedderError(
                f"loss.classes_per_batch = {classes_per_batch} and loss.images_per_class = {images_per_class}: "
                "a tuple needs at least 2 of each"
            )
        if classes_per_batch * images_per_class > LARGEST_BATCH:
            raise EmbedderError(
                f"loss.classes_per_batch = {classes_per_batch} x loss.images_per_class = {images_per_class} are "
                f"{classes_per_batch * images_per_class:,} images a batch: expected at most {LARGEST_BATCH:,}"
            )
        self.members = [np.flatnonzero(inverse == row).astype(np.int64) for row in range(len(names))]
        self.classes_per_batch = classes_per_batch
        self.images_per_class = images_per_class
        self.seed = seed
        self.batches_per_epoch = math.ceil(len(labels) / (classes_per_batch * images_per_class))
        self.short_classes = sum(len(rows) < images_per_class for rows in self.members)

    def batches(self, epoch: int) -> Iterator[Integers]:
        """Yield `batches_per_epoch` batches (P * K,) int64 that depend on (seed, epoch) alone, grouped by class."""
        random = np.random.default_rng([self.seed, epoch])
        waiting = [np.empty(0, np.int64) for _ in self.members]
        for _ in range(self.batches_per_epoch):
            chosen = random.choice(len(self.members), self.classes_per_batch, replace=False)
            yield np.concatenate([self._take(row, waiting, random) for row in chosen])

    def _take(self, row: int, waiting: list[Integers], random: np.random.Generator) -> Integers:
        rows, count = self.members[row], self.images_per_class
        if len(rows) < count:
            return random.choice(rows, count, replace=True)
        if len(waiting[row]) < count:
            waiting[row] = random.permutation(rows)
        taken, waiting[row] = waiting[row][:count], waiting[row][count:]
        return taken
