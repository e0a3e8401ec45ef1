"""`python -m campaign.fuzz`: inputs for some minutes, of each parser in turn; or one of them; or the mutants."""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from campaign.counts import machine
from campaign.fuzz.broken import BROKEN
from campaign.fuzz.fuzz_counts import FILE, FuzzCounts
from campaign.fuzz.parsers import PARSERS
from campaign.fuzz.runs import Runs
from campaign.fuzz.working import drawn, once

CHUNK_SECONDS = 8.0
MOST_INPUTS = 2_000  # of a mutant, until one is a find
MOST_ALIKE = 2  # finds that begin with the same words, that are printed


def main() -> int:
    """Run as the options say; 1 where an input was a find."""
    parser = argparse.ArgumentParser(prog="campaign.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--inputs", type=int, help="so many of each parser, however long that takes")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--parser", nargs="*", choices=[one.name for one in PARSERS], help="these alone")
    parser.add_argument("--input", help="one input, as a line of a run names it: PARSER/SEED/NUMBER")
    parser.add_argument("--mutants", nargs="*", metavar="NAME", help="whether the product broken on purpose is found")
    parser.add_argument("--counts", type=Path, default=FILE)
    parser.add_argument("--work", type=Path, help="a folder for good files and finds, kept")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="simsearch-fuzz-"))
    try:
        runs = Runs(work)
        if options.mutants is not None:
            return _mutants(runs, options.mutants or list(BROKEN), options.seed, options.counts)
        return _one(runs, options.input) if options.input else _many(runs, options)
    finally:
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)


def _one(runs: Runs, named: str) -> int:
    name, seed, number = named.rsplit("/", 2)
    parser = next(one for one in PARSERS if one.name == name)
    reader = parser.open(runs.folder(parser))
    given = drawn(reader, name, seed, int(number))
    print(f"{given.kind!r}, {len(given.data):,} bytes: {given.data[:200]!r}")
    letter, said = once(reader, given)
    print(letter, said)
    return int(letter == "x")


def _many(runs: Runs, options: argparse.Namespace) -> int:
    wanted = [one for one in PARSERS if not options.parser or one.name in options.parser]
    counts, today = FuzzCounts.read(options.counts), dt.date.today().isoformat()
    run = {"seed": options.seed, "inputs": 0, "finds": 0, "day": today, "machine": machine()}
    counts.runs.append(run)
    print(f"seed {options.seed}: {', '.join(one.name for one in wanted)}", file=sys.stderr)
    until = time.monotonic() + 60 * options.minutes
    alike: Counter[str] = Counter()
    at = dict.fromkeys((one.name for one in wanted), 0)
    while wanted:
        for parser in tuple(wanted):
            left = 10**9 if options.inputs is None else options.inputs - at[parser.name]
            if left <= 0 or (options.inputs is None and time.monotonic() > until) or not runs.has(parser):
                wanted.remove(parser)
                continue
            seconds = CHUNK_SECONDS if options.inputs is None else 600.0
            for number, letter, said in runs.chunk(parser, str(options.seed), at[parser.name], left, seconds):
                at[parser.name] = number + 1
                counts.add(parser.name, letter)
                run["inputs"] += 1
                if letter == "x":
                    run["finds"] += 1
                    alike[last := f"{parser.name} {said[:100]}"] += 1
                    if alike[last] <= MOST_ALIKE:
                        print(f"FOUND {parser.name}/{options.seed}/{number}: {said}", flush=True)
            counts.write(options.counts)
    for parser in PARSERS:
        if parser.name in at:
            print(f"{parser.name}: {at[parser.name]:,} inputs", file=sys.stderr)
    print(f"seed {options.seed}: {run['inputs']:,} inputs, {run['finds']} finds", file=sys.stderr)
    return int(run["finds"] > 0)


def _mutants(runs: Runs, names: list[str], seed: int, path: Path) -> int:
    counts, missed = FuzzCounts.read(path), 0
    for name in names:
        parser = next(one for one in PARSERS if one.name == BROKEN[name][1])
        found = (
            (number, said)
            for number, letter, said in runs.chunk(parser, str(seed), 0, MOST_INPUTS, 600.0, name)
            if letter == "x"
        )
        number, said = next(found, (None, ""))
        found.close()
        if number is None:
            missed += 1
        else:
            counts.mutants[name] = f"{parser.name}: red at input {number + 1}"
            counts.write(path)
        seen = f"NOT FOUND in {MOST_INPUTS:,} inputs" if number is None else f"found by {number + 1:,}: {said[:200]}"
        print(f"{name} ({parser.name}): {seen}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
