"""What a report says of the neighbours that an imported file brings: how many are those of exact search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENOUGH = 0.99  # of them; below, the file means other neighbours than we find
ANGLES = (None, "angular", "cosine")


def known_words(report: Mapping[str, Any]) -> str | None:
    """Return a sentence on the neighbours of the file, None without any; a bad share begins with "warning: "."""
    found = report.get("file_neighbours")
    if not found:
        return None
    if found["agree"] is None:
        return f"warning: the file's own neighbours are not compared: {found['reason']}"
    part = (
        ""
        if found["with_neighbours"] >= found["of"]
        else f", of {found['of']:,} only {found['with_neighbours']:,} have"
    )
    told = (
        f"{found['agree']:.4f} of the file's own neighbours are those of exact search "
        f"(first {found['k']} of {found['queries']:,} queries{part})"
    )
    if found["agree"] >= ENOUGH:
        return told
    if found["distance"] not in ANGLES:
        why = f"it was made for the distance {found['distance']}, and simsearch searches by angle, lengths left out"
    else:
        why = "they are of other vectors, of another order of rows, or of another distance than the angle"
    return f"warning: only {told}: {why}"
