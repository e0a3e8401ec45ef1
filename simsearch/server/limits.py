"""What a server takes and how long it waits: every bound in one place."""

from __future__ import annotations

from dataclasses import dataclass

MOST_HITS = 1000  # of one answer
MOST_OFFSET = 10_000
MOST_VECTORS = 10_000  # of one request
MOST_NUMBERS = 2**22  # of one request, in all its vectors
MOST_TEXT = 10_000  # characters of a field, as a filter
MOST_MARKS = MOST_VECTORS + 2 * MOST_TEXT  # brackets, braces and quotes of a body of JSON, those in a filter too
MOST_FIELDS = 32  # of a form
ALONE_PIXELS = 16_000_000  # of a picture while which is decoded nothing else runs
LARGE_PIXELS = 30_000_000  # of a picture beside which no other such is decoded
SCANNED_PIXELS = 2_000_000_000  # of all scans of a JPEG: 200 scans of 25 million held a thread for 10 s
HEADER_BYTES = 32 * 2**10
CONNECTIONS = 2000
PIPELINED = 100  # requests of one connection that wait for the answer to the one before


@dataclass(frozen=True)
class Limits:
    """Bounds of requests: bytes of one body and of all that are held at once, pixels of a picture, and seconds.

    `queue`: how many requests may be worked on or wait for it.
    """

    body_bytes: int = 32 * 2**20
    held_bytes: int = 512 * 2**20
    pixels: int = 100_000_000
    threads: int = 2
    queue: int = 64
    seconds: float = 30.0
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    stop_seconds: float = 30.0
