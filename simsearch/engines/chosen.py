"""Which engine [run] names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simsearch.engines.engine import Engine
from simsearch.engines.local import Local
from simsearch.engines.ray.ray_data import RayData
from simsearch.vectors.shards import SHARD_ROWS


def engine_of(run: Mapping[str, Any]) -> Engine:
    """Return the engine that the keys of a [run] ask for; those that an older build lacks are at their defaults."""
    shard_rows = int(run.get("shard_rows", SHARD_ROWS))
    if run.get("embed", "local") == "ray":
        return RayData(run.get("address"), shard_rows)
    return Local(shard_rows)
