"""[run]: how commands go about a build; none of it is in an address."""

from __future__ import annotations

from typing import Literal

from simsearch.recipe.table import Table, setting
from simsearch.vectors.shards import SHARD_ROWS


class Run(Table):
    """[run]: how commands go about a build, and nothing that enters a digest."""

    rehash_days: float = setting(
        "For how many days a query trusts a hashed file above 64 MiB; 0: never.", 7.0, ge=0, le=36_500
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting(
        "What trains and, given cuda or mps, embeds; auto: cuda where there is one.", "auto"
    )
    embed: Literal["local", "ray"] = setting("What embeds: this process, or a Ray cluster, on CPUs.", "local")
    address: str | None = setting(
        "Of the Ray cluster, HOST:PORT; without it a Ray is started on this machine.",
        None,
        pattern=r"^[^:/\s]+:[0-9]{1,5}$",
    )
    shard_rows: int = setting(
        "Images in a shard, the piece of embedding that a kill loses or a worker gets.", SHARD_ROWS, ge=32, le=65536
    )
