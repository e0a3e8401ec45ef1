"""The language of filters: what it means, against a slow evaluator, and what it refuses, with the place."""

from __future__ import annotations

import csv
import re
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simsearch.errors import FilterError, RecipeError
from simsearch.search.filtering import Filters
from simsearch.search.where import DEEPEST, All, Among, Any, Column, Compared, Not, Under, Value, parse, with_labels

SIGNS = ("=", "!=", "<", "<=", ">", ">=")
CELLS = ["apple", "a pear", "3", "3.0", "-2.5", "1e3", "", "nan", "it's", 'a "b"', "and", "under", "shelf/1",
         "shelf/12", "shelf/1/x.jpg", "Äpfel", "(1,2)"]  # fmt: skip
FOLDERS = ["shelf", "shelf/", "shelf/1", "./shelf/1/", "nowhere"]
COLUMNS = ["image", "name", "unit price"]


def plain_number(text: str) -> float | None:
    """Without our pattern: what Python takes, but for words and underscores."""
    try:
        return None if re.search("[a-df-zA-DF-Z_\\s]", text) else float(text)
    except ValueError:
        return None


class Slow:
    """One row at a time, from (kind, ...) tuples that no parser of ours has made."""

    def __init__(self, tree):
        self.tree = tree

    def passes(self, row, tree=None) -> bool:
        kind, *rest = tree or self.tree
        if kind == "not":
            return not self.passes(row, rest[0])
        if kind in ("and", "or"):
            return (all if kind == "and" else any)(self.passes(row, one) for one in rest[0])
        column, *rest = rest
        cell = row[column]
        if kind == "under":
            folder = rest[0][2:] if rest[0].startswith("./") else rest[0]
            return cell.split("/")[: len(folder.rstrip("/").split("/"))] == folder.rstrip("/").split("/") and (
                len(cell.split("/")) > len(folder.rstrip("/").split("/"))
            )
        if kind == "in":
            return any(self.same(cell, value) for value in rest[0])
        sign, value = rest
        if sign in "=!=":
            return self.same(cell, value) == (sign == "=")
        text, bare = value
        if bare and plain_number(text) is not None:
            one, other = plain_number(cell), plain_number(text)
            if one is None:
                return False
        else:
            one, other = cell, text
            if not cell:
                return False
        return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[sign]

    @staticmethod
    def same(cell, value) -> bool:
        text, bare = value
        return cell == text or (
            bare and plain_number(text) is not None and plain_number(cell) == plain_number(text)
        )  # fmt: skip


def quote(draw, text: str) -> str:
    mark = draw(st.sampled_from("'\""))
    return mark + text.replace(mark, mark * 2) + mark


def write_value(draw, value) -> str:
    text, bare = value
    return text if bare else quote(draw, text)


def write(draw, tree) -> str:
    """The text of a tree, with spaces, case and superfluous brackets as they come."""
    space = lambda: draw(st.sampled_from([" ", "  ", "\n"]))  # noqa: E731
    word = lambda text: draw(st.sampled_from([text, text.upper(), text.title()]))  # noqa: E731
    kind, *rest = tree
    if kind == "not":
        return f"{word('not')}{space()}({write(draw, rest[0])})"
    if kind in ("and", "or"):
        inner = [f"({write(draw, one)})" if one[0] in ("and", "or") else write(draw, one) for one in rest[0]]
        return f"{space()}{word(kind)}{space()}".join(inner)
    column, *rest = rest
    name = quote(draw, column) if " " in column or draw(st.booleans()) else word(column)
    if kind == "under":
        text = f"{name}{space()}{word('under')}{space()}{quote(draw, rest[0])}"
    elif kind == "in":
        values = f"{draw(st.sampled_from([',', ' , ']))}".join(write_value(draw, one) for one in rest[0])
        text = f"{name}{space()}{word('in')}{draw(st.sampled_from(['', ' ']))}({values})"
    else:
        sign = "==" if rest[0] == "=" and draw(st.booleans()) else rest[0]
        text = f"{name}{draw(st.sampled_from(['', ' ']))}{sign}{draw(st.sampled_from(['', ' ']))}" + write_value(
            draw, rest[1]
        )
    return f"({text})" if draw(st.booleans()) else text


values = st.one_of(
    st.tuples(st.sampled_from(CELLS), st.just(False)),
    st.sampled_from([(text, True) for text in ("apple", "3", "-2.5", "1e3", "4", "shelf/1", ".5")]),
)
tests = st.one_of(
    st.tuples(st.just("compare"), st.sampled_from(COLUMNS), st.sampled_from(SIGNS), values),
    st.tuples(st.just("in"), st.sampled_from(COLUMNS), st.lists(values, min_size=1, max_size=3)),
    st.tuples(st.just("under"), st.sampled_from(COLUMNS[1:]), st.sampled_from(FOLDERS)),
)
trees = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=8,
)


@st.composite
def written(draw):
    tree = draw(trees)
    return tree, write(draw, tree)


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    return [
        {
            "image": f"img/{i}.png" if i else "7",
            "name": CELLS[i % len(CELLS)],
            "unit price": str(random.choice([*CELLS, "3", "-2.5"])),
        }
        for i in range(60)
    ]


