"""stdout holds answers and nothing else, whatever a library prints; stderr has the rest."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import PACKAGE
from conftest import SMALL

# Prints in all ways that a library can, each time that one of ours is loaded within a command.
NOISY = """
import builtins, ctypes, os, sys
load = builtins.__import__
def noisy(name, *rest, **words):
    if name in ("faiss", "simsearch.pipeline.run", "simsearch.sync.sync", "simsearch.integrity.verifying"):
        print("Downloading: noise")
        sys.__stdout__.write("noise of the first stdout")
        os.write(1, b"noise of a system call")
        ctypes.CDLL(None).puts(b"noise of C, kept back until the end")
        os.system("echo noise of a child")
    return load(name, *rest, **words)
builtins.__import__ = noisy
from simsearch.cli import main
main()
"""
PLACES = 5


def run_noisy(*arguments):
    command = [sys.executable, "-c", NOISY, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    return subprocess.run(command, capture_output=True, env=env, timeout=300)


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "{folder}", *SMALL, "--json"],
        ["query", "{folder}/class 0/00.png", "{folder}/class 1/01.png", "--json"],
        ["sync", "{folder}", "--dry-run", "--json"],
        ["index", "verify", "--json"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_json_is_all_that_stdout_holds(ours, arguments):
    folder, home = ours
    done = run_noisy(*(one.format(folder=folder) for one in arguments), "--home", home)
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, done.stderr
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert len(set(re.findall("noise[^\n]*?(?=noise|\n|$)", done.stderr.decode()))) == PLACES


def test_the_same_holds_for_the_path_that_build_prints(ours):
    done = run_noisy("build", ours[0], *SMALL, "--home", ours[1])
    assert Path(done.stdout.decode().removesuffix("\n")).is_file()


def test_help_and_version_are_what_stdout_holds():
    for arguments in (["--version"], ["--help"], ["query", "--help"]):
        done = run_noisy(*arguments)
        assert done.stdout.startswith((b"simsearch ", b"Usage: simsearch"))
        assert not done.stderr


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "2>/dev/full", "1>&- 2>&-"])
def test_a_stream_that_is_closed_takes_nothing_of_the_other(built, closed):
    image = built[0] / "class 0" / "00.png"
    line = f"'{sys.executable}' -c 'from simsearch.cli import main; main()' query '{image}' --json --home '{built[1]}'"
    done = subprocess.run(["bash", "-c", f"{line} {closed}"], capture_output=True, timeout=60)
    assert done.returncode == 0
    assert bool(done.stdout) == ("1>&-" not in closed)
    assert b"{" not in done.stderr


@pytest.mark.parametrize(
    "words", ["-h", "--version", "", "query -h", "show", "query {image}", "query {image} --json", "query {image} -0"]
)
def test_a_stdout_that_is_full_is_said_once(built, words):
    image = built[0] / "class 0" / "00.png"
    words = words.format(image=f"'{image}'")
    line = f"'{sys.executable}' -c 'from simsearch.cli import main; main()' {words} >/dev/full"
    env = {**os.environ, "PYTHONPATH": str(PACKAGE), "SIMSEARCH_HOME": str(built[1])}
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, text=True, env=env)
    assert done.returncode == 2, done.stderr
    error, hint = done.stderr.splitlines()[-2:]
    assert error == "error: stdout cannot be written: No space left on device"
    assert hint.startswith("hint: free some space")


def test_one_file_prints_answers():
    printing = [
        path.name
        for path in sorted(PACKAGE.rglob("simsearch/**/*.py"))
        if any(isinstance(node, ast.Name) and node.id == "print" for node in ast.walk(ast.parse(path.read_text())))
    ]
    assert printing == ["printing.py", "console.py"]
