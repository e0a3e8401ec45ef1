"""What people read of a night, written: nightly.md, junit.xml, trend.html and the pictures of causes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from simsearch.artifacts import write_durably
from simsearch.bench.outputs import junit_xml, nightly_markdown, trend_page
from simsearch.bench.outputs.contents import by_loss
from simsearch.bench.records import Story
from simsearch.recipe.files import build_name


def publish(story: Story, folder: Path) -> dict[str, str]:
    """Write the pages of a night into `folder`, each whole or not at all; returns their paths by name."""
    pages = {
        "markdown": ("nightly.md", nightly_markdown(story)),
        "junit": ("junit.xml", junit_xml(story)),
        "trend": ("trend.html", trend_page(story)),
    }
    files = {}
    for key, (name, text) in pages.items():
        write_durably(folder / name, text.encode("utf-8", "backslashreplace"))
        files[key] = str(folder / name)
    for old in folder.glob("cause-*.png"):
        old.unlink()
    for number, (cell, picture) in enumerate(_pictures(story), 1):
        path = folder / f"cause-{number}-{build_name(cell)}.png"
        write_durably(path, picture)
        files[f"cause {number}"] = str(path)
    return files


def _pictures(story: Story) -> Iterator[tuple[str, bytes]]:
    seen = set()
    for finding in by_loss(story.verdict.worse):
        picture = None if finding.cause is None else finding.cause.picture
        if picture is not None and picture not in seen:
            seen.add(picture)
            yield finding.cell, picture
