"""README and docs/: pages that are generated, links, and command lines, held against what is there."""

from __future__ import annotations

import ast
import itertools
import re
import runpy
import shlex
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from conftest import run_cli

from simsearch.recipe.files import shipped_recipes
from simsearch.recipe.loss import LOSSES, Mining
from simsearch.recipe.recipe import Recipe, make_recipe
from simsearch.recipe.settings import LEFT_OUT, every_table, toml
from simsearch.report.words import MEANINGS, NAMES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
GENERATED = runpy.run_path(str(DOCS / "generate.py"))
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted(DOCS.glob("*.md"))]


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page):
    """(what a link of a page leads to, its anchor or "") of all that lead to files."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            yield (page.parent / file).resolve() if file else page, anchor


def command_lines(page):
    """The words of every `simsearch COMMAND ...` in the code of a page."""
    text = page.read_text()
    fenced = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    code = [line for block in fenced for line in block.splitlines()]
    code += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in code:
        for called in re.findall(r"(?:^|[\s(/])simsearch ((?:[^'\"#|>&;)]|'[^']*'|\"[^\"]*\")+)", line):
            yield shlex.split(re.split(r" {3,}", called)[0])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for file, anchor in links(page):
        assert file.exists(), file
        assert not anchor or anchor in anchors(file), f"{file.name}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_recipes_and_targets_that_a_page_names_are_there(page):
    text = page.read_text()
    for name in re.findall(r"(?<![\w./-])(?:[a-z_]+/)+\w+\.py\b", text):
        assert (ROOT / name).exists() or (ROOT / "simsearch" / name).exists(), name
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z-]+)`", text):
        assert re.search(f"^{target}:", makefile, re.MULTILINE), target
    built = {words[1] for words in command_lines(page) if words[0] == "build" and len(words) > 1}
    named = {name for name in built if re.fullmatch("[a-z0-9-]+", name)}
    assert named - {"photos"} <= set(shipped_recipes())


def test_every_page_is_linked_from_the_first_or_from_the_list_of_pages():
    linked = {file for page in (ROOT / "README.md", DOCS / "README.md") for file, _ in links(page)}
    assert set(DOCS.glob("*.md")) - {DOCS / "README.md"} <= linked
    assert len(linked) > 10


def test_commands_in_the_docs_are_as_they_are_written():
    known = {name: {word for one in command.params for word in one.opts} | {"--help"}
             for name, command in GENERATED["every_command"]()}  # fmt: skip
    keys = {
        table: set(field.annotation.model_fields) for table, field in Recipe.model_fields.items() if table != "loss"
    }
    keys["loss"] = {key for table in LOSSES.values() for key in table.model_fields}
    seen = 0
    for page in PAGES:
        for words in command_lines(page):
            name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
            if name is None:
                assert words[0].startswith(("--", "COMMAND")), f"{page.name}: simsearch {' '.join(words)}"
                continue
            seen += 1
            for word, after in itertools.pairwise([*words, ""]):
                if re.match("--?[a-z]", word):
                    assert word.partition("=")[0] in known[name], f"{page.name}: simsearch {' '.join(words)}"
                setting = re.match(r"([a-z]+)\.([a-zA-Z_]+)=", after) if word == "--set" else None
                if setting and setting[0] not in ("table.key=", "index.KEY="):
                    assert setting[2] in keys[setting[1]], f"{page.name}: --set {after}"
    assert seen > 100


def rows(page):
    """The cells of every row of a page's tables."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.read_text().splitlines() if "|" in line
    ]


def test_tables_written_by_hand_are_those_of_the_code():
    method = rows(DOCS / "method.md")
    assert [row for row in method if row[1:] and row[1].strip("`") in NAMES] == [
        [NAMES[key], f"`{key}`", MEANINGS[key]] for key in NAMES
    ]
    first = [row[0].split()[0].strip("`") for row in method]
    assert set(get_args(Mining)) <= set(first)
    house = ast.parse((ROOT / "tests" / "test_house.py").read_text())
    (floors,) = [ast.literal_eval(one.value) for one in house.body
                 if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "FLOORS"]  # fmt: skip
    written = [set(re.findall(r"`(\w+)`", row[1])) for row in rows(DOCS / "developing.md")]
    assert [names for names in reversed(written) if names] == list(floors), (
        "the rows of the house, in docs/developing.md"
    )


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


@pytest.mark.parametrize(
    ("source", "more"),
    [("digits", {}), ("folder:x", {}), ("table:x.csv", {}), ("folder:x", {"train": "all"}), ("digits", {"dim": 32})],
)
def test_what_a_key_is_where_it_is_left_out_is_told_as_it_is(source, more):
    resolved = make_recipe({"dataset": {"source": source}, "embedder": more}, "").resolve().model_dump()
    for heading, _, settings in every_table():
        table = "loss" if "l2_softmax" in heading else heading.strip("[]")
        for one in settings if table in resolved else ():
            value = resolved[table][one.key]
            if value is not None and one.key not in (*more, "source", "size", "mean", "std", "head_learning_rate"):
                assert toml(value) in one.default, one


def test_show_prints_the_line_of_every_key(home):
    recipe = tomllib.loads(text := run_cli("show", "digits", "--home", home, check=0).stdout)
    for heading, _, settings in every_table():
        if not heading.startswith("[defects") and (not heading.startswith("[loss]") or "l2_softmax" in heading):
            for one in settings:
                assert re.search(f"\n# {re.escape(one.line)}\n(# )?{one.key}[ :]", text), one
    assert max(map(len, text.splitlines())) <= 80
    assert recipe["training"]["epochs"] == 12
    other = run_cli("show", "mnist-triplet", "--home", home, check=0).stdout
    assert "\n# How much farther a negative must be than the positive (squared distance).\nmargin = 0.2\n" in other


def test_the_readme_is_short_and_leads_to_the_other_pages():
    assert len(README.split()) <= 800, "whoever adds a line takes one out; the rest goes into docs/"
    assert DOCS / "README.md" in {file for file, _ in links(ROOT / "README.md")}


def test_readme_names_only_options_that_exist():
    known = {option for _, c in GENERATED["every_command"]() for p in c.params for option in p.opts}
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README))
    assert used <= known, used - known


def test_first_command_of_the_readme_is_within_25_lines():
    assert any("make demo" in line for line in README.splitlines()[:25])
