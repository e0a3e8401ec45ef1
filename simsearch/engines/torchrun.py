"""Processes that torchrun starts and ends for a stage, and what they say to the one that asked for them.

The command's own stdout stays its own: that of torchrun is a pipe which ranks write messages to, a line of JSON each,
and all that libraries print goes to a log. Ranks read from a pipe that is closed when nobody waits for them any more,
whether this process was killed, interrupted or torchrun is gone: the first rank then keeps a checkpoint and ends.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import simsearch.errors
from simsearch.errors import EmbedderError, SimsearchError

Heard = Callable[[str, list[Any]], None]  # a kind of message, and what it says

LOCAL = "127.0.0.1"
ERROR = "error"
# Of torchrun's summary. A rank that was killed takes others with it: these end by an error, or by torchrun's SIGTERM.
_ENDED = re.compile(r"rank\s*: (\d+) .*\n\s*exitcode\s*: (-?\d+)")
ALONE_AGAIN = "the same command goes on from the last checkpoint; what ends processes so is often a lack of memory"


def run_ranks(module: str, job: str, *, ranks: int, threads: int, log: Path, heard: Heard) -> None:
    """Run `python -m MODULE JOB` as `ranks` processes of `threads` threads each, until all have ended.

    `heard` is told of each message; what it raises ends the ranks. What else they print is in `log`.
    Raises what a rank reported, or EmbedderError saying which was ended and how, and KeyboardInterrupt when all ended.
    """
    errors: list[Exception] = []
    with log.open("wb") as out:
        process = subprocess.Popen(
            _command(module, job, ranks),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=out,
            env=_environment(threads),
            start_new_session=True,  # Ctrl-C comes through the pipe, once and to the first rank
        )
    threading.Thread(target=_let_go, args=(process,), daemon=True).start()
    assert process.stdout is not None
    try:
        for line in process.stdout:
            kind, *said = json.loads(line)
            if kind == ERROR:
                errors.append(raised(said[0]))
            else:
                heard(kind, said)
    finally:
        _end(process)
    if errors:
        raise errors[0]
    if process.returncode:
        raise _ended(process.returncode, ranks, log)


def _command(module: str, job: str, ranks: int) -> list[str]:
    with socket.socket() as free:
        free.bind((LOCAL, 0))
        port = free.getsockname()[1]
    place = ["--master-addr", LOCAL, "--master-port", str(port)]
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), *place, "-m", module, job]


def _environment(threads: int) -> dict[str, str]:
    """Return the environment of ranks: modules are found where this process finds them, and none in the folder."""
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(place) for place in sys.path),
        "PYTHONSAFEPATH": "1",
        "GLOO_SOCKET_IFNAME": loopback,  # by its name for the machine gloo may find no address of it
        "OMP_NUM_THREADS": str(threads),
    }


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe that ranks read when torchrun is gone: they outlive one that was killed."""
    process.wait()
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Tell ranks to end, and wait until all have."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with suppress(OSError):
            process.stdin.close()
        process.stdout.read()  # to its end, which is that of the last rank
        process.wait()
    finally:  # interrupted once more
        process.kill()
        process.stdout.close()


def told(error: Exception) -> dict[str, Any]:
    """Return an error as JSON values that `raised` makes it of again."""
    if isinstance(error, SimsearchError):
        return {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
    if isinstance(error, OSError) and error.errno is not None:
        return {"errno": error.errno, "strerror": error.strerror, "filename": error.filename and str(error.filename)}
    return {"message": f"{type(error).__name__}: {error}".splitlines()[0]}


def raised(values: dict[str, Any]) -> Exception:
    """Return the error that `told` gave the values of."""
    if "kind" in values:
        kind: type[SimsearchError] = getattr(simsearch.errors, values["kind"])
        return kind(values["message"], hint=values["hint"])
    if "errno" in values:
        return OSError(values["errno"], values["strerror"], values["filename"])
    return MemoryError(values["message"])


def _ended(code: int, ranks: int, log: Path) -> EmbedderError:
    """Return which process was ended, and how, as far as that can be told."""
    if code < 0:
        return EmbedderError(f"torchrun, which runs {ranks} ranks, was ended by {_signal(code)}", hint=ALONE_AGAIN)
    said = log.read_text(errors="replace")
    found = [(int(rank), int(ended)) for rank, ended in _ENDED.findall(said)]
    for rank, ended in found:
        if ended < 0 and ended != -signal.SIGTERM:
            return EmbedderError(f"rank {rank} of {ranks} was ended by {_signal(ended)}", hint=ALONE_AGAIN)
    lines = [line for line in said.splitlines() if re.match(r"(\[rank\d+\]: )?\w[\w.]*(Error|Exception)\b", line)]
    what = lines[0] if lines else f"exit code {code}"
    return EmbedderError(f"training with {ranks} ranks ended: {what}", hint=f"what its processes said is in {log}")


def _signal(code: int) -> str:
    with suppress(ValueError):
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"signal {-code}"
