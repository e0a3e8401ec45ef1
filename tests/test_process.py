"""Every command in a real process: the entry point writes and exits as `run_cli` does within this one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
from commands import run_cli, run_process
from conftest import SMALL

from simsearch.cli import cli

COMMANDS = {
    "build": ["build", "{folder}", *SMALL],
    "query": ["query", "{folder}/class 0/00.png"],
    "show": ["show", "photos"],
    "compare": ["compare", "photos", "photos"],
    "evaluate": ["evaluate", "--json"],
    "bench": ["bench", "no-such-matrix.toml"],
    "sync": ["sync", "{folder}", "--dry-run"],
    "switch": ["switch", "photos", "--back"],
    "index": ["index", "verify"],
    "export": ["export", "--format", "npy", "--out", "{folder}/out"],
    "clean": ["clean", "no-such-build"],
    "defects": ["defects", "score", "{folder}", "--name", "no-such-build"],
    "serve": ["serve", "--build", "no-such-build"],
}


@pytest.mark.parametrize("command", cli.commands)
def test_a_process_says_what_a_call_says(ours, command):
    folder, home = ours
    arguments = [argument.format(folder=folder) for argument in COMMANDS[command]] + ["--home", home]
    called = run_cli(*arguments)
    shutil.rmtree(folder / "out", ignore_errors=True)
    process = run_process(*arguments)
    assert (process.returncode, without_times(process)) == (called.returncode, without_times(called))


def without_times(done):
    """Its stdout and stderr without the figures that are seconds or milliseconds."""
    return [re.sub(r"\d+\.\d+ (s|ms)\b", r"_ \1", text) for text in (done.stdout, done.stderr)]


def test_the_package_runs_as_a_module():
    """As `python -m simsearch`, from any folder: its usage names the command, not the file."""
    done = subprocess.run([sys.executable, "-m", "simsearch", "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: simsearch [OPTIONS]")
