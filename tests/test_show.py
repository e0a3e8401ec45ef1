"""`simsearch show` and `evaluate`, the README's list of commands, and what is printed to people."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import click
import pytest
from conftest import SMALL, run_cli

from simsearch import cli, console

README = (Path(__file__).parent.parent / "README.md").read_text()


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
    assert "recipe/index" in table
    assert max(map(len, table.splitlines())) <= 80
    report = json.loads(run_cli("evaluate", "--json", "--home", home, check=0).stdout)
    assert report == json.loads((home / "builds" / "photos" / "report.json").read_bytes())


def every_command(group=cli.cli, words=()):
    """(words, command) of all that can be run: a group stands for the commands in it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def commands_in_help():
    """What the README says about commands: generated from the help texts, so that the two cannot drift apart."""
    context = click.Context(cli.cli)
    lines = []
    for name, command in sorted(every_command()):
        usage = command.collect_usage_pieces(click.Context(command, info_name=name, parent=context))
        summary = command.get_short_help_str(limit=200)
        lines.append(f"- `simsearch {name} {' '.join(usage)}`: {summary}")
    return "\n".join(lines)


def test_readme_lists_every_command_as_help_does():
    between = re.search(r"<!-- commands -->\n(.*?)\n<!-- /commands -->", README, re.DOTALL)
    assert between, "markers"
    assert between[1] == commands_in_help()


def test_readme_names_only_options_that_exist():
    known = {option for _, c in every_command() for p in c.params for option in p.opts}
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README))
    assert used <= known, used - known


def test_first_command_of_the_readme_is_within_25_lines():
    assert any("make demo" in line for line in README.splitlines()[:25])


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
