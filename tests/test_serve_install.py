"""An installation that answers and builds nothing: without torch, in a fresh environment, as docs/packs.md has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path

import pytest
from commands import run_cli
from conftest import picture
from serving import FORM, form_body, open_url

from simsearch.cli import cli
from simsearch.cli.main import NOT_TO_SERVE

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
MOST_BYTES = 350 * 10**6
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def run(*command, check=True, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **more)
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """(its Python, what to run it with): the wheel alone, and what requirements-serve.txt names."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    root = tmp_path_factory.mktemp("serve")
    run(sys.executable, *PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", root, ROOT)
    (wheel,) = root.glob("*.whl")
    venv.create(root / "venv", with_pip=True, symlinks=True)
    python = root / "venv" / "bin" / "python"
    alone = {"cwd": root, "env": {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}}
    run(python, *PIP, "install", "-r", ROOT / "requirements-serve.txt", **alone)
    run(python, *PIP, "install", "--no-deps", "--no-index", wheel, **alone)
    return python, alone


def test_it_has_no_torch_and_is_small(installed):
    python, alone = installed
    for name in NOT_TO_SERVE:
        done = run(python, "-c", f"import {name}", check=False, **alone)
        assert "ModuleNotFoundError" in done.stderr, name
    files = [path for path in python.parents[1].rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    assert 100 * 10**6 < size <= MOST_BYTES, f"{size:,} bytes"


def test_it_answers_as_the_whole_one_does(installed, copy_of_built, tmp_path):
    """From packs, in a home of its own: queries, defect scores of so many pictures that drift is tested, figures."""
    (python, alone), (folder, first) = installed, copy_of_built
    fit = ("defects", "fit", "--build", "photos", "--normal", "class 1", "--false-alarms", "0.4", "--method", "mean")
    run_cli(*fit, "--home", first, check=0)
    packs = {name: tmp_path / f"{name}.pack" for name in ("photos", "photos-defects")}
    for name, path in packs.items():
        run_cli("export", name, "--format", "pack", "--out", path, "--home", first, check=0)
    picture(1, 99).save(tmp_path / "new.png")
    shelf, other = packs["photos"], packs["photos-defects"]
    for command in (
        ("query", tmp_path / "new.png", folder / "class 0", "--json", "--build", shelf),
        ("query", tmp_path / "new.png", "--where", "label = 'class 2'", "--collapse", "--json", "--build", shelf),
        ("query", tmp_path / "new.png", "--same", folder / "class 1" / "00.png", "--json", "--build", shelf),
        ("defects", "score", folder, "--json", "--name", other),
        ("evaluate", shelf, "--json"), ("compare", shelf, shelf, "--json"), ("index", "verify", shelf, "--json"),
    ):  # fmt: skip
        here = run(python.with_name("simsearch"), *command, "--home", tmp_path / "home", check=False, **alone)
        whole = run_cli(*command, "--home", tmp_path / "other")
        assert "Traceback" not in here.stderr
        assert (here.returncode, timeless(here.stdout)) == (whole.returncode, timeless(whole.stdout))
        assert here.stdout
        assert [line for line in here.stderr.splitlines() if "Unpacked" not in line] == [
            line for line in whole.stderr.splitlines() if "Unpacked" not in line
        ]


def test_every_command_has_its_help_and_what_builds_says_what_is_missing(installed, built, tmp_path):
    python, alone = installed
    command = python.with_name("simsearch")
    for name in cli.commands:
        assert run(command, name, "--help", **alone).stdout.startswith(f"Usage: simsearch {name}")
    done = run(command, "build", built[0], "--home", tmp_path, check=False, **alone)
    assert done.returncode == 2
    assert "is not installed, which this needs" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_serves_a_pack(installed, built, tmp_path):
    (python, alone), (folder, first) = installed, built
    run_cli("export", "photos", "--format", "pack", "--out", tmp_path / "x.pack", "--home", first, check=0)
    command = [python.with_name("simsearch"), "serve", "--build", tmp_path / "x.pack", "--port", "0"]
    command = [str(one) for one in (*command, "--home", tmp_path / "home")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **alone) as process:
        try:
            said = []
            while not said or "  Page" not in said[-1]:
                said.append(process.stderr.readline())
                assert said[-1], said
            address = said[-1].split()[1]
            body = form_body({"k": "3"}, {"image": (folder / "class 0" / "00.png").read_bytes()})
            request = urllib.request.Request(f"{address}v1/search", body, FORM)
            with open_url(request, timeout=20) as reply:
                hits = json.loads(reply.read())["hits"]
        finally:
            process.kill()
    query = ("query", folder / "class 0" / "00.png", "--k", 3, "--json", "--home", first)
    known = json.loads(run_cli(*query, check=0).stdout)["hits"]
    assert [(hit["image"], hit["score"]) for hit in hits] == [(hit["image"], hit["score"]) for hit in known]


def timeless(lines):
    return [{**json.loads(line), "milliseconds": None} for line in lines.splitlines()]
