"""How the index was chosen: the chart of what was tried, and its search settings in words."""

from __future__ import annotations

from typing import Any

from simsearch.page.charts import tuning_chart
from simsearch.vectors.search import KINDS

__all__ = ["settings", "tuning_chart"]


def settings(line: dict[str, Any]) -> str:
    """Return the search settings of a line of the table: "nprobe 3"."""
    return ", ".join(f"{key} {line[key]:g}" for key in KINDS if key in line)
