"""The house: who may import whom, one owner a library, and what stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "simsearch"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = {"images", "embedder", "vectors", "evaluation"}
ABOVE = {
    "pipeline", "stages", "search", "bench", "cli", "show", "home", "comparing", "sync", "fingerprint", "exchange",
    "integrity",
}  # fmt: skip
MAY_NOT = {
    "images": ROOMS - {"images"},
    "vectors": ROOMS - {"vectors"},
    "embedder": {"vectors", "evaluation"},
    "evaluation": {"images", "embedder"},
}
OWNERS = {
    "faiss": ("vectors/index/",),
    "h5py": ("vectors/features.py", "vectors/formats/hdf5.py"),
    "pyarrow": ("images/tables.py", "vectors/formats/metadata.py"),
    "click": ("cli/",),
    "rich": ("console.py",),
    "sqlite3": ("hashing.py", "bench/history"),
    "filelock": ("home.py",),
    "pydantic": ("recipe/", "bench/matrix.py"),
    "torch": ("embedder/",),
    "torchvision": ("embedder/", "images/"),
    "sklearn": ("images/digits.py", "evaluation/projection.py"),
    "matplotlib": ("evaluation/plots.py",),
    "onnxruntime": ("embedder/runtime.py",),
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, as an absolute name."""
    here = ("simsearch", *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) + "." if node.level else ""
            module = (base + (node.module or "")).rstrip(".")
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def test_the_walk_sees_the_whole_package():
    assert {path.parent.name for path in FILES} >= ROOMS | {"simsearch", "stages"}
    assert "simsearch.errors" in imports(PACKAGE / "vectors" / "index" / "index.py")
    assert "simsearch.vectors.index" in imports(PACKAGE / "search" / "searcher.py")


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_go_one_way(room):
    forbidden = {f"simsearch.{name}" for name in MAY_NOT[room] | ABOVE}
    for path in (PACKAGE / room).rglob("*.py"):
        wrong = {name for name in imports(path) if any(name == f or name.startswith(f + ".") for f in forbidden)}
        assert not wrong, f"{path} imports {wrong}"


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_one_owner_a_library(library):
    users = [
        str(path.relative_to(PACKAGE)) for path in FILES if any(name.split(".")[0] == library for name in imports(path))
    ]
    assert users, f"nobody uses {library}"
    assert all(user.startswith(OWNERS[library]) for user in users), users


def test_files_stay_under_300_lines():
    long = {str(path): n for path in FILES if (n := len(path.read_text().splitlines())) > 300}
    assert not long


def test_package_imports_are_cheap():
    code = (
        "import sys, simsearch; heavy = {'numpy', 'torch', 'click', 'pydantic'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_reads_or_writes_pickle():
    for path in FILES:
        names = {name.split(".")[0] for name in imports(path)}
        assert not names & {"pickle", "cPickle", "dill", "joblib", "shelve"}, path
        text = path.read_text()
        assert "allow_pickle=True" not in text, path
        assert text.count("torch.load(") <= text.count("weights_only=True"), path
