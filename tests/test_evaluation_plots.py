"""Pictures: readable files, the same bytes for the same rows, and nothing global touched."""

import subprocess
import sys

import pytest
from PIL import Image

from simsearch.page.plots import training_curves


@pytest.fixture(autouse=True)
def font_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path_factory.getbasetemp() / "matplotlib"))


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


def height(path):
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert "Software" not in image.info
        assert len(image.convert("L").histogram()) == 256
        return image.size[1]


def test_a_panel_for_each_figure_that_was_measured(tmp_path):
    heights = []
    for number, options in enumerate(({}, {"active": False}, {"active": False, "recall": False})):
        path = tmp_path / f"{number}.png"
        training_curves(rows(6, **options), path)
        heights.append(height(path))
    assert heights[0] > heights[1] > heights[2] > 200


@pytest.mark.parametrize("epochs", [1, 2, 50])
def test_the_same_rows_are_the_same_bytes(tmp_path, epochs):
    for name in ("a.png", "b.png"):
        training_curves(rows(epochs), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    training_curves([*rows(epochs)[:-1], {**rows(epochs)[-1], "loss": 3.0}], tmp_path / "c.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()


def test_no_rows_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no epoch"):
        training_curves([], tmp_path / "x.png")


def test_matplotlib_is_loaded_by_drawing_alone_and_without_pyplot(tmp_path):
    code = (
        "import sys, pathlib; from simsearch.page.plots import training_curves; "
        "assert 'matplotlib' not in sys.modules; "
        "training_curves([{'epoch': 1, 'loss': 1.0}], pathlib.Path(sys.argv[1])); "
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.png")], check=True)
