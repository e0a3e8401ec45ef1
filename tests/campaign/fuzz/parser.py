"""What is fuzzed, as the runs see it: a parser with its good files, and a reader of what was made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol


class Wrong(Exception):
    """An answer that must not be: from damaged data, or outside of its bounds."""


class Input(NamedTuple):
    """Bytes to be read, and what a reader has to know beside them, as the file's suffix."""

    kind: str
    data: bytes


class Reader(Protocol):
    """Reads good and changed inputs of one parser, in a process of its own."""

    def good(self) -> Any:
        """Return what the good files give; the same every time."""

    def changed(self, chosen: Random) -> Input:
        """Return an input; the same for the same generator."""

    def read(self, given: Input) -> bool:
        """Return whether an input gave the answer of a good one, and not another valid one.

        Raises SimsearchError where it was refused, and Wrong for an answer that must not be.
        """


@dataclass(frozen=True)
class Parser:
    """`make` writes the good files into a folder, alike each time; `open` reads them in a worker.

    `needs`: a module without which it is skipped. `megabytes`: what one input may take beside the good ones.
    """

    name: str
    make: Callable[[Path], None]
    open: Callable[[Path], Reader]
    needs: str = "simsearch"
    megabytes: int = 256
