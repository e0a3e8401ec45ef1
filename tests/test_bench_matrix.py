"""The matrix file: which cells, in which order, and one clear line for every mistake."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from simsearch.bench.judging.metrics import METRICS
from simsearch.bench.matrix import read_matrix
from simsearch.errors import RecipeError
from simsearch.recipe.files import shipped_recipes

HEAD = "[matrix]\nrecipes = ['digits']\n"


def matrix(tmp_path, text):
    path = tmp_path / "m.toml"
    path.write_text(text)
    return read_matrix(str(path))


def test_the_least_losses_are_those_of_the_docs():
    text = (Path(__file__).parent.parent / "docs" / "nightly.md").read_text()
    said = tomllib.loads("[gate.least]" + text.partition("[gate.least]")[2].partition("```")[0])["gate"]["least"]
    assert said == {key: metric.least for key, metric in METRICS.items() if metric.judged == "paired"}


def test_the_shipped_matrix_has_twelve_cells_and_is_no_recipe():
    found = read_matrix("nightly")
    assert len({cell.name for cell in found.cells}) == 12
    assert "nightly" not in shipped_recipes()


def test_cells_are_crossed_and_the_most_valuable_come_first(tmp_path):
    found = matrix(
        tmp_path,
        "[matrix]\nrecipes = ['digits', 'mnist']\nseeds = [3, 4]\nfactories = ['Flat', 'IVF8,Flat', 'HNSW8']\n"
        "search = [{nprobe = 2}, {nprobe = 1}, {efSearch = 9}]\n",
    )
    names = [cell.name for cell in found.cells]
    assert names[:5] == [
        "digits seed 3 Flat",
        "digits seed 3 IVF8,Flat nprobe=2",
        "digits seed 3 IVF8,Flat nprobe=1",
        "digits seed 3 HNSW8 efSearch=9",
        "mnist seed 3 Flat",
    ]
    assert len(names) == 16
    assert [cell.seed for cell in found.cells] == [3] * 8 + [4] * 8
    assert set(found.cells[1].settings) == {"training.seed=3", "index.factory=IVF8,Flat", "index.nprobe=2"}


def test_a_recipe_of_its_own_keeps_its_index_and_seed(tmp_path):
    (tmp_path / "own.toml").write_text(
        "[dataset]\nsource = 'digits'\n[training]\nseed = 7\n[index]\nfactory = 'IVF4,Flat'\nnprobe = 2\n"
    )
    (cell,) = matrix(tmp_path, "[matrix]\nrecipes = ['own.toml']\n").cells
    assert cell.name == "own seed 7 IVF4,Flat nprobe=2"
    before = matrix(tmp_path, "[matrix]\nrecipes = ['own.toml']\n").digest
    (tmp_path / "own.toml").write_text("[dataset]\nsource = 'digits'\n[training]\nseed = 7\nepochs = 2\n")
    assert matrix(tmp_path, "[matrix]\nrecipes = ['own.toml']\n").digest != before, "a recipe is part of its matrix"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"expected a \[matrix\] table, seen nothing"),
        ("[dataset]\nsource = 'digits'\n", r"expected a \[matrix\] table, seen \[dataset\]"),
        ("[matrix]\n", "recipes is missing"),
        ("[matrix]\nrecipes = []\n", "recipes"),
        ("[matrix]\nrecipes = ['digits', 'digits']\n", "each once"),
        ("[matrix]\nrecipes = ['nonsense']\n", "no recipe"),
        (HEAD + "search = [{nprobes = 1}]\n", "nprobe and efSearch.*; did you mean 'nprobe'"),
        ("[matrx]\nrecipes = ['digits']\n", r"seen \[matrx\]; did you mean 'matrix'"),
        (HEAD + "[gate]\nleast = {map_at_R = 0.1}\n", "did you mean 'map_at_r'"),
        (HEAD + "[gates]\np = 0.1\n", r", line \d: unknown table \[gates\]; did you mean 'gate'"),
        (HEAD + "search = [{nprobe = 0}]\n", "at least 1"),
        (HEAD + "factorys = ['Flat']\n", "did you mean 'factories'"),
        (HEAD + "factories = ['IVF0,Flat']\n", "sizes above 0"),
        (HEAD + "settings = ['training.epoch=1']\n", "did you mean 'epochs'"),
        (HEAD + "[gate]\np = 2\n", "above 0, below 1, seen 2"),
        (HEAD + "[gate]\nleast = {qps = 0.1}\n", "map_at_r"),
        (HEAD + "[limits]\nseconds = 0\n", "a number, above 0, seen 0"),
        ("not toml", "expected a TOML matrix"),
    ],
)
def test_mistakes(tmp_path, text, words):
    with pytest.raises(RecipeError, match=words) as caught:
        matrix(tmp_path, text)
    assert caught.value.hint


def test_two_recipes_of_one_name(tmp_path):
    (tmp_path / "digits.toml").write_text("[dataset]\nsource = 'digits'\n")
    with pytest.raises(RecipeError, match="both named digits"):
        matrix(tmp_path, "[matrix]\nrecipes = ['digits', './digits.toml']\n")
    with pytest.raises(RecipeError, match="no matrix file"):
        read_matrix(str(tmp_path / "none.toml"))
