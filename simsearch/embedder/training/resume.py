"""What a training run must remember to go on bit by bit: position, weights, optimizer, random state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from simsearch.embedder.training import checkpoint
from simsearch.errors import EmbedderError

WEIGHTS = "model.", "loss."


@dataclass
class Position:
    """How far a run is: `step` steps in all, `batch` of them in `epoch`; sums over that epoch; rows of past epochs.

    `mined`: whether the loss reports the share of active pairs. `best`: the best validation, `waited` epochs ago.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    images: int = 0
    loss_sum: float = 0.0
    active_sum: float = 0.0
    mined: bool = False
    seconds: float = 0.0
    best: float | None = None
    waited: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Run:
    """The objects of a run whose state is saved and restored; `plan` are JSON values that tell runs apart."""

    model: nn.Module
    loss: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    plan: dict[str, Any]
    partial: Path
    kept: Mapping[str, Tensor] = field(default_factory=dict)
    kept_epoch: int = 0

    def __post_init__(self) -> None:
        self._both = nn.ModuleDict({"model": self.model, "loss": self.loss})

    def keep(self, epoch: int) -> None:
        """Remember the weights of model and loss as they are now, after `epoch` epochs."""
        self.kept_epoch = epoch
        self.kept = {name: tensor.detach().to("cpu", copy=True) for name, tensor in self._both.state_dict().items()}

    def back_to_kept(self) -> None:
        """Set model and loss to the weights last kept, if any were."""
        if self.kept:
            self._both.load_state_dict(self.kept)

    def save(self, position: Position) -> None:
        """Write the run as it is now into `partial` (see `checkpoint`)."""
        tensors: dict[str, Tensor] = self._both.state_dict()
        tensors |= {f"kept.{name}": tensor for name, tensor in self.kept.items()}
        for number, parameter in enumerate(self._parameters()):
            for name, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{number}.{name}"] = value
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        # Clones: buffers that share memory, as tied weights do, cannot be written otherwise.
        flat = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        state = {"step": position.step, "plan": self.plan, "kept_epoch": self.kept_epoch, "position": asdict(position)}
        checkpoint.save(self.partial, tensors=flat, state=state)

    def restore(self) -> Position:
        """Set everything to the last checkpoint, and return its position; the start when there is none of this plan.

        Raises EmbedderError for one that another number of ranks made.
        """
        found = checkpoint.load(self.partial)
        if found is None:
            return Position()
        tensors, state = found
        self._refuse_other_ranks(state.get("plan"))
        # Through JSON, as the saved one went: tuples become lists.
        if state.get("plan") != json.loads(json.dumps(self.plan)):
            return Position()
        self._both.load_state_dict({name: tensor for name, tensor in tensors.items() if name.startswith(WEIGHTS)})
        self.kept, self.kept_epoch = _below(tensors, "kept."), int(state.get("kept_epoch", 0))
        for number, parameter in enumerate(self._parameters()):
            for name, value in _below(tensors, f"optimizer.{number}.").items():
                # In the parameter's own memory layout: the fused step walks through both as plain memory.
                like = torch.empty_like(parameter) if value.shape == parameter.shape else value.to(parameter.device)
                self.optimizer.state[parameter][name] = like.copy_(value)
        torch.set_rng_state(tensors["random.cpu"])
        if self.device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)
        return Position(**state["position"])

    def _refuse_other_ranks(self, plan: Any) -> None:
        """Other ranks would go on to another end: that is said, where any other plan is a training of its own."""
        then, now = (int(one.get("ranks", 1)) if isinstance(one, dict) else 0 for one in (plan, self.plan))
        if then not in (0, now):
            raise EmbedderError(
                f"the checkpoint in {self.partial} was made by {then} ranks, and this training has {now}",
                hint=f"--set training.ranks={then} goes on with it; move that folder away to begin anew",
            )

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


def shapes(*modules: nn.Module) -> list[list[int]]:
    """Return the shapes of all tensors of `modules`, in order: part of a plan, so that others are not restored."""
    return [list(tensor.shape) for module in modules for tensor in module.state_dict().values()]


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
