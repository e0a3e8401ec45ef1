"""Pictures of what was measured; matplotlib is imported only when one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_PANELS = (("loss", "loss"), ("active", "share of active tuples"), ("val_recall_at_1", "val recall@1"))


def training_curves(metrics: list[dict[str, Any]], path: Path) -> None:
    """Write a PNG to `path`: loss, share of active tuples and val recall@1 by epoch, those that have values.

    `metrics` has one row an epoch: {"epoch": 1, "loss": 0.5, "active": 0.3, "val_recall_at_1": 0.98}, where the last
    two may be None. The same rows give the same bytes, and no global state of matplotlib is touched. Raises
    ValueError without rows.
    """
    if not metrics:
        raise ValueError("no epoch to draw: metrics is empty")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = [(key, words) for key, words in _PANELS if any(row.get(key) is not None for row in metrics)]
    figure = Figure(figsize=(7, 0.6 + 1.8 * len(panels)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (key, words) in zip(axes, panels, strict=True):
        rows = [row for row in metrics if row.get(key) is not None]
        axis.plot([row["epoch"] for row in rows], [row[key] for row in rows], marker="o", markersize=3, linewidth=1.5)
        axis.set_ylabel(words)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("epoch")
    axes[-1].set_xlim(metrics[0]["epoch"] - 0.5, metrics[-1]["epoch"] + 0.5)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.align_ylabels()
    # matplotlib's own entry names its version; without it the same rows are the same bytes.
    figure.savefig(path, format="png", metadata={"Software": None})


def draw_tuning(table: list[dict[str, Any]], target: float, path: Path) -> None:
    """Write a PNG to `path`: ann_recall@10 against queries a second of each line of `table`, as tuning measured them.

    Kinds that were built over all rows are drawn in colour, those tried on a sample in gray; the chosen point is named.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    sampled = [line for line in table if line["stage"] == "sample"]
    axis.scatter(
        [line["ann_recall"] for line in sampled], [line["qps"] for line in sampled], s=8, c="0.7", label="on a sample"
    )
    full = [line for line in table if line["stage"] != "sample"]
    for factory in dict.fromkeys(line["factory"] for line in full):
        lines = sorted((line for line in full if line["factory"] == factory), key=lambda line: line["ann_recall"])
        axis.plot(
            [line["ann_recall"] for line in lines], [line["qps"] for line in lines], marker="o", ms=4, label=factory
        )
    for line in (line for line in table if line["chosen"]):
        axis.plot(line["ann_recall"], line["qps"], marker="*", ms=14, color="k", linestyle="none", label="chosen")
    axis.axvline(target, color="0.4", linestyle="--", linewidth=1)
    axis.set_yscale("log")
    axis.set_xlabel("ann_recall@10")
    axis.set_ylabel("queries a second")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="lower left", fontsize=8)
    figure.savefig(path, format="png", metadata={"Software": None})
