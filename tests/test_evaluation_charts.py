"""Charts: well-formed SVG with real text, inside its frame, at most 4 lines and 8 groups, nothing by colour alone."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from simsearch.page.charts import MOST_GROUPS, Series, key, map_chart, recall_chart, roc_chart, tuning_chart
from simsearch.page.charts.drawing import spread

FAR = np.geomspace(1e-5, 1, 300)


def roc(name, look, power):
    return Series(name, look, [(float(x), float(x**power)) for x in FAR])


def parse(svg):
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    ids = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    named = root.get("aria-labelledby").split()
    assert [element.tag for element in list(root)[:2]] == ["title", "desc"]
    assert all(ids[name] for name in named)
    return root


def texts(root):
    return ["".join(element.itertext()) for element in root.iter("text")]


def numbers_inside(root):
    """Every absolute place (M, L, x, y) lies in the view box, give or take half a mark."""
    _, _, width, height = map(float, root.get("viewBox").split())
    for element in root.iter():
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", element.get("d") or ""):
            assert -1 <= float(x) <= width + 1, element.get("d")[:80]
            assert -1 <= float(y) <= height + 1, element.get("d")[:80]
        if element.tag == "text":
            assert 0 <= float(element.get("x")) <= width
            assert 10 <= float(element.get("y")) <= height


def test_roc():
    svg = roc_chart("roc", "ROC of <both>", [roc("worse", 0, 0.5), roc("better", 3, 0.1)])
    root = parse(svg)
    numbers_inside(root)
    assert {"worse", "better", "1/10,000", "1/10", "all"} <= set(texts(root))
    assert "better, worse" in "".join(root.find("desc").itertext())
    lines = [e for e in root.iter("path") if (e.get("class") or "").startswith("line")]
    assert {line.get("stroke-dasharray") for line in lines} == {None, "9 3 2 3"}
    assert "style" not in svg
    assert "#" not in svg  # colours are the page's
    # Names stand in the order of the lines.
    heights = {e.text: float(e.get("y")) for e in root.iter("text")}
    assert heights["better"] < heights["worse"]


def test_a_curve_is_thinned_to_what_can_be_seen():
    far = np.linspace(0, 1, 50_000)
    svg = roc_chart("roc", "ROC", [Series("one", 0, list(zip(far.tolist(), np.sqrt(far).tolist(), strict=True)))])
    assert len(svg) < 20_000


def test_roc_from_a_single_tick():
    root = parse(roc_chart("r", "ROC", [Series("few pairs", 0, [(0.1, 0.7), (1.0, 1.0)])]))
    numbers_inside(root)
    assert "1/100" not in texts(root)


def test_no_more_than_four_lines():
    svg = roc_chart("roc", "ROC", [roc(f"line {i}", i % 4, 0.2 + i / 10) for i in range(6)])
    assert "line 3" in svg
    assert "line 4" not in svg


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_recall_lines(value):
    lines = [
        Series(f"system {i}", i, [(k, value) for k in (1, 5, 10)], [[value, value], None, [0, 1]]) for i in range(4)
    ]
    root = parse(recall_chart("recall", "Recall", [1, 5, 10], lines))
    numbers_inside(root)
    found = texts(root)
    assert {"1", "5", "10", "100%"} <= set(found)
    heights = [float(e.get("y")) for e in root.iter("text") if (e.text or "").startswith("system")]
    assert min(np.diff(sorted(heights))) >= 14.9  # equal lines, names apart


def test_map_has_a_shape_for_each_group_and_names():
    points = np.random.default_rng(0).normal(size=(900, 2))
    groups = np.arange(900) % 9 - 1
    names = [f"label <{i}>" for i in range(MOST_GROUPS)]
    root = parse(map_chart("map", "Map", points, groups, names))
    numbers_inside(root)
    assert texts(root) == names
    dots = [e for e in root.iter("path") if (e.get("class") or "").startswith("dots")]
    assert len(dots) == MOST_GROUPS + 1
    glyphs = {re.sub(r"M\d+ \d+", "", e.get("d")[:40]).split("M")[0] for e in dots}
    assert len(glyphs) >= MOST_GROUPS - 1  # dot and square share a path, and differ in their caps
    signs = {key(group) for group in range(MOST_GROUPS)} | {key(None)}
    assert len(signs) == MOST_GROUPS + 1


def test_map_of_5000_points_is_small_and_keeps_its_proportions():
    points = np.random.default_rng(0).normal(size=(5000, 2)) * [1000, 1]
    svg = map_chart("map", "Map", points, np.arange(5000) % 10, [str(i) for i in range(8)])
    numbers_inside(parse(svg))
    assert len(svg) < 160_000
    ys = {int(y) for y in re.findall(r"M\d+ (\d+)", svg)}
    assert max(ys) - min(ys) < 20


def test_map_of_equal_points_and_of_groups_without_points():
    points = np.zeros((5, 2))
    root = parse(map_chart("map", "Map", points, np.full(5, -1), ["absent"]))
    numbers_inside(root)
    assert texts(root) == []
    long = parse(map_chart("map", "Map", points, np.zeros(5, int), ["a very long name of a label indeed"]))
    assert texts(long)[0].endswith("…")


def test_labels_of_axes_are_whole_and_apart():
    for least in (0.05, 0.33, 0.762, 0.951, 0.999):
        root = parse(recall_chart("r", "R", [1, 5], [Series("a", 0, [(1, least), (5, 1.0)])]))
        numbers_inside(root)
        levels = [found for found in texts(root) if found.endswith("%")]
        assert len(levels) == 5
        assert all(re.fullmatch(r"\d+%", level) for level in levels)
    root = parse(roc_chart("roc", "ROC", [roc("one", 0, 0.5)]))
    ticks = {e.text: e for e in root.iter("text") if (e.text or "").startswith("1/")}
    assert {e.get("text-anchor") for e in ticks.values()} == {"middle"}
    assert float(ticks["1/1,000"].get("x")) - float(ticks["1/10,000"].get("x")) > 70


def test_names_on_a_map_stand_beside_few_points_and_are_escaped_first():
    points = np.array([[0.0, 0], [0, 9], [9, 0], [9, 9], [8, 9], [9, 8]])
    groups = np.array([0, 1, 1, 2, 2, 2])
    root = parse(map_chart("map", "Map", points, groups, ["one", "two", "\u202e" * 10]))
    numbers_inside(root)
    one, two, three = root.iter("text")
    assert (one.get("class"), float(one.get("x"))) == ("name after", 36)
    assert (two.get("class"), float(two.get("x"))) == ("name before", 684)
    assert three.get("class") == "name"
    assert len(three.text) == 18
    assert three.text.startswith("\\u202e")


def testspread():
    assert spread([50, 50, 50], 0, 100, 10) == [50, 60, 70]
    assert spread([95, 99], 0, 100, 10) == [90, 100]
    assert spread([5, 80], 20, 100, 10) == [20, 80]
    assert spread([], 0, 100) == []


def test_an_index_that_was_chosen_is_named_among_what_was_tried():
    line = {"factory": "<b>IVF4", "pareto": True, "chosen": False}
    lines = [
        {**line, "stage": "sample", "ann_recall": 0.95, "qps": 9000.0},
        {**line, "stage": "full", "ann_recall": 1.0, "qps": 90.0},
        {**line, "stage": "check", "ann_recall": 0.98, "qps": 5100.0, "chosen": True},
    ]
    root = parse(tuning_chart("Recall against speed", lines, 0.97))
    numbers_inside(root)
    assert {"best on a sample", "<b>IVF4", "chosen", "queries a second", "10k"} <= set(texts(root))
    assert root.find("desc").text == "The chosen point: <b>IVF4 at 0.9800, 5,100 a second."
    assert tuning_chart("a", lines, 0.97) == tuning_chart("a", lines, 0.97) != tuning_chart("a", lines[:2], 0.97)
