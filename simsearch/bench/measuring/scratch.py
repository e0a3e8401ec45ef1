"""Where a night works: a home of its own whose data sets are those of the real home, and nothing else is.

If a night could find yesterday's train, embed, index or evaluate artifacts, it would compare a cache with itself.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from simsearch.artifacts import Store
from simsearch.console import Progress
from simsearch.home import Home

SHARED = "dataset"


@dataclass(frozen=True)
class NightStore(Store):
    """Artifacts of a night, with the dataset stage in the home's own store."""

    home: Store

    def folder(self, stage: str) -> Path:
        """Return where the artifacts of a stage lie."""
        return self.home.folder(stage) if stage == SHARED else super().folder(stage)


class NightHome(Home):
    """The scratch area of one night; what is done in it is reported to `progress`."""

    def __init__(self, path: Path, home: Home, progress: Progress) -> None:
        super().__init__(path)
        self.progress = progress
        self.datasets = home.datasets
        self.memory = home.memory
        self.checked = home.checked
        self.store = NightStore(path / "artifacts", home.checked, home.store)


def named_by_nights(folder: Path) -> set[str]:
    """Return the digests that artifacts of the nights below `folder` name, of the home's own data sets among them."""
    found: set[str] = set()
    for manifest in folder.glob("*/night-*/artifacts/*/*/manifest.json"):
        found.update(re.findall("[0-9a-f]{64}", manifest.read_text()))
    return found


def remove_nights(folder: Path, keep: Collection[str]) -> None:
    """Remove the scratch areas below `folder` but those named in `keep`: renamed first, deleted then."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".old-"):
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.startswith("night-") and path.name not in keep:
            old = path.with_name(f".old-{path.name}-{time.time_ns()}")
            os.rename(path, old)
            shutil.rmtree(old, ignore_errors=True)
