"""Workers started, watched and started anew: what ends one is a find of the input that it was at."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from campaign.fuzz.parser import Parser
from campaign.fuzz.working import MUTANT

WALL_SECONDS = 120.0  # without a word from a worker, which counts the seconds of its processor itself
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", "HF_HUB_OFFLINE": "1"}


class Runs:
    """Good files below a folder, and workers that read changed ones."""

    def __init__(self, work: Path) -> None:
        self._work = work

    def has(self, parser: Parser) -> bool:
        """Return whether what a parser needs is installed."""
        if importlib.util.find_spec(parser.needs) is not None:
            return True
        print(f"skipped: {parser.name} needs {parser.needs}", file=sys.stderr)
        return False

    def folder(self, parser: Parser) -> Path:
        """Return the folder of a parser's good files, which are made the first time."""
        folder = self._work / parser.name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            parser.make(folder)
        return folder

    def chunk(
        self, parser: Parser, seed: str, start: int, count: int, seconds: float, mutant: str | None = None
    ) -> Iterator[tuple[int, str, str]]:
        """Yield number, letter and words of each input that one worker reads; its end is a find where it was at one.

        With `mutant`, it reads them with the product broken so.
        """
        environment = {**os.environ, **ENVIRONMENT, **({MUTANT: mutant} if mutant else {})}
        given = [parser.name, str(self.folder(parser)), seed, str(start), str(count), str(seconds)]
        command = [sys.executable, "-m", "campaign.fuzz.working", *given]
        with tempfile.TemporaryFile() as errors:
            worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, bufsize=0)
            at, hung = start, False
            try:
                for line in _lines(worker):
                    number, letter, said = line.split(" ", 2)
                    at = max(at, int(number) + 1)
                    yield int(number), letter, said
            except TimeoutError:
                hung = True
                worker.kill()
            finally:
                if worker.poll() is None and sys.exc_info()[0] is not None:
                    worker.kill()
                code = worker.wait()
            if hung or code:
                ended = f"nothing within {WALL_SECONDS:g} s" if hung else _ending(code)
                errors.seek(max(0, errors.seek(0, os.SEEK_END) - 3000))
                yield at, "x", f"{ended}: {errors.read().decode('utf-8', 'replace')}"


def _lines(worker: subprocess.Popen[bytes]) -> Iterator[str]:
    assert worker.stdout is not None
    rest = b""
    while True:
        if not select.select([worker.stdout], [], [], WALL_SECONDS)[0]:
            raise TimeoutError
        if not (some := os.read(worker.stdout.fileno(), 1 << 16)):
            return
        *whole, rest = (rest + some).split(b"\n")
        yield from (line.decode() for line in whole)


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"the worker ended with {code}"
