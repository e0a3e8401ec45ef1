"""`simsearch compare` on builds whose stored values are known."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from commands import run_process
from conftest import artifact_file, run_cli
from remade import remade

from simsearch.report.compare import ONE_TRAINING


@pytest.fixture
def home(copy_of_built):
    """The small build `photos`, and `worse` of the same data, every first hit of which is wrong."""
    home = copy_of_built[1]
    with np.load(artifact_file(home, "evaluate", "queries.npz"), allow_pickle=False) as file:
        values = dict(file)
    values["recipe/index/hit@1"] = np.zeros_like(values["recipe/index/hit@1"])
    values["recipe/index/error@1"] = np.ones_like(values["recipe/index/error@1"])
    data = io.BytesIO()
    np.savez(data, **values)
    remade(home, "worse", {"queries.npz": data.getvalue()})
    return home


def other_images(home, change):
    """images.csv and its offsets, with `change` applied to the bytes of each record."""
    lines = artifact_file(home, "dataset", "images.csv").read_bytes().splitlines(keepends=True)
    lines = [lines[0], *map(change, lines[1:])]
    offsets = io.BytesIO()
    np.save(offsets, np.cumsum([len(line) for line in lines], dtype=np.int64))
    return {"images.csv": b"".join(lines), "images.offsets.npy": offsets.getvalue()}


def test_a_build_against_the_first_without_torch(home):
    done = run_process("compare", "photos", "worse", "photos", "--home", home, without=["torch"], check=0)
    assert max(map(len, done.stdout.splitlines())) <= 80
    first, second = done.stdout.split("\n\nphotos - photos")
    assert first.startswith("worse - photos over 6 queries that both have\n")
    assert "\nno difference seen\n" in first, "six queries are too few for seven figures"
    assert "\nno difference seen\n" in second
    assert "one training each" in first
    assert not done.stderr


def test_json_is_a_document_a_pair(home):
    done = run_cli("compare", "photos", "worse", "photos", "--json", "--home", home, check=0)
    worse, same = map(json.loads, done.stdout.splitlines())
    assert (worse["one"], worse["other"], worse["shared"], worse["left_out"]) == ("worse", "photos", 6, [0, 0])
    recall = worse["entries"][0]
    assert (recall["metric"], recall["k"], recall["one"]) == ("recall", 1, 0.0)
    assert recall["p_value"] < 0.05 < recall["p_holm"]
    assert recall["difference"] == pytest.approx(-recall["other"])
    assert {entry["word"] for entry in same["entries"]} == {"no difference seen"}
    assert worse["notes"] == [ONE_TRAINING]


def test_builds_of_other_data_are_compared_on_what_both_have(home):
    renamed = other_images(home, lambda line: line.replace(b"class 0/", b"klasse/"))
    remade(home, "renamed", renamed, stage="dataset")
    found = json.loads(run_cli("compare", "photos", "renamed", "--json", "--home", home, check=0).stdout)
    assert (found["shared"], found["left_out"]) == (4, [2, 2])
    text = run_cli("compare", "photos", "renamed", "--home", home, check=0).stdout
    text = " ".join(text.split())
    assert "left out: 2 only in renamed, 2 only in photos" in text
    assert "other data or splits" in text


def test_the_same_names_of_other_pictures_are_no_common_queries(home):
    def change(line):
        start, _, digest = line.rstrip(b"\r\n").rpartition(b",")
        return start + b"," + digest[::-1] + b"\r\n"

    remade(home, "others", other_images(home, change), stage="dataset", source="folder:/others")
    done = run_cli("compare", "photos", "others", "--home", home, check=2)
    assert not done.stdout
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: others and photos have no query in common")
    assert "/others" in error
    assert hint.startswith("hint: ")


@pytest.mark.parametrize("builds", [[], ["photos"], ["photos", "phots"]])
def test_wrong_use(built, builds):
    lines = run_cli("compare", *builds, "--home", built[1], check=2).stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]
