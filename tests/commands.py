"""The command line for tests: in this process, which is quick, or in one of its own, where a process is the point."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import simsearch
from simsearch.cli import main

ENTRY = [sys.executable, "-c", "from simsearch.cli import main; main()"]
PACKAGE = Path(simsearch.__file__).parent.parent


def run_cli(*arguments, cwd=None, stdin="", env=None, check=None):
    """Run `simsearch ARGUMENTS` here; `check` is the exit code that it must have. What it leaves behind is undone."""
    command = ["simsearch", *map(str, arguments)]
    # As Python opens the real ones on Linux: line ends are left as they are.
    streams = [
        io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="\n") for data in (b"", b"", stdin.encode())
    ]
    with _as_before(), mock.patch.dict(os.environ, env or {}), chdir(cwd or "."):
        try:
            with redirect_stdout(streams[0]), redirect_stderr(streams[1]), mock.patch("sys.stdin", streams[2]):
                main(command[1:])
        except SystemExit as end:
            code = end.code
    return _checked(subprocess.CompletedProcess(command, code, *map(_text, streams[:2])), check)


def run_process(*arguments, cwd=None, stdin="", env=None, without=(), check=None):
    """Run `simsearch ARGUMENTS` in a process of its own that can import no library of `without`, else as `run_cli`."""
    with TemporaryDirectory() as folder:
        for library in without:
            Path(folder, f"{library}.py").write_text(f"raise ImportError('{library} must not be imported')")
        done = subprocess.run(
            [*ENTRY, *map(str, arguments)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **(env or {}), "PYTHONPATH": f"{folder}{os.pathsep}{PACKAGE}"},
        )
    return _checked(done, check)


def _checked(done, check):
    if check is not None:
        assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def _text(stream):
    stream.flush()
    return stream.buffer.getvalue().decode()


@contextmanager
def _as_before():
    """Put back what a command sets for its process: the environment, FAISS's threads, what is not looked through."""
    import faiss

    threads = faiss.omp_get_max_threads()
    with ExitStack() as undo:
        undo.callback(faiss.omp_set_num_threads, threads)
        undo.callback(gc.unfreeze)
        undo.enter_context(mock.patch.dict(os.environ))
        yield
