"""`python -m campaign.fuzz.working PARSER FOLDER SEED START COUNT SECONDS`: reads inputs, and says a line for each.

A line is the number, a letter and what is to be said: `r` refused, `s` the answer of the good file, `v` another valid
answer, `x` a find. The parent sees the rest: a signal, and an input that never ends.
"""

from __future__ import annotations

import os
import resource
import sys
import time
import traceback
from pathlib import Path
from random import Random
from typing import TextIO

from campaign.fuzz.broken import BROKEN
from campaign.fuzz.parser import Input, Reader, Wrong
from campaign.fuzz.parsers import PARSERS

MUTANT = "SIMSEARCH_FUZZ_MUTANT"
CPU_SECONDS = 10.0  # that one input may take
ADDRESSES = 4 << 30  # bytes of address space that one may ask for beside what is taken
MOST_SAID = 10_000  # characters of an error
GOOD_EVERY = 250  # inputs, after which the good files are read again


def main() -> None:
    """Work off the inputs START to START + COUNT, or as many as the seconds suffice for."""
    name, folder, seed, start, count, seconds = sys.argv[1:]
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    parser = next(one for one in PARSERS if one.name == name)
    if MUTANT in os.environ:
        BROKEN[os.environ[MUTANT]][0]()
    reader = parser.open(Path(folder))
    good = reader.good()
    _bounded()
    before, until = _most_memory(), time.monotonic() + float(seconds)  # what it takes to start is not counted
    for number in range(int(start), int(start) + int(count)):
        letter, said = once(reader, drawn(reader, name, seed, number))
        if (number + 1) % GOOD_EVERY == 0 and reader.good() != good:
            letter, said = "x", "the good files give another answer after it"
        if taken := (_most_memory() - before) >> 20 > parser.megabytes:
            letter, said = "x", f"took more than {parser.megabytes} MB"
        _say(told, number, letter, said)
        if taken or time.monotonic() > until:  # what was most stays the most
            break
    if reader.good() != good:
        _say(told, int(start), "x", "the good files give another answer at the end")


def drawn(reader: Reader, name: str, seed: str, number: int) -> Input:
    """Return an input by its name."""
    return reader.changed(Random(f"{name}/{seed}/{number}"))


def once(reader: Reader, given: Input) -> tuple[str, str]:
    """Read one input; return the letter of what came of it, and what is to be said of that."""
    from simsearch.errors import SimsearchError

    noise, started = os.fstat(2).st_size, time.process_time()
    try:
        letter, said = ("s" if reader.read(given) else "v"), ""
    except SimsearchError as error:
        letter, said = "r", ""
        if not 0 < len(error.message) <= MOST_SAID:
            letter, said = "x", f"an error of {len(error.message):,} characters: {error.message[:200]!r}"
    except Wrong as error:
        letter, said = "x", f"an answer that must not be: {error}"
    except BaseException as error:
        frames = [one for one in traceback.extract_tb(error.__traceback__) if "/simsearch/" in one.filename]
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else traceback.format_exc()
        letter, said = "x", f"{place}: {type(error).__name__}: {str(error)[:300]}"
    if (spent := time.process_time() - started) > CPU_SECONDS:
        letter, said = "x", f"took {spent:.1f} s"
    if os.fstat(2).st_size > noise:
        with os.fdopen(os.dup(2), "rb") as errors:
            text = os.pread(errors.fileno(), 10_000, noise).decode("utf-8", "replace")
        if "Traceback" in text or "Exception ignored" in text or "Warning:" in text:
            letter, said = "x", f"on stderr: {text}"
    return letter, said


def _say(told: TextIO, number: int, letter: str, said: str) -> None:
    told.write(f"{number} {letter} {said!r}\n")


def _bounded() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES, used + ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    main()
