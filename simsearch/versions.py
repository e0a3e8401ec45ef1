"""Which software and machine made an artifact: for manifests and `simsearch show`."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

__version__ = "0.1.0"  # a constant: importlib.metadata takes 50 ms that a query need not pay
PACKAGES = ("torch", "torchvision", "onnxruntime", "faiss-cpu", "numpy", "h5py", "pillow")


def usable_cores() -> int:
    """How many cores this process may use, which a container or taskset can set below the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cpu() -> str:
    """What the processor of this machine is called."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def versions() -> dict[str, Any]:
    """Versions of simsearch, Python and the libraries that enter the bits of a result; machine and cores."""
    from importlib.metadata import PackageNotFoundError, version  # 50 ms that a query need not pay

    found: dict[str, Any] = {"simsearch": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {**found, "machine": f"{platform.system()} {platform.machine()}, {usable_cores()} cores"}