def filters(folder, rows, **more):
    with (folder / "images.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(rows[0])
        table.writerows(row.values() for row in rows)
    live = np.ones(len(rows), dtype=np.bool_)
    return Filters(folder, {name: name for name in rows[0]}, more.get("live", live), "a list has it")


@pytest.fixture(scope="module")
def opened(rows, tmp_path_factory):
    return filters(tmp_path_factory.mktemp("table"), rows)


@settings(max_examples=400, deadline=None)
@given(written())
@example((("compare", "name", "<", ("3", True)), "name<3"))
def test_a_filter_means_what_a_slow_evaluator_says(opened, rows, both):
    tree, text = both
    found = opened.passing(text)
    assert found.tolist() == [Slow(tree).passes(row) for row in rows], text


def test_the_example_of_the_docs():
    found = parse("label in (apple, 'a pear') and image under 'shelf-3/' and price < 3 or not a = b")
    assert found == Any(
        (
            All(
                (
                    Among(Column("label", 0), (Value("apple"), Value("a pear"))),
                    Under(Column("image", 31), Value("shelf-3/")),
                    Compared(Column("price", 58), "<", Value("3", 3.0)),
                )
            ),
            Not(Compared(Column("a", 75), "=", Value("b"))),
        )
    )
    assert parse("label not in (7)") == Not(Among(Column("label"), (Value("7", 7.0),)))
    assert parse("'7' = '7'") == Compared(Column("7"), "=", Value("7")), "in quotes it is no number"


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("", 0, "a filter that is empty"),
        ("  ", 0, "a filter that is empty"),
        ("label", 5, "expected =, !=, <, <=, >, >=, in or under, seen the end"),
        ("label = ", 7, "expected a value, seen the end"),
        ("price < and", 8, "expected a value, seen and"),
        ("label = class 1", 14, "expected and, or, or the end, seen 1"),
        ("label in apple", 9, "expected ( after in, seen apple"),
        ("label in ()", 10, "expected a value, seen )"),
        ("label in (a b)", 12, "expected , or ), seen b"),
        ("label in (a,", 12, "expected a value, seen the end"),
        ("(label = a", 10, "expected and, or, or ), seen the end"),
        ("label = a)", 9, "expected and, or, or the end, seen )"),
        ("label = 'a", 8, "a quote that is left open"),
        ("label = it's", 10, "a quote that is left open"),
        ("label not = a", 10, "expected in or under, seen ="),
        ("and label = a", 0, "expected a column, as label or image, seen and"),
        ("label = a && b = c", 10, "expected and, or, or the end, seen &&"),
        ("label ! a", 6, "expected !=, seen !"),
        ("label => a", 7, "expected a value, seen >"),
        ("not", 3, "expected a column, as label or image, seen the end"),
        ("__import__('os')", 10, "expected =, !=, <, <=, >, >=, in or under, seen ("),
    ],
)
def test_the_place_of_a_mistake(text, place, why):
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert (caught.value.message, caught.value.place) == (f"where: {why}", place)
    assert "--where" in caught.value.hint


def refused(text):
    """The error of a text that is no filter."""
    with pytest.raises(FilterError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize("deep", ["(" * 5000 + "a=1" + ")" * 5000, "not " * 5000 + "a=1"])
def test_a_filter_is_never_too_deep_for_python(deep):
    with pytest.raises(FilterError, match=f"more than {DEEPEST} conditions"):
        parse(deep)
    assert parse(" and ".join(["a=1"] * 5000)), "a long one is not deep"


def test_any_text_is_a_filter_or_is_refused():
    @settings(max_examples=500, deadline=None)
    @given(st.lists(st.sampled_from([*"ab1 '\"()=<>!,.\\\n", " and ", " or ", "not ", " in ", " under ", "label"])))
    def check(parts):
        text = "".join(parts)
        with suppress(FilterError):
            parse(text)
            return
        assert 0 <= refused(text).place <= len(text)

    check()


def test_labels_as_a_short_form():
    assert with_labels(None, []) is None
    assert with_labels("a = 1", []) == "a = 1"
    assert with_labels(None, ["it's"]) == "label = 'it''s'"
    assert with_labels("a = 1 or b = 2", ["x", "y"]) == "label in ('x', 'y') and (a = 1 or b = 2)"
    with pytest.raises(FilterError) as caught:
        with_labels("a = ", ["x"])
    assert caught.value.text == "a = ", "the place is one of the text that was given"


ROWS = [{"image": f"img/{label}/{i}.png", "label": label, "price": price} for i, (label, price) in enumerate(
    [("apple", "3"), ("pear", ""), ("7", "4"), ("gone", "5"), ("cafe\u0301", "x")])]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lable = apple", "no column 'lable' (seen: image, label, price); did you mean 'label'?"),
        ("label = aple", "no image has the label 'aple'; did you mean 'apple'?"),
        ("not label in (pear, appel)", "no image has the label 'appel'; did you mean 'apple'?"),
        ("label = gone", "no image has the label 'gone'"),
        ("image under img/aple", "no image lies in the folder 'img/aple'; did you mean 'img/apple/'?"),
        ("image under img/gone", "no image lies in the folder 'img/gone'"),
        ("label < 3 and image < 3", "image < 3: the column image holds no numbers, as 'img/apple/0.png'"),
    ],
)
def test_names_that_nothing_has_are_refused_with_the_nearest(tmp_path, text, said):
    live = np.array([True, True, True, False, True])
    with pytest.raises(RecipeError) as caught:
        filters(tmp_path, ROWS, live=live).passing(text)
    assert caught.value.message.startswith(f"where: {said}")


def test_what_is_not_refused(tmp_path):
    opened = filters(tmp_path, ROWS)
    passing = lambda text: opened.passing(text).tolist()  # noqa: E731
    assert passing("label = 7.0") == [False, False, True, False, False], "a label that is a number"
    assert passing("LABEL = 'caf\u00e9'") == [False] * 4 + [True], "accents composed; columns in any case"
    assert passing("price = 9") == [False] * 5, "an empty answer, not a mistake"
    assert passing("price < 5") == [True, False, True, False, False], "what is no number passes no order"
    assert passing("price = ''") == [False, True, False, False, False]
