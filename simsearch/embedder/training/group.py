"""The processes, ranks, that train one model together: each takes an equal part of every batch.

All hold the same weights, which the same steps change: gradients are averaged. A loss that compares images gets the
whole batch in every rank, of which only the rank's own part is live: the features of others come without their
networks, and the gradient of the own part is multiplied by the number of ranks, so that the average over ranks is the
gradient of one process with the whole batch, and nothing is sent back. Local batches alone would be another loss:
the gradient of triplets had a cosine of .67 with that of the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor, distributed, nn

from simsearch.arrays import Integers
from simsearch.embedder.training.precision import choose_device
from simsearch.errors import EmbedderError

PATIENCE = timedelta(hours=2)  # for the first rank, which alone looks at the val rows after an epoch
ALIKE = 0  # the stream of random numbers that all ranks draw from; a rank's own is its number + 1


@dataclass(frozen=True)
class Group:
    """This process among `size` ranks, 0 .. size - 1; one alone does nothing in any of these calls.

    Collective calls, which all ranks make in the same order: `whole`, `average`, `of_first`, `copy_first`, `agree`.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and prints."""
        return self.rank == 0

    def part(self, batch: Integers) -> Integers:
        """Return this rank's part (B / size,) of a batch (B,), which `size` divides."""
        share = len(batch) // self.size
        return batch[self.rank * share : (self.rank + 1) * share]

    def whole(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, dim) and labels (B,) of the whole batch, in its order, from each rank's (B / size, dim).

        A gradient reaches only the own part, multiplied by `size`: its mean over ranks is that of one process.
        """
        if self.size == 1:
            return features, labels
        live = features.view_as(features)
        live.register_hook(lambda gradient: gradient * self.size)  # type: ignore[no-untyped-call]
        parts, names = self._gathered(features.detach()), self._gathered(labels)
        parts[self.rank] = live
        return torch.cat(parts), torch.cat(names)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Set each tensor, of one type, to its mean over all ranks."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def draw(self, seed: int, step: int, *, alike: bool) -> None:
        """Let what torch draws at random next depend on seed and step alone, and unless `alike` on the rank.

        So a resumed rank draws what it would have drawn, and no checkpoint holds the random state of others.
        """
        if self.size > 1:
            stream = ALIKE if alike else self.rank + 1
            torch.manual_seed(int(np.random.SeedSequence([seed, step, stream]).generate_state(1)[0]))

    def of_first(self, value: float | None, device: torch.device) -> float | None:
        """Return the value that the first rank gives; NaN stands for None on the way."""
        if self.size == 1:
            return value
        sent = torch.tensor([np.nan if value is None else value], dtype=torch.float64, device=device)
        distributed.broadcast(sent, 0)
        return None if bool(sent.isnan()) else float(sent)

    def copy_first(self, *modules: nn.Module) -> None:
        """Set parameters and buffers to those of the first rank."""
        if self.size > 1:
            for tensor in (tensor for module in modules for tensor in module.state_dict().values()):
                sent = tensor.contiguous()
                distributed.broadcast(sent, 0)
                tensor.copy_(sent)

    def agree(self, step: int, device: torch.device) -> None:
        """Raise EmbedderError unless all ranks go on from the same step; none goes on before all have said theirs."""
        if self.size > 1:
            steps = torch.cat(self._gathered(torch.tensor([step], device=device))).tolist()
            if len(set(steps)) > 1:
                raise EmbedderError(
                    f"the {self.size} ranks of the training read other checkpoints, of steps {steps}",
                    hint="run the same command again when nothing else writes to the home",
                )

    def _gathered(self, tensor: Tensor) -> list[Tensor]:
        tensor = tensor.contiguous()
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        distributed.all_gather(parts, tensor)
        return parts


ALONE = Group()


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """Join the ranks that torchrun started, which the environment tells of; a GPU is taken by one rank alone.

    Raises EmbedderError where there are fewer GPUs than ranks, and for a device that ranks cannot share work on.
    """
    place = choose_device(device)
    if place.type not in ("cpu", "cuda"):
        raise EmbedderError(
            f'[run] device = "{place.type}": ranks train on the CPU or on NVIDIA GPUs',
            hint="--set training.ranks=1, or --set run.device=cpu",
        )
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        group = Group(distributed.get_rank(), distributed.get_world_size())
        if place.type == "cuda":
            if torch.cuda.device_count() < group.size:
                raise EmbedderError(
                    f"[training] ranks = {group.size}: expected a GPU a rank, seen {torch.cuda.device_count()}",
                    hint=f"--set training.ranks={torch.cuda.device_count()}, or --set run.device=cpu",
                )
            torch.cuda.set_device(group.rank)
        yield group
    finally:
        distributed.destroy_process_group()
