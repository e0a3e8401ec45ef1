"""The source that a recipe's [dataset] names, opened."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from simsearch.hashing import HashMemory
from simsearch.home import Home
from simsearch.images.source import Source
from simsearch.images.sources import open_source
from simsearch.recipe.tables import Dataset


def open_dataset(table: Dataset, home: Home, *, offline: bool, memory: HashMemory | None = None) -> Source:
    """Return the table of images; `memory` of their digests is the home's own unless another is given.

    Raises SourceError for what cannot be read, and, with `offline`, for what would have to be downloaded.
    """
    with home.fetching() if table.kind not in ("folder", "table") and not offline else nullcontext():
        return open_source(
            table.source,
            home_datasets=home.datasets,
            options=table.options,
            exclude=table.exclude,
            root=table.root,
            base=Path.cwd(),
            offline=offline,
            memory=home.memory if memory is None else memory,
        )
