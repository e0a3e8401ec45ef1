"""The longest stretch of a first build in which nothing moves on a terminal: `python benchmarks/silence.py FOLDER`.

A build in an empty home runs on a pseudo-terminal of 80 columns. A redrawing counts as a sign of life only when the
text that a person sees is another one than before: colours that move do not. With --json one document, as:
{"name": "silence/first_build", "ours": 1.1, "limit": 2.0, "unit": "s", "seconds": 25.3, "machine": "..."}
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from common import ENTRY, machine, say
from screen import watch

LIMIT = 2.0


def main() -> None:
    """Build, and print every stretch without a sign of life."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="what `simsearch build` takes: a folder, a table, a recipe")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="TABLE.KEY=VALUE")
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simsearch-bench-") as folder:
        chosen = [word for setting in asked.settings for word in ("--set", setting)]
        source = asked.source if not Path(asked.source).exists() else str(Path(asked.source).resolve())
        done = watch([str(ENTRY), "build", source, *chosen, "--home", f"{folder}/home"], asked.columns, folder)
    if done.code:
        say(done.data.decode(errors="replace"))
        raise SystemExit(1)
    longest = max(seconds for seconds, *_ in done.silences(0.0))
    if asked.json:
        figures = {"ours": round(longest, 2), "limit": LIMIT, "unit": "s", "seconds": round(done.seconds, 1)}
        print(json.dumps({"name": "silence/first_build", **figures, "machine": machine()}))
        return
    print(machine())
    for seconds, start, before, after in done.silences(1.0):
        print(f"{seconds:6.1f} s from {start:6.1f} s\n    after:  {before[:100]}\n    before: {after[:100]}")
    print(f"longest {longest:.1f} s of a build of {done.seconds:.1f} s; longest line {len(done.widest)} columns")


if __name__ == "__main__":
    main()
