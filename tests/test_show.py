"""`simsearch show` and `evaluate`, and what is printed to people."""

from __future__ import annotations

import json
import tomllib

import pytest
from conftest import SMALL, run_cli

from simsearch import console


def test_show_of_a_home(built):
    folder, home = built
    found = json.loads(run_cli("show", "--json", "--home", home, check=0).stdout)
    assert [b["name"] for b in found["builds"]] == ["photos"]
    assert {"digits", "mnist", "folder"} <= set(found["recipes"])
    assert found["versions"]["torch"]
    text = run_cli("show", "--home", home, check=0).stdout
    assert "photos" in text
    assert str(folder) in text


def test_show_of_a_build_has_recipe_digests_versions_and_device(built):
    home = built[1]
    found = json.loads(run_cli("show", "photos", "--json", "--home", home, check=0).stdout)
    assert found["stages"]["train"]["device"] == "cpu"
    assert len(found["stages"]["index"]["digest"]) == 64
    text = run_cli("show", "photos", "--home", home, check=0).stdout
    recipe = tomllib.loads(text)
    assert recipe["embedder"]["backbone"] == "mnist_cnn"
    assert recipe["training"]["epochs"] == 1
    assert "faiss-cpu" in text


def test_show_of_a_folder_builds_nothing(built, photos, home):
    folder, finished = built
    found = json.loads(run_cli("show", photos, *SMALL[:4], "--json", "--home", home, check=0).stdout)
    assert found["stages"] == {}
    assert "not built" in found["next"]
    assert not list(home.glob("artifacts/*"))
    known = json.loads(run_cli("show", folder, *SMALL, "--json", "--home", finished, check=0).stdout)
    assert "evaluate" in known["stages"]
    assert known["next"] is None


def test_show_of_nonsense(home):
    assert "no recipe" in run_cli("show", "nonsense", "--home", home, check=2).stderr


def test_shown_recipe_can_be_built_from(built, tmp_path):
    text = run_cli("show", "photos", "--home", built[1], check=0).stdout
    (tmp_path / "again.toml").write_text(text)
    done = run_cli("build", tmp_path / "again.toml", "--name", "photos", "--home", built[1], check=0)
    assert "up to date" in done.stderr


def test_evaluate_prints_table_or_report(built):
    home = built[1]
    table = run_cli("evaluate", "photos", "--home", home, check=0).stdout
    assert "your search" in table
    assert max(map(len, table.splitlines())) <= 80
    report = json.loads(run_cli("evaluate", "--json", "--home", home, check=0).stdout)
    assert report == json.loads((home / "builds" / "photos" / "report.json").read_bytes())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 图", "plain ü 图"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("line\nbreak\ttab", "line\\x0abreak\\x09tab"),
        ("bidi\u202etxt", "bidi\\u202etxt"),
        ("byte\udcff", "byte\\udcff"),
        ("emoji 🍎", "emoji 🍎"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("", ""),
    ],
)
def test_names_are_made_safe(text, shown):
    assert console.safe(text) == shown


def test_shorten_cuts_the_middle():
    assert console.shorten("abcdefghij", 10) == "abcdefghij"
    assert console.shorten("abcdefghijk", 9) == "abc...ijk"
    assert all(len(console.shorten("x" * 50, n)) == n for n in range(5, 40))
