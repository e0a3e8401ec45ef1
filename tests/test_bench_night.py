"""Two nights of one cell through the command line; test_bench_job.py has the kills, limits and failures."""

from __future__ import annotations

import json

from conftest import run_cli, write_folder

RECIPE = """
[dataset]
source = "folder:{folder}"
[embedder]
backbone = "mnist_cnn"
weights = "none"
dim = 8
[training]
epochs = 1
[evaluation]
baseline = false
map = false
k = [1]
"""
MATRIX = """
[matrix]
recipes = ["photos.toml"]
factories = ["Flat"]
[gate]
speed = 1000.0
"""


def test_a_second_night_is_judged_by_the_first(tmp_path):
    folder, home = write_folder(tmp_path / "photos"), tmp_path / "home"
    (tmp_path / "photos.toml").write_text(RECIPE.format(folder=folder))
    (tmp_path / "matrix.toml").write_text(MATRIX)
    first = run_cli("bench", tmp_path / "matrix.toml", "--home", home, check=0)
    assert "photos seed 0" in first.stdout
    for name in ("trend.html", "nightly.md", "junit.xml"):
        assert "photos" in (home / "bench" / "latest" / name).read_text()
    second = run_cli("bench", tmp_path / "matrix.toml", "--home", home, "--json", check=0)
    found = json.loads(second.stdout)
    assert (found["verdict"], found["exit"], found["night"], found["accepted"]) == ("pass", 0, 2, 1)
    assert len(found["cells"]) == 1
    assert not found["regressions"]
    assert second.stderr.count("Trained") == 1, "each night trains for itself"
