"""The training loop, from top to bottom.

Resume order, each step of `train` that a resumed run repeats before it goes on where the last checkpoint was:
1. threads, device and precision are set: they enter the bits of every result;
2. torch's random state is seeded, whatever used it before (and given back afterwards);
3. model and loss move to the device, the optimizer is made;
4. the checkpoint in `partial` is read; a damaged one, or one of another plan, counts as none;
5. weights, loss, optimizer, random state and position are set from it;
6. metrics.jsonl is written again from its rows;
7. the epoch's batches are asked for again, and those already done are left out.
The learning rates are plain functions of the step, so they need no restoring. On a CPU the end is the same, bit by
bit, as that of an uninterrupted run on the same machine, versions and threads.

Of several ranks (group.py) each repeats these steps and the first alone writes; all stop where the first does.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from simsearch.arrays import Integers
from simsearch.embedder.losses.losses import compares
from simsearch.embedder.training.extract import Fetch, Prepare, raw_features
from simsearch.embedder.training.group import ALONE, Group
from simsearch.embedder.training.interrupts import whole_step
from simsearch.embedder.training.precision import choose_device, choose_precision, torch_threads
from simsearch.embedder.training.resume import Position, Run, shapes
from simsearch.embedder.training.schedule import Rates, make_optimizer
from simsearch.errors import EmbedderError

Epochs = Callable[[int, int, str], None]

METRICS = "metrics.jsonl"
# Losses are read from the device in groups: reading one waits for all work before it.
READ_EVERY = 16
PROGRESS_SECONDS = 0.1
# What a kill may cost: an epoch of a head takes a hundredth of a second, writing it durably three.
EPOCH_SECONDS = 1.0
# Checkpoints of large models are spaced so that writing them takes at most a twentieth of the time.
SAVE_SHARE = 0.05


class Trained(NamedTuple):
    """`metrics`: a row an epoch, as in metrics.jsonl; `kept`: the epoch, from 1, whose weights these are.

    `info`: threads, device and precision, for the manifest.
    """

    metrics: list[dict[str, Any]]
    kept: int
    info: dict[str, Any]


def train(
    model: nn.Module,
    loss: nn.Module,
    *,
    fetch: Fetch,
    labels: Integers,
    batches: Callable[[int], Iterator[Integers]],
    epochs: int,
    partial: Path,
    prepare: Prepare | None = None,
    rates: Rates | None = None,
    patience: int = 0,
    seed: int = 0,
    validate: Callable[[], float] | None = None,
    progress: Epochs | None = None,
    freeze_batch_norm: bool = False,
    checkpoint_seconds: float = 20.0,
    threads: int | None = None,
    device: str = "auto",
    precision: str | None = None,
    group: Group = ALONE,
) -> Trained:
    """Train `model` and `loss` in place with AdamW at `rates`; return how each epoch went.

    `batches(epoch)` gives indices (B,) int64; `fetch(indices)` the uint8 images (B, S, S, C), or float32 features
    (B, width) when the model is a head alone, as an array or a tensor; `prepare` makes network input of them (None:
    they are it). `labels` (N,) int64 are 0 .. classes - 1. `validate()` is asked after each epoch, the model in eval
    mode. `precision` is "float32" or "bfloat16" (None: as the device does best; features and loss stay float32).
    With `patience` training stops after so many epochs without a better validate(), and the weights of the best epoch
    are kept (of equal ones the last). `freeze_batch_norm` keeps batch norm's statistics. `partial` holds checkpoint
    and metrics.jsonl. Of a `group` each rank trains on its part of every batch, whose size the number of ranks divides.
    Raises EmbedderError when the loss is not finite, naming epoch and step, and KeyboardInterrupt after a checkpoint.
    """
    place = choose_device(device)
    how = precision or ("float32" if prepare is None else choose_precision(place))
    labels_there = torch.from_numpy(np.ascontiguousarray(labels)).to(place)
    per_epoch = sum(1 for _ in batches(0))
    steps = per_epoch * epochs
    rates = rates or Rates()
    patience = patience if validate is not None else 0
    random = torch.random.fork_rng(devices=[place] if place.type == "cuda" else [])
    with torch_threads(threads) as used, random:
        torch.manual_seed(seed)
        model.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
        loss.to(place)
        optimizer = make_optimizer(model, loss, rates)
        plan = {
            "epochs": epochs,
            "batches_per_epoch": per_epoch,
            "images": len(labels),
            "seed": seed,
            "rates": asdict(rates),
            "patience": patience,
            "freeze_batch_norm": freeze_batch_norm,
            "shapes": shapes(model, loss),
            **({"ranks": group.size} if group.size > 1 else {}),
        }
        group.copy_first(model, loss)
        run = Run(model, loss, optimizer, place, plan, partial)
        at = run.restore()
        group.agree(at.step, place)
        if group.first:
            _write_metrics(partial, at.rows)
        together = compares(loss)

        saved = told = time.perf_counter()
        save_seconds = 0.0
        unread: list[tuple[int, int, Tensor, Tensor | None]] = []
        try:
            while at.epoch < epochs and not 0 < patience <= at.waited:
                _train_mode(model, loss, freeze_batch_norm)
                inputs: Tensor | None = None
                began = time.perf_counter() - at.seconds
                for batch in islice(batches(at.epoch), at.batch, None):
                    indices = group.part(batch)
                    inputs = torch.as_tensor(fetch(indices)).to(place)
                    with whole_step():
                        chosen = labels_there[torch.as_tensor(indices, device=place)]
                        for rated in optimizer.param_groups:
                            rated["lr"] = rated["peak"] * rates.share(at.step, steps)
                        group.draw(seed, at.step, alike=False)
                        inputs = inputs if prepare is None else prepare(inputs)
                        features = raw_features(model, inputs, place, how)
                        group.draw(seed, at.step, alike=True)  # negatives are drawn for the whole batch
                        value, active = loss(*(group.whole(features, chosen) if together else (features, chosen)))
                        optimizer.zero_grad(set_to_none=True)
                        value.backward()
                        group.average([*_gradients(optimizer), value.detach()])
                        optimizer.step()
                        unread.append((at.step, len(batch), value.detach(), active))
                        at.step += 1
                        at.batch += 1
                        if len(unread) >= READ_EVERY:
                            _read(unread, at)
                    now = time.perf_counter()
                    if progress is not None and now - told > PROGRESS_SECONDS:
                        told = now
                        done = at.epoch * len(labels) + min(at.images, len(labels))
                        progress(done, epochs * len(labels), f"epoch {at.epoch + 1}/{epochs}")
                    if group.first and now - saved > max(checkpoint_seconds, save_seconds / SAVE_SHARE):
                        at.seconds = now - began
                        _save(run, at, unread)
                        saved = time.perf_counter()
                        save_seconds = saved - now
                with whole_step():
                    _read(unread, at)
                at.seconds = time.perf_counter() - began
                model.eval()
                _check_finite(model, loss, inputs, place, how, at)
                recall = group.of_first(validate() if validate is not None and group.first else None, place)
                shares = [rated["peak"] * rates.share(at.step - 1, steps) for rated in optimizer.param_groups]
                row = _row(at, recall, shares[0], shares[-1], per_epoch)
                with whole_step():
                    better = recall is not None and (at.best is None or recall > at.best)
                    if patience and (better or recall == at.best):
                        run.keep(at.epoch + 1)
                    at = Position(
                        epoch=at.epoch + 1,
                        step=at.step,
                        rows=[*at.rows, row],
                        best=recall if better else at.best,
                        waited=0 if better else at.waited + 1,
                    )
                    ends = at.epoch == epochs or 0 < patience <= at.waited
                    if group.first and (ends or time.perf_counter() - saved >= min(EPOCH_SECONDS, checkpoint_seconds)):
                        run.save(at)
                        saved = time.perf_counter()
                    if group.first:
                        _write_metrics(partial, at.rows)
                if progress is not None:
                    said = "" if recall is None else f", recall@1 {recall:.3f}"
                    text = f"epoch {at.epoch}/{epochs}, loss {row['loss']:.3f}{said}"
                    progress(at.epoch * len(labels), epochs * len(labels), text)
        except KeyboardInterrupt:
            if group.first:
                _save(run, at, unread)
            raise
        run.back_to_kept()
        model.eval()
        loss.eval()
        return Trained(at.rows, run.kept_epoch or at.epoch, {"threads": used, "device": place.type, "precision": how})


def _gradients(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    parameters = (parameter for rated in optimizer.param_groups for parameter in rated["params"])
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _train_mode(model: nn.Module, loss: nn.Module, freeze_batch_norm: bool) -> None:
    model.train()
    loss.train()
    if freeze_batch_norm:
        for module in _batch_norms(model):
            module.eval()


def learns_batch_norm(model: nn.Module, freeze_batch_norm: bool) -> bool:
    """Return whether training takes statistics over the images of a batch, or of a rank's part of it."""
    return not freeze_batch_norm and bool(_batch_norms(model))


