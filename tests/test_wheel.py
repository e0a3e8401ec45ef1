"""One place tells the version, and the wheel holds what the package needs, nothing else, and runs where it is alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import simsearch

ROOT = Path(__file__).parents[1]


def test_the_version_stands_in_one_place():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert told["project"]["dynamic"] == ["version"]
    assert "version" not in told["project"]
    constant = re.compile(r'^__version__ = "(.+?)"', re.MULTILINE)
    named = constant.findall((ROOT / told["tool"]["hatch"]["version"]["path"]).read_text())
    assert named == [simsearch.__version__]
    others = [path for path in (ROOT / "simsearch").rglob("*.py") if constant.search(path.read_text())]
    assert len(others) == 1


@pytest.mark.slow
def test_the_wheel_runs_in_a_fresh_environment(tmp_path):
    """As `make wheel` builds it, but with the hatchling that is installed; dependencies are those of this Python."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")

    def run(*command, **more):
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, **more).stdout

    pip = ("-m", "pip", "--disable-pip-version-check")
    run(sys.executable, *pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"simsearch-{simsearch.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as file:
        inside = {name for name in file.namelist() if ".dist-info/" not in name}
    source = {path for path in (ROOT / "simsearch").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    recipes = {f"simsearch/pipelines/{path.name}" for path in (ROOT / "pipelines").glob("*.toml")}
    assert inside == {str(path.relative_to(ROOT)) for path in source} | recipes
    assert {Path(name).suffix for name in inside} >= {".py", ".toml", ".html", ".css", ".js"}

    venv.create(tmp_path / "venv", with_pip=True, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    # The tests' own path would put the checkout before the wheel.
    alone = {"cwd": tmp_path, "env": {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}}
    run(python, *pip, "install", "--no-deps", "--no-index", wheel, **alone)
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", **alone).strip()
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    assert run(python, "-c", "import simsearch; print(simsearch.__file__)", **alone).startswith(packages)
    command = python.with_name("simsearch")
    assert run(command, "--version", **alone) == f"simsearch {simsearch.__version__}\n"
    shown = tomllib.loads(run(command, "show", "digits", "--home", tmp_path / "home", **alone))
    assert shown["dataset"]["source"] == "digits"
