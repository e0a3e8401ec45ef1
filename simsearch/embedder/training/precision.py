"""Where and how training computes: device, precision and threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from simsearch.errors import EmbedderError

GPUS = {"cuda": "NVIDIA GPU", "mps": "GPU of Apple"}


def choose_device(device: str = "auto") -> torch.device:
    """Return the device called `device`; "auto" is cuda where there is one, else the CPU.

    Raises EmbedderError for one that torch does not find.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = {"cuda": torch.cuda.is_available, "mps": torch.mps.is_available}
    if device in found and not found[device]():
        raise EmbedderError(
            f'[run] device = "{device}": no {GPUS[device]} found by torch {torch.__version__}',
            hint="--set run.device=cpu, or auto, which takes what there is",
        )
    return torch.device(device)


def named(device: torch.device) -> str:
    """Return a device in words: its kind, and what the driver calls it."""
    return f"{device.type} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def choose_precision(device: torch.device) -> str:
    """Return "bfloat16" where `device` multiplies it in hardware (slower than float32 elsewhere), else "float32"."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if device.type != "cpu":
        return "float32"
    has = torch.cpu.get_capabilities()
    return "bfloat16" if has.get("avx512_bf16") or has.get("amx_bf16") or has.get("bf16") else "float32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return a context in which matrix products and convolutions run in `precision`."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


@contextmanager
def torch_threads(threads: int | None) -> Iterator[int]:
    """Compute in torch with `threads` threads (None: as many as now); yield their number.

    The number enters results: sums are split by thread.
    """
    before = torch.get_num_threads()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