def _batch_norms(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def _read(unread: list[tuple[int, int, Tensor, Tensor | None]], at: Position) -> None:
    """Add the unread losses to the epoch's sums in the order of the steps, so that groups do not change the bits."""
    if not unread:
        return
    values = torch.stack([value for _, _, value, _ in unread]).tolist()
    shares = [0.0 if active is None else float(active) for _, _, _, active in unread]
    for (step, count, _, _), value, share in zip(unread, values, shares, strict=True):
        if not math.isfinite(value):
            raise _not_finite(f"the loss became {value}", at, step)
        at.loss_sum += value
        at.active_sum += share
        at.images += count
    at.mined = unread[-1][3] is not None
    unread.clear()


def _check_finite(
    model: nn.Module, loss: nn.Module, inputs: Tensor | None, device: torch.device, precision: str, at: Position
) -> None:
    """Look at what the epoch's last steps made: a loss tells of the weights before its own step only."""
    for module in (model, loss):
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise _not_finite(f"the weights {name} became NaN or infinite", at, at.step - 1)
    if inputs is not None:
        with torch.inference_mode():
            if not bool(raw_features(model, inputs, device, precision).isfinite().all()):
                raise _not_finite("the features became NaN or infinite", at, at.step - 1)


def _not_finite(what: str, at: Position, step: int) -> EmbedderError:
    return EmbedderError(
        f"{what} in epoch {at.epoch + 1}, step {step + 1}",
        hint="try smaller learning rates and weight_decay in [training], then another seed; check images.mean and "
        "images.std, and the numbers in [loss]",
    )


def _save(run: Run, at: Position, unread: list[tuple[int, int, Tensor, Tensor | None]]) -> None:
    with whole_step():
        _read(unread, at)  # refuses to keep what follows a loss that is not finite
        run.save(at)


def _row(at: Position, recall: float | None, rate: float, head_rate: float, batches: int) -> dict[str, Any]:
    return {
        "epoch": at.epoch + 1,
        "loss": at.loss_sum / batches,
        "active": at.active_sum / batches if at.mined else None,
        "val_recall_at_1": None if recall is None or not math.isfinite(recall) else recall,
        "learning_rate": rate,
        "head_learning_rate": head_rate,
        "images_per_second": round(at.images / max(at.seconds, 1e-9), 1),
    }


def _write_metrics(partial: Path, rows: list[dict[str, Any]]) -> None:
    partial.mkdir(parents=True, exist_ok=True)
    (partial / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))
