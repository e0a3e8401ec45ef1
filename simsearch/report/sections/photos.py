"""How many photos in the gallery: the chart and the table of the report page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from simsearch.page.charts import Series, recall_chart
from simsearch.page.html import interval, percent

TITLE = "Right label first, by photos a label in the gallery"
_YOURS = 0  # the look of one's own search


def chart(report: dict[str, Any]) -> tuple[Markup, Sequence[Sequence[str]]]:
    """Return the chart of a report that has the curve, and its rows: photos, recall@1, interval."""
    found = report["gallery_curve"]
    points = list(zip(found["counts"], found["recall"], strict=True))
    line = Series("your search, exact", _YOURS, points, found["intervals"])
    drawn = recall_chart("photos", TITLE, found["counts"], [line], "photos a label", "With the most photos")
    ends = [interval(pair, percent) for pair in found["intervals"]]
    return drawn, [[f"{n:,}", percent(share), pair] for (n, share), pair in zip(points, ends, strict=True)]
