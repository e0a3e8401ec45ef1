"""The two tiers of tests: every room has fast ones, and a file that is slow throughout says so once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TREES = {path.name: ast.parse(path.read_text()) for path in sorted(TESTS.glob("test_*.py"))}
PACKAGE = TESTS.parent / "simsearch"
ROOMS = {path.parent for path in PACKAGE.rglob("*.py")} | set(PACKAGE.glob("*.py"))
NO_CODE = {"simsearch.__main__", "simsearch.arrays", "simsearch.versions"}  # a call; names of types; a constant


def imports(tree):
    """Every module that is imported anywhere in a test file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_slow(node):
    return ast.unparse(node) == "pytest.mark.slow"


def marked(tree):
    """Whether a file says in one line that all of it is slow."""
    names = [(ast.unparse(node.targets[0]), node.value) for node in tree.body if isinstance(node, ast.Assign)]
    return any(name == "pytestmark" and is_slow(value) for name, value in names)


@pytest.fixture(scope="module")
def reached():
    return [name for tree in TREES.values() if not marked(tree) for name in imports(tree)]


@pytest.mark.parametrize("room", sorted({".".join(r.with_suffix("").relative_to(TESTS.parent).parts) for r in ROOMS}))
def test_every_room_has_fast_tests(reached, room):
    wanted = room.removesuffix(".__init__")
    assert wanted in NO_CODE or any(f"{name}.".startswith(f"{wanted}.") for name in reached), "make one test fast"


@pytest.mark.parametrize("name", TREES)
def test_a_file_that_is_slow_throughout_says_so_once(name):
    tests = [node for node in TREES[name].body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    slow = [any(map(is_slow, test.decorator_list)) for test in tests]
    assert not any(slow) if marked(TREES[name]) else not slow or not all(slow), "pytestmark = pytest.mark.slow"
