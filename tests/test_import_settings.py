"""`simsearch index import --set index.KEY=VALUE`: search settings, and limits of a target."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from conftest import run_cli, snapshot
from test_import import ROWS, refused

import simsearch
from simsearch.home import Home


@pytest.fixture
def place(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    return tmp_path


def command(place, *options):
    return ("index", "import", place / "x.npy", "--name", "mine", *options, "--home", place / "home")


def test_settings_are_searched_with_kept_and_shown(place):
    done = run_cli(*command(place, "--factory", "IVF8,Flat", "--set", "index.nprobe=1", "--json"), check=0)
    few = json.loads(done.stdout)["index"]["ann_recall"]["10"]
    home = Home(place / "home")
    assert home.build("mine").record.search.given() == {"nprobe": 1}
    assert "nprobe = 1" in run_cli("show", "mine", "--home", home.path, check=0).stdout
    again = "--factory IVF8,Flat --set index.nprobe=1"
    assert again in home.build("mine").page_path.read_text()
    before = snapshot(home.path)
    assert "up to date" in run_cli(*command(place, *shlex.split(again)), check=0).stderr
    assert snapshot(home.path) == before
    done = run_cli(*command(place, "--set", "index.factory=IVF8,Flat", "--set", "index.nprobe=8", "--json"), check=0)
    assert json.loads(done.stdout)["index"]["ann_recall"]["10"] == 1 > few
    assert "Indexed" not in done.stderr  # the same index, searched otherwise
    assert len(simsearch.open(home.build("mine")).search_vectors(ROWS[:1])[0]) == 10


def test_more_lists_than_there_are_are_all_of_them(place):
    done = run_cli(*command(place, "--factory", "IVF8,Flat", "--set", "index.nprobe=100", "--json"), check=0)
    assert json.loads(done.stdout)["index"]["ann_recall"]["10"] == 1
    assert "nprobe 100: IVF8,Flat has 8 lists, which are all searched" in done.stderr


def test_limits_go_with_a_target(place):
    options = ("--target-recall", "0.9", "--set", "index.max_bytes=100000", "--set", "index.max_build_seconds=9.5")
    run_cli(*command(place, *options), check=0)
    home = Home(place / "home")
    index = home.build("mine").record.recipe["index"]
    assert (index["max_bytes"], index["max_build_seconds"], index["target_recall"]) == (100_000, 9.5, 0.9)
    assert shlex.join(options) in home.build("mine").page_path.read_text()
    refused(*command(place, "--target-recall", "0.9", "--set", "index.max_bytes=1"), words=["max_bytes = 1"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--factory", "IVF8,Flat", "--set", "index.nprobe=0"], ["[index] nprobe", "1", "seen 0"]),
        (["--factory", "IVF8,Flat", "--set", "index.nprobe=-3"], ["[index] nprobe", "seen -3"]),
        (["--factory", "IVF8,Flat", "--set", "index.nprobe=abc"], ["[index] nprobe", "whole number", "'abc'"]),
        (["--factory", "IVF8,Flat", "--set", "index.nprobe=2.5"], ["[index] nprobe", "2.5"]),
        (["--factory", "IVF8,Flat", "--set", "index.nprobe="], ["[index] nprobe", "seen ''"]),
        (["--factory", "HNSW8", "--set", "index.nprobe=4"], ["nprobe belongs to IVF", "HNSW8"]),
        (["--factory", "IVF8,Flat", "--set", "index.efSearch=4"], ["efSearch belongs to HNSW", "IVF8,Flat"]),
        (["--set", "index.nprobe=4"], ["nprobe belongs to IVF", "Flat"]),
        (["--factory", "IVF8,Flat", "--set", "index.k_factor=4"], ["k_factor belongs to RFlat"]),
        (["--factory", "IVF8,Flat", "--set", "index.nprob=4"], ["unknown key 'nprob'", "nprobe"]),
        (["--set", "training.epochs=4"], ["[index]", "training.epochs=4", "index.KEY=VALUE"]),
        (["--set", "nprobe=4"], ["table.key=value", "nprobe=4"]),
        (["--set", "index.corpus=all"], ["corpus", "gallery", "'all'"]),
        (["--set", "index.max_bytes=4000"], ["max_bytes belongs to target_recall"]),
        (["--factory", "IVF8_HNSW4,Flat", "--set", "index.efSearch=9"], ["IVF8_HNSW4,Flat has no efSearch", "nprobe"]),
        (["--factory", "Flat", "--target-recall", "0.9"], ["target_recall chooses factory", "leave one"]),
        (
            ["--factory", "IVF8,Flat", "--target-recall", "0.9", "--set", "index.max_bytes=99"],
            ["max_bytes belongs to a choice among factories", "IVF8,Flat"],
        ),
        (["--factory", "IVF301,Flat"], ["301 rows", "seen 300"]),
        (["--target-recall", "0.9", "--set", "index.nprobe=4"], ["target_recall", "nprobe", "leave one"]),
        (["--factory", "Flat", "--set", "index.factory=HNSW8"], ["--factory", "--set index.factory"]),
        (
            ["--target-recall", "1", "--set", "index.target_recall=0.9"],
            ["--target-recall", "--set index.target_recall"],
        ),
    ],
)
def test_settings_that_cannot_be(place, options, words):
    refused(*command(place, *options), words=words)
    assert not Home(place / "home").has_build("mine")
