"""README and docs/: pages that are generated, links, and command lines, held against what is there."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from conftest import run_cli

from simsearch.recipe.recipe import Recipe
from simsearch.recipe.settings import LEFT_OUT, every_table

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
GENERATED = runpy.run_path(str(DOCS / "generate.py"))


@pytest.mark.parametrize("name", GENERATED["PAGES"])
def test_a_generated_page_is_what_is_written_now(name):
    assert (DOCS / name).read_text() == GENERATED["PAGES"][name](), "run `make docs`"


def test_every_setting_has_one_line():
    found = [one for _, _, settings in every_table() for one in settings]
    assert len(found) > 60
    assert [one for one in found if not re.fullmatch(r".{9,77}\.", one.line)] == []
    named = {(table, key) for table, field in Recipe.model_fields.items() if table != "loss"
             for key in field.annotation.model_fields}  # fmt: skip
    unknown = {tuple(name.split(".")) for name in LEFT_OUT} - named
    assert unknown == {("loss", "classes_per_batch"), ("loss", "margin2")}


def test_show_prints_the_line_of_every_key(home):
    recipe = tomllib.loads(text := run_cli("show", "digits", "--home", home, check=0).stdout)
    for heading, _, settings in every_table():
        if not heading.startswith("[loss]") or "l2_softmax" in heading:
            for one in settings:
                assert re.search(f"\n# {re.escape(one.line)}\n(# )?{one.key}[ :]", text), one
    assert max(map(len, text.splitlines())) <= 80
    assert recipe["training"]["epochs"] == 12
    other = run_cli("show", "mnist-triplet", "--home", home, check=0).stdout
    assert "\n# How much farther a negative must be than the positive (squared distance).\nmargin = 0.2\n" in other


def test_readme_lists_every_command_as_help_does():
    between = re.search(r"<!-- commands -->\n(.*?)\n<!-- /commands -->", README, re.DOTALL)
    assert between, "markers"
    told = [GENERATED["usage_and_line"](*named) for named in GENERATED["every_command"]()]
    assert between[1].splitlines() == [f"- `{usage}`: {line}" for usage, line in told]


def test_readme_names_only_options_that_exist():
    known = {option for _, c in GENERATED["every_command"]() for p in c.params for option in p.opts}
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README))
    assert used <= known, used - known


def test_first_command_of_the_readme_is_within_25_lines():
    assert any("make demo" in line for line in README.splitlines()[:25])
