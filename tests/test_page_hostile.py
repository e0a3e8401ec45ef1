"""Names that try to be markup, controls or scripts: they are shown, and do nothing."""

from __future__ import annotations

import ast
import base64
import json
import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup
from pages import HOSTILE, Reader

from simsearch.page.html import Pictures
from simsearch.page.templates import page as frame
from simsearch.report.sections.document import section

PACKAGE = Path(__file__).parent.parent / "simsearch"


def test_hostile_names_are_shown_and_do_nothing(page, arguments):
    read = Reader(page)
    shown = "".join(read.words)
    for name in HOSTILE[:3] + HOSTILE[5:8]:
        assert name in shown
    assert "\\u202egnp.exe" in shown
    assert "a\\x1b[31mb\\x0ac" in shown
    assert "lone \\ud800 surrogate" in shown
    page.encode("utf-8")
    assert not set(page) & set("\x1b\u202e\ud800\x00")
    assert not read.all("img")
    assert 'source = "<digits>"' in shown
    labels = [a["aria-label"] for a in read.all("svg") if a.get("class") == "pic"]
    assert any(label.startswith('"><img src=x onerror=alert(1)>, "><img') for label in labels)
    # report.json is embedded whole, and offered to be saved.
    assert json.loads(read.json) == arguments["report"]
    link = next(a for a in read.all("a") if a.get("download"))
    assert link["download"] == "report.json"
    assert json.loads(base64.b64decode(link["href"].partition(",")[2])) == arguments["report"]


def test_long_labels_are_cut_in_their_middle():
    def shown(label):
        leaks = [{"label": label, "other": "b", "count": 1}]
        report = {"k": [1], "leaks": leaks, "unanswerable": 0}
        return section("errors", report=report, pictures=Pictures(lambda row: None, str, [])).split("<b>")[1]

    assert shown("a" * 40).startswith(f'<span class="name">{"a" * 40}</span></b>')
    cut = shown("a" * 30 + "<" + "b" * 30)
    assert cut.startswith(f'<span class="name" title="{"a" * 30}&lt;{"b" * 30}">')
    assert len(cut.partition(">")[2].partition("<")[0]) <= 40


def test_what_a_template_lets_through_is_made_safe_by_the_page():
    words = {"title": "t", "heading": "h", "description": "d", "about": "a"}
    page = frame(sections=[("verdict", "Verdict", Markup("<p>\u202egnp\x1b[31m</p>"))], **words)
    assert "<p>\\u202egnp\\x1b[31m</p>" in page


def test_nothing_but_templates_and_charts_says_what_is_markup():
    templates = {path: path.read_text() for path in PACKAGE.rglob("*.html")}
    assert len(templates) > 15
    for path, text in templates.items():
        assert not re.search(r'[^"]\|safe|autoescape|Markup|striptags', text), path  # only words of the template itself
    python = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if "Markup(" in path.read_text()}
    assert python == {"page/charts/drawing.py", "page/html.py", "page/templates.py"}


def test_no_string_of_python_builds_a_page():
    """Tags stand in the room of pages alone; GitHub's markdown folds and escapes by tags."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        words = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in words]
        if any(re.search(r"</?[a-z][a-z0-9]*[\s>/]", one) for one in strings if isinstance(one, str)):
            found.add(str(path.relative_to(PACKAGE)))
    assert {path for path in found if not path.startswith("page/")} == {"bench/outputs/markdown.py"}
    assert len(found) > 5


def test_a_value_that_is_not_there_is_an_error():
    with pytest.raises(UndefinedError, match="facts"):
        section("index", report={"index": {"factory": "Flat"}})
