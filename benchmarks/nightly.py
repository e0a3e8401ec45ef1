"""The nightly job: what it costs over the work that it measures, and how long a night of the digits matrix takes.

The work is what the night's stages and its timing of answers took, in the same run; all else is the job's own: history,
gate, causes, pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from common import ENTRY, Row, main, run

LIMIT_SECONDS = 180.0
MOST_OVERHEAD = 0.05


def measure(temporary: Path, rounds: int) -> Iterator[Row]:
    """A night a round, each with a home of its own."""
    whole, work = [], []
    for number in range(rounds):
        home = temporary / str(number)
        done = run([ENTRY, "bench", "--home", home, "--json"], temporary)
        night = done.said
        seen: set[str] = set()
        seconds = 0.0
        for cell in night["cells"]:
            assert cell["status"] == "measured", cell
            for stage, took in cell["seconds"].items():
                digest = cell["digests"][stage]["digest"]
                if digest not in seen:
                    seen.add(digest)
                    seconds += took
            seconds += sum(f["value"] for f in cell["figures"] if f["scope"] == "timing of answers")
        whole.append(done.seconds)
        work.append(seconds)
    cells = len(night["cells"])
    ours, theirs = median(whole), median(work)
    yield Row(
        f"nightly/overhead/{cells} cells", ours, theirs, "its stages and timings", "s", target=1 / (1 + MOST_OVERHEAD)
    )
    yield Row(f"nightly/whole/{cells} cells", ours, LIMIT_SECONDS, "three minutes", "s", limit=LIMIT_SECONDS)


if __name__ == "__main__":
    main(__doc__, measure)
