"""Commands in children of this process, which has done everything once already: a second less for each trial."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTHING, KILL, CUT, FAIL = range(4)
ANY, SYNC, WRITE = range(3)
LONGEST = 120.0  # seconds of a command


@dataclass(frozen=True)
class Armed:
    """What befalls a child at the `moment`-th call of a kind that changes the file system of `place`."""

    action: int
    moment: int
    place: Path
    kind: int = ANY
    error: int = 0
    disk: int = -1  # a descriptor of the file system whose power is cut
    flags: int = 0


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code (negative: a signal), output, calls by kind, the call that was met."""

    code: int
    out: str
    err: str
    calls: tuple[int, ...]
    met: str


def can_arm() -> bool:
    """Whether the library of fault.c is loaded."""
    return hasattr(ctypes.CDLL(None), "arm")


def command(words: Sequence[object], before: Callable[[], None] = lambda: None, **options: Any) -> Ended:
    """Run `simsearch WORDS` in a child; `before` is called in it first, as to break the product on purpose."""
    return child(bodied(words, before), **options)


def bodied(words: Sequence[object], before: Callable[[], None]) -> Callable[[], None]:
    """Return what a child does that is a command."""

    def body() -> None:
        from simsearch.cli import main

        before()
        main([str(word) for word in words])

    return body


def asked(body: Callable[[], Any]) -> Any:
    """Return what `body` returns in a child, as JSON brings it here; its end is an error here."""

    def told() -> None:
        print(json.dumps(body()))

    ended = child(told)
    if ended.code:
        raise RuntimeError(f"ended with {ended.code}: {ended.err}")
    return json.loads(ended.out)


def child(body: Callable[[], None], armed: Armed | None = None, kill_after: float | None = None) -> Ended:
    """Run `body` in a child and wait for its end; SIGKILL after so many seconds, or where it takes too long."""
    started = time.monotonic()
    process, ending = start(body, armed)
    last = started + (LONGEST if kill_after is None else kill_after)
    while not os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() > last:
            os.kill(process, signal.SIGKILL)
            break
        time.sleep(0.002)
    return ending()


def start(body: Callable[[], None], armed: Armed | None = None) -> tuple[int, Callable[[], Ended]]:
    """Start `body` in a child; returns its process id and what waits for its end."""
    shared = mmap.mmap(-1, 4096)
    streams = [os.memfd_create(name) for name in ("out", "err")]
    process = os.fork()
    if process == 0:
        _run(body, shared, streams, armed)

    def ending() -> Ended:
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        out, err = (os.pread(stream, 1 << 24, 0).decode(errors="replace") for stream in streams)
        for stream in streams:
            os.close(stream)
        met = bytes(shared[24:280]).split(b"\0")[0].decode(errors="replace")
        calls = struct.unpack("3q", shared[:24])
        shared.close()
        return Ended(code, out, err, calls, met)

    return process, ending


def _run(body: Callable[[], None], shared: mmap.mmap, streams: list[int], armed: Armed | None) -> None:
    code = 1
    try:
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)
        if armed is not None and can_arm():
            place = ctypes.addressof(ctypes.c_char.from_buffer(shared))
            device = ctypes.c_ulong(os.stat(armed.place).st_dev)
            ctypes.CDLL(None).arm(
                armed.action, armed.kind, ctypes.c_long(armed.moment), armed.error, armed.disk, armed.flags, device,
                ctypes.c_void_p(place), ctypes.c_void_p(place + 24),
            )  # fmt: skip
        body()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 1
        os._exit(code)
