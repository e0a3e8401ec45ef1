"""The house: who may import whom, one owner a library, and what stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "simsearch"
FILES = sorted(PACKAGE.rglob("*.py"))
# Ground first. An import only looks down: never up, never from room to room within a row.
FLOORS = (
    {"errors", "console", "hashing", "arrays", "versions"},
    {"durable", "checked", "names"},
    {"locks"},
    {"artifacts", "statistics", "page"},
    {"images", "vectors", "packs"},
    {"embedder"},
    {"recipe", "evaluation", "defects", "engines"},
    {"home"},
    {"changes", "report"},
    {"stages"},
    {"pipeline"},
    {"search", "sync", "exchange", "bench"},
    {"integrity", "server"},
    {"cli"},
)
# The same for the wings of one room.
WINGS = {"embedder": ({"losses", "networks"}, {"bundle", "training"}), "images": ({"formats"}, {"sources"})}
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
OWNERS = {
    "faiss": ("vectors/index/",),
    "h5py": ("vectors/features.py", "vectors/plain_hdf5.py", "vectors/formats/hdf5.py"),
    "ray": ("engines/ray/",),
    "pyarrow": ("images/sources/tables.py", "vectors/formats/metadata.py"),
    "click": ("cli/",),
    "fsspec": ("images/sources/store.py",),
    "rich": ("console.py", "bench/outputs/terminal.py"),
    "sqlite3": ("hashing.py", "bench/history/"),
    "fcntl": ("locks.py",),
    "pydantic": ("recipe/", "bench/matrix.py", "server/"),
    "torch": ("embedder/",),
    "torchvision": ("embedder/", "images/"),
    "sklearn": ("images/sources/digits.py", "evaluation/details/", "defects/pooled.py"),
    "scipy": ("statistics/", "defects/pixels.py"),
    "threadpoolctl": ("vectors/blas.py", "bench/measuring/speed.py", "evaluation/details/"),
    "jinja2": ("page/templates.py",),
    "markupsafe": ("page/", "report/sections/", "bench/outputs/"),
    "onnxruntime": ("embedder/networks/session.py",),
    "onnx": (
        "embedder/bundle/export.py",
        "embedder/bundle/inner.py",
        "embedder/networks/onnx_batch.py",
        "embedder/networks/onnx_files.py",
        "embedder/networks/onnx_original.py",
        "embedder/networks/onnx_end.py",
        "embedder/networks/onnx_plain.py",
    ),
    "timm": ("embedder/networks/families/timm_models.py",),
    "transformers": ("embedder/networks/families/hf_models.py",),
    "huggingface_hub": ("embedder/networks/hub.py",),
    "safetensors": ("embedder/", "stages/embed.py"),
    "pymilvus": ("engines/milvus/client.py",),
    "milvus_lite": ("engines/milvus/client.py",),
    "PIL": ("images/",),
    "pillow_heif": ("images/formats/plugins.py",),
    "pillow_jxl": ("images/formats/plugins.py",),
    "fastapi": ("server/",),
    "starlette": ("server/",),
    "uvicorn": ("server/running.py", "server/protocol.py"),
    "prometheus_client": ("server/metrics.py",),
    "python_multipart": ("server/multipart.py",),
    "watchfiles": ("server/watching.py",),
    "numpy": ("",),
}
PACKAGE_OF = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "faiss": "faiss-cpu",
    "pillow_jxl": "pillow-jxl-plugin",
}  # where the two names differ


@cache
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


def room_of(module: str) -> str | None:
    """The room, or file of the ground floor, that a module of the package is in; None for the package itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == "simsearch" and len(parts) > 1 and parts[1] in FLOOR else None


def third_parties() -> dict[str, set[str]]:
    """Every library that is imported, and the files that do."""
    found: dict[str, set[str]] = {}
    for path in FILES:
        for name in {name.split(".")[0] for name in imports(path)} - {"simsearch"} - set(sys.stdlib_module_names):
            found.setdefault(name, set()).add(str(path.relative_to(PACKAGE)))
    return found


def test_every_file_is_in_a_room():
    assert {path.name for path in PACKAGE.iterdir() if path.suffix == ".py"} - {f"{room}.py" for room in FLOOR} == {
        "__init__.py",
        "__main__.py",
    }
    assert {path.parent.relative_to(PACKAGE).parts[0] for path in FILES if path.parent != PACKAGE} <= set(FLOOR)
    assert "simsearch.errors" in imports(PACKAGE / "vectors" / "index" / "index.py")


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_imports_only_look_down(room):
    files = [path for path in FILES if path.relative_to(PACKAGE).parts[0] in (room, f"{room}.py")]
    assert files, room
    for path in files:
        seen = {other for name in imports(path) if (other := room_of(name)) not in (None, room)}
        wrong = {other for other in seen if FLOOR[other] >= FLOOR[room]}
        assert not wrong, f"{path} imports {wrong}"


@pytest.mark.parametrize("room", sorted(WINGS))
def test_wings_only_look_down(room):
    rows = WINGS[room]
    floor = {wing: number for number, wings in enumerate(rows) for wing in wings}
    assert {path.name for path in (PACKAGE / room).iterdir() if path.is_dir()} - {"__pycache__"} == set(floor)
    for path in FILES:
        if path.is_relative_to(PACKAGE / room) and (wing := path.relative_to(PACKAGE / room).parts[0]) in floor:
            seen = {name.split(".")[2] for name in imports(path) if name.startswith(f"simsearch.{room}.")}
            wrong = {other for other in seen - {wing} if floor[other] >= floor[wing]}
            assert not wrong, f"{path} imports {wrong}"


def test_no_file_imports_itself_through_others():
    names = {".".join(("simsearch", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in FILES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {name: {other for other in imports(path) if other in names} - {name} for name, path in names.items()}
    for name in graph:  # a package's __init__ only gathers its files
        if names[name].name == "__init__.py":
            graph[name] = {other for other in graph[name] if other.startswith(f"{name}.")}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in sorted(graph[name]):
                if not (names[other].name == "__init__.py" and name.startswith(f"{other}.")):
                    walk(other, (*path, name))
            done.add(name)

    for name in sorted(graph):
        walk(name, ())


def test_every_library_is_declared_and_has_an_owner():
    declared = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    lists = [declared["dependencies"], *declared["optional-dependencies"].values()]
    known = {re.split(r"[<>=!~\[; ]", line)[0].lower().replace("-", "_") for lines in lists for line in lines}
    for library, users in third_parties().items():
        assert PACKAGE_OF.get(library, library).lower().replace("-", "_") in known, f"{users} import {library}"
        assert library in OWNERS, f"{users} import {library}, which has no owner"


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_one_owner_a_library(library):
    users = [
        str(path.relative_to(PACKAGE)) for path in FILES if any(name.split(".")[0] == library for name in imports(path))
    ]
    assert users, f"nobody uses {library}"
    assert all(user.startswith(OWNERS[library]) for user in users), users


def test_files_stay_under_300_lines():
    templates = sorted(PACKAGE.rglob("*.html"))
    long = {str(path): n for path in [*FILES, *templates] if (n := len(path.read_text().splitlines())) > 300}
    assert not long
    assert not [str(path) for path in templates if max(map(len, path.read_text().splitlines())) > 120]


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
