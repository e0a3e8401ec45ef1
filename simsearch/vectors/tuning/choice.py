"""What was chosen and why, with everything that was measured on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simsearch.vectors.index import Index
from simsearch.vectors.search import Search
from simsearch.vectors.tuning.sweep import Point


@dataclass(frozen=True)
class Choice:
    """An index over all rows, its search settings, and what a check on rows that tuned nothing found.

    `reached`: the lower 95 % bound of ann_recall@10 reaches the target, and the limits are kept. `table` holds every
    point that was measured, JSON-ready: "factory", settings, "stage" (sample, full or check), "rows", "ann_recall",
    "low", "high", "qps", "bytes", "build_seconds", "pareto", "chosen".
    """

    index: Index
    factory: str
    search: Search
    target_recall: float
    reached: bool
    ann_recall: float
    interval: tuple[float, float]
    qps: float
    bytes: int
    build_seconds: float
    tuning_seconds: float
    table: list[dict[str, Any]]
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return all but the index."""
        return {
            "target_recall": self.target_recall,
            "reached": self.reached,
            "ann_recall": self.ann_recall,
            "interval": list(self.interval),
            "qps": self.qps,
            "build_seconds": self.build_seconds,
            "tuning_seconds": self.tuning_seconds,
            "why": self.why,
            "table": self.table,
        }


def entry(factory: str, stage: str, rows: int, size: int, build_seconds: float, point: Point) -> dict[str, Any]:
    """Return a line of the table."""
    return {
        "factory": factory,
        **point.search.given(),
        "stage": stage,
        "rows": rows,
        "ann_recall": round(point.recall, 6),
        "low": round(point.low, 6),
        "high": round(point.high, 6),
        "qps": round(point.qps, 1),
        "bytes": size,
        "build_seconds": round(build_seconds, 3),
        "pareto": False,
        "chosen": False,
    }


def mark_pareto(table: list[dict[str, Any]]) -> None:
    """Mark, within each stage, the lines that no other line beats in both recall and speed."""
    for stage in {line["stage"] for line in table}:
        best = -1.0
        lines = [line for line in table if line["stage"] == stage]
        for line in sorted(lines, key=lambda line: (-line["qps"], -line["ann_recall"])):
            line["pareto"] = line["ann_recall"] > best
            best = max(best, line["ann_recall"])
