"""Which software and machine made an artifact: for manifests and `simsearch show`."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from . import __version__

PACKAGES = ("torch", "torchvision", "onnxruntime", "faiss-cpu", "numpy", "h5py", "pillow")


@cache
def versions() -> dict[str, Any]:
    """Versions of simsearch, Python and the libraries that enter the bits of a result; machine and cores."""
    found: dict[str, Any] = {"simsearch": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {**found, "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"}
