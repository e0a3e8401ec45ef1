"""Answers on stdout: all that prints them, and what keeps everything else off it.

Libraries print too, some to Python's stdout and some past it: a downloader its address, a C library a warning. While a
command runs, both lead to stderr, and answers alone to where stdout was.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any, cast

from simsearch.errors import SimsearchError

_STDOUT = 1
_answers: TextIOWrapper | None = None  # where answers go while a command runs


@contextmanager
def answering() -> Iterator[None]:
    """Let nothing but answers reach stdout until the end.

    A stdout that is no file of the system, as a test's, is left alone but for Python's name of it. The system's own is
    not put back in its place: what a C library still holds would be written there when the process ends.
    """
    global _answers
    _answers = _apart(cast(TextIOWrapper, sys.stdout))
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        try:
            flush_answers()
        except BrokenPipeError:  # nobody reads the end of it, which is no other outcome
            drop_answers()
        finally:
            sys.stdout, _answers = _answers, None


@contextmanager
def writing() -> Iterator[None]:
    """Say of a stdout that takes nothing what is wrong with it, as SimsearchError; a reader that went away is none.

    What it did not take is dropped: Python would try again, and complain, when it ends.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_answers()
        raise SimsearchError(
            f"stdout cannot be written: {error.strerror or error}",
            hint="free some space where it leads to, or send the answer elsewhere; what was finished is kept",
        ) from None


def emit(text: object) -> None:
    """Print one line, or several, of an answer."""
    with writing():
        print(text, file=_stream())


def emit_json(document: Any) -> None:
    """Print a JSON document on one line; null, never NaN."""
    emit(json.dumps(document, allow_nan=False))


def emit_path(path: str | os.PathLike[str], end: str = "\n") -> None:
    """Print a path as the bytes that it has on disk, which need not be text; as text where only that is taken."""
    stream = _stream()
    with writing():
        if not hasattr(stream, "buffer"):
            stream.write(f"{os.fspath(path)}{end}")
            return
        stream.flush()
        stream.buffer.write(os.fsencode(path) + end.encode())
        stream.buffer.flush()


def flush_answers() -> None:
    """Write what is still held back; raises BrokenPipeError when nobody reads it any more, else as `writing`."""
    with writing():
        _stream().flush()


def drop_answers() -> None:
    """Send what is still to be written nowhere: its reader went away, and Python's own flush must stay quiet."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), _stream().fileno())


def _stream() -> TextIOWrapper:
    return _answers or cast(TextIOWrapper, sys.stdout)


def _apart(stdout: TextIOWrapper) -> TextIOWrapper:
    """Return a stream of its own to where the system's stdout leads, which from now on leads to stderr."""
    try:
        if stdout.fileno() != _STDOUT:
            return stdout
        stdout.flush()
        own = open(os.dup(_STDOUT), "w", encoding=stdout.encoding, errors=stdout.errors)  # noqa: SIM115
        own.reconfigure(line_buffering=stdout.line_buffering or stdout.write_through)
    except (OSError, ValueError):
        return stdout
    try:
        os.dup2(2, _STDOUT)
    except OSError:  # there is no stderr
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
    return own
