"""Every metric that a night measures, in one table: its direction, how it is judged, the least loss that matters.

Quality is what evaluation's table of figures judges or watches; what a night measures besides stands here. Nothing else
knows whether higher is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from simsearch.evaluation.figures import FIGURES, headline_k

Key = tuple[str, int | None, str]  # metric, k, scope


@dataclass(frozen=True)
class Metric:
    """A metric's name in words, its direction, and its gate.

    `judged`: "paired" by a paired test over the same queries, beyond `least` (a share); "speed" as a ratio to the
    reference workload (scopes RATIOS), on the same machine only; "agreement" by at least 1 - `least`; None is kept and
    shown but never fails a night.
    """

    words: str
    higher_is_better: bool
    judged: Literal["paired", "speed", "agreement"] | None = None
    least: float = 0.0
    unit: str = ""
    over: tuple[str, str] = ("query", "queries")  # what it is a mean over, one and many

    def loss(self, before: float, after: float) -> float:
        """Return how much worse `after` is than `before`, in the metric's own unit; below 0 where it is better."""
        return before - after if self.higher_is_better else after - before


IMAGES = ("image", "images")
AUROC, FALSE_ALARMS = DEFECTS = ("image_auroc", "false_alarm_rate")

METRICS: Mapping[str, Metric] = {
    **{
        figure.key: Metric(
            figure.words or figure.name,
            figure.higher_is_better,
            None if figure.least is None else "paired",
            figure.least or 0.0,
        )
        for figure in FIGURES
        if figure.least is not None or figure.watched
    },
    "ann_recall": Metric("ann_recall", True, "paired", 0.002),
    # Of a recipe with [defects], over the test images that tried its scores.
    AUROC: Metric("image AUROC", True, "paired", 0.002, over=IMAGES),
    FALSE_ALARMS: Metric("false alarm rate", False, "paired", 0.002, over=IMAGES),
    # The least cosine of the accepted night's features and those that tonight's code makes by the same embedder: builds
    # that stand answer otherwise when it falls, also where a retrained embedder makes up for it.
    "feature_agreement": Metric("agreement of features", True, "agreement", 0.0001),
    "latency_p50": Metric("latency p50", False, "speed", unit="ms"),
    "latency_p99": Metric("latency p99", False, unit="ms"),
    "qps": Metric("queries a second", True, "speed", unit="1/s"),
    # How much of the time the reference workload had a core: a machine that was busy tells nothing by its clock.
    "processor_share": Metric("share of a core", True),
    "seconds": Metric("seconds", False, unit="s"),
    "bytes": Metric("bytes on disk", False, unit="B"),
    "peak_memory": Metric("peak memory", False, unit="B"),
}


RATIOS = ("ratio", "wall ratio")
"""The scopes of speed that are judged: by one thread's own clock, and by the clock on the wall."""


def kept_name(metric: str, k: float | None) -> str:
    """Return the name under which a history keeps the values of single queries: "recall@1", "map_at_r"."""
    return metric if k is None else f"{metric}@{k}"


def tested(ks: Sequence[int]) -> list[Key]:
    """Return what the gate tests where `ks` were measured: each judged figure at one k, as more tests show less."""
    found: list[Key] = [
        (figure.key, (figure.heads or (headline_k,))[0](ks) if figure.by == "k" else None, scope)
        for figure in FIGURES
        if figure.least is not None
        for scope in figure.scopes
    ]
    return [*found, ("ann_recall", headline_k(ks), "all")]


def metric_words(name: str, k: int | None, scope: str) -> str:
    """Return a figure in words: "recall@1", "cross-boundary error@10 boundary", "seconds train"."""
    return kept_name(METRICS[name].words, k) + ("" if scope == "all" else f" {scope}")


def shown(name: str, value: float, scope: str = "all") -> str:
    """Return a value as people read it: shares to three digits, times, counts and sizes with their unit."""
    if scope in RATIOS:
        return f"{value:.3g}"
    unit = METRICS[name].unit
    if unit == "B":
        return f"{value / 1e6:,.1f} MB"
    if unit == "1/s":
        return f"{value:,.0f}/s"
    if unit:
        return f"{value:,.2f} {unit}"
    return f"{value:.4f}" if METRICS[name].judged == "agreement" else f"{value:.3f}"
