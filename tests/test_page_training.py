"""training.svg: a picture that stands alone, light and dark, the same bytes for the same epochs."""

import re
import xml.etree.ElementTree as ET

import pytest

from simsearch.page.charts import svg_file, training_chart

SVG = "{http://www.w3.org/2000/svg}"


def rows(epochs, *, active=True, recall=True):
    return [
        {
            "epoch": epoch,
            "loss": 1 / epoch,
            "active": 0.5 / epoch if active else None,
            "val_recall_at_1": 1 - 0.1 / epoch if recall and epoch % 2 else None,
            "learning_rate": 1e-3,
        }
        for epoch in range(1, epochs + 1)
    ]


def drawn(metrics, kept=None):
    return ET.fromstring(svg_file(training_chart("training", metrics, kept)))


def texts(root):
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def places(root, kind):
    """The ends of each line of a kind, and the marks: (x, y)."""
    found = [e.get("d") for e in root.iter(f"{SVG}path") if (e.get("class") or "").split()[0] == kind]
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)] for path in found]


def test_a_panel_for_each_figure_that_was_measured():
    words = ["loss", "active tuples", "recall@1 of val images"]
    for shown, options in ((3, {}), (2, {"recall": False}), (1, {"active": False, "recall": False})):
        root = drawn(rows(6, **options))
        assert [word for word in texts(root) if word in words] == words[:shown]
        assert len(places(root, "line")) == shown
    (loss,) = places(root, "line")
    assert [y for _, y in loss] == sorted(y for _, y in loss), "a loss that falls goes down"
    assert len(loss) == 6
    assert root.find(f"{SVG}desc").text == "loss from 1 to 0.1667 in 6 epochs."


def test_the_epoch_that_was_kept_is_marked_where_it_is_not_the_last():
    (when,) = places(drawn(rows(6), kept=4), "when")
    assert when[0][0] == places(drawn(rows(6)), "line")[0][3][0]
    assert "kept: epoch 4" in texts(drawn(rows(6), kept=4))
    assert not [word for word in texts(drawn(rows(6), kept=6)) if "kept" in word]


@pytest.mark.parametrize("epochs", [1, 2, 9, 137])
def test_everything_is_inside_and_the_same_rows_are_the_same_bytes(epochs):
    root = drawn(rows(epochs), kept=1)
    _, _, width, height = map(float, root.get("viewBox").split())
    for kind in ("line", "mark", "grid", "when"):
        for x, y in (place for path in places(root, kind) for place in path):
            assert 0 <= x <= width, kind
            assert 0 <= y <= height, kind
    for element in root.iter(f"{SVG}text"):
        left = float(element.get("x")) - 7 * len(element.text) * (element.get("text-anchor") == "end")
        assert left >= 0, element.text
    ticks = [word for word in texts(root) if word.isdigit() and int(word) <= epochs]
    assert {"1", str(epochs)} <= set(ticks)
    assert svg_file(training_chart("t", rows(epochs))) == svg_file(training_chart("t", rows(epochs)))
    other = [*rows(epochs)[:-1], {**rows(epochs)[-1], "loss": 3.0}]
    assert svg_file(training_chart("t", rows(epochs))) != svg_file(training_chart("t", other))


@pytest.mark.parametrize("loss", [0.0, 1e-9, 123.4, -3.0])
def test_a_loss_that_does_not_move_has_an_axis(loss):
    root = drawn([{"epoch": epoch, "loss": loss} for epoch in (1, 2, 3)])
    assert len(set(texts(root)[1:4])) == 3
    ((_, first), (_, last)) = places(root, "line")[0][0], places(root, "line")[0][-1]
    assert first == last


def test_the_file_stands_alone():
    root = drawn(rows(3))
    assert (root.get("width"), root.get("height")) == ("720", "800")
    style = root.find(f"{SVG}style").text
    assert "var(" not in style
    assert "url(" not in style
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    assert ".ground { fill: #ffffff; }" in light
    assert ".ground { fill: #14171b; }" in dark
    kinds = {kind for e in root.iter(f"{SVG}path") for kind in e.get("class").split()}
    assert not [kind for kind in kinds if not re.search(rf"\.{kind}(, [.\w]+)* \{{", style)]


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match="no epoch"):
        training_chart("training", [])
