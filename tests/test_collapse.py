"""`query --collapse` and the report's duplicates, on a folder where copies were planted."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from commands import run_process
from conftest import SMALL
from PIL import Image

import simsearch
from simsearch.exchange.vectors_in import run_import
from simsearch.home import Home
from simsearch.images.records import ImageRecord, RecordTable, write_records
from simsearch.report.reading import report_of
from simsearch.search.collapsing import Alike
from simsearch.vectors.index import build


def photo(seed):
    """A smooth gray picture of 90 px, unlike any other."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6)).astype(np.uint8)
    return Image.fromarray(small).resize((90, 90), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """(folder, home) of 3 labels x 8 photos; a/0.png has five copies and two saved again, b/1.png one copy."""
    root = tmp_path_factory.mktemp("planted")
    for label in range(3):
        folder = root / "photos" / "abc"[label]
        folder.mkdir(parents=True)
        for number in range(8):
            photo(10 * label + number).save(folder / f"{number}.png")
    first = root / "photos" / "a" / "0.png"
    for number in range(5):
        shutil.copyfile(first, first.with_name(f"copy-{number}.png"))
    photo(0).save(first.with_name("saved.bmp"))
    photo(0).save(first.with_name("saved.jpg"), quality=95)
    shutil.copyfile(root / "photos" / "b" / "1.png", root / "photos" / "b" / "twin.png")
    more = ["--set", "evaluation.baseline=false"]
    run_process("build", root / "photos", *SMALL, *more, "--home", root / "home", check=0)
    return root / "photos", root / "home"


def test_the_report_lists_the_planted_groups(planted):
    build = Home(planted[1]).build("photos")
    report = report_of(build)
    table = RecordTable(planted[1] / "artifacts" / "dataset" / build.record.stages["dataset"]["digest"])

    def names(kind):
        return sorted(
            sorted(table[row].image for row in group["rows"]) for group in report["duplicates"][kind]["listed"]
        )

    assert names("copies") == [
        ["a/0.png", *(f"a/copy-{number}.png" for number in range(5))],
        ["b/1.png", "b/twin.png"],
    ]
    (looks,) = names("looks")
    assert {"a/saved.bmp", "a/saved.jpg"} < set(looks)
    assert len(looks) == 3, "and one of the copies"
    assert report["duplicates"]["score"]["rows"] == 32 - 6
    page = build.page_path.read_text()
    assert "2 groups, 8 images in all, of the very same bytes" in page
    assert "1 group, 3 images in all, that look the same" in page


def test_one_of_each_group_and_k_stays_k(planted):
    folder, home = planted
    image = folder / "a" / "0.png"
    plain = json.loads(run_process("query", image, "-k", 8, "--json", "--home", home, check=0).stdout)["hits"]
    assert "alike" not in plain[0]
    assert len({hit["image"][:6] for hit in plain}) < 8
    done = run_process("query", image, "-k", 8, "--collapse", "--json", "--home", home, check=0)
    hits = json.loads(done.stdout)["hits"]
    assert [hit["rank"] for hit in hits] == list(range(1, 9))
    assert (hits[0]["image"], hits[0]["alike"]) == ("a/0.png", 7)
    others = [hit["image"] for hit in hits[1:]]
    assert not {name for name in others if name.startswith(("a/copy", "a/saved"))}
    searcher = simsearch.open(home=str(home))
    every = [hit.image for hit in searcher.search([image], k=100)[0]]
    alike = {"a/0.png", "a/saved.bmp", "a/saved.jpg", *(f"a/copy-{number}.png" for number in range(5))}
    expected = [name for name in every if name not in alike]
    twins = [name for name in expected if name in ("b/1.png", "b/twin.png")]
    assert others == [name for name in expected if name != twins[1]][:7]
    table = run_process("query", image, "-k", 3, "--collapse", "--home", home, check=0).stdout
    assert "(+7 alike)" in table.splitlines()[2]
    assert max(map(len, table.splitlines()[1:])) <= 80
    whole = run_process("query", image, "-k", 500, "--collapse", "--json", "--home", home, check=0)
    groups = json.loads(whole.stdout)["hits"]
    assert len(groups) + sum(hit["alike"] for hit in groups) == len(every)
    run_process("query", image, "--same", image, "--collapse", "--home", home, check=2)


def test_least_scores_hold_for_collapsed_hits_too(planted):
    folder, home = planted
    done = run_process(
        "query", folder / "a" / "0.png", "--min-score", 0.99999, "--collapse", "--json", "--home", home, check=0
    )
    hits = json.loads(done.stdout)["hits"]
    assert all(hit["score"] >= 0.99999 for hit in hits)
    assert hits[0]["alike"] >= 5


def test_vectors_are_collapsed_by_their_scores(tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    rows[10:25] = rows[3] + 1e-3 * rows[10:25]
    rows[30] = rows[5]
    np.save(tmp_path / "x.npy", rows)
    np.save(tmp_path / "q.npy", rows[[3, 5]])
    home = tmp_path / "home"
    run_import(str(tmp_path / "x.npy"), Home(home), "mine", {})
    command = ("query", "--vectors", tmp_path / "q.npy", "-k", 4, "--collapse", "--json", "--home", home)
    first, second = (json.loads(line)["hits"] for line in run_process(*command, check=0).stdout.splitlines())
    assert (first[0]["row"], first[0]["alike"]) == (3, 15)
    assert (second[0]["row"], second[0]["alike"]) == (5, 1)
    assert len(first) == len(second) == 4
    assert not {hit["row"] for hit in [*first[1:], *second[1:]]} & set(range(10, 25)) - {hit["row"] for hit in second}
    found = report_of(Home(home).build("mine"))["duplicates"]
    assert found["looks"] is None
    assert [group["rows"] for group in found["copies"]["listed"]] == [[5, 30]]
    assert [group["rows"][:2] for group in found["score"]["listed"]] == [[3, 10]]


@pytest.mark.parametrize("factory", ["Flat", "IVF2,Flat", "SQ8", "PQ4x4fs"])
def test_groups_of_a_build_without_pictures(tmp_path, factory):
    rows = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    rows[7] = 2 * rows[4]
    digests = [str(row) for row in range(300)]
    digests[9] = "2"
    write_records(tmp_path, (ImageRecord(r, f"{r}", "", False, False, True, False, digests[r]) for r in range(300)))
    index = build(lambda: [rows], 8, factory)
    groups = Alike(RecordTable(tmp_path), None, index).groups([2, 4, 7, 9, 5])
    assert [0, 3] in groups
    if factory != "PQ4x4fs":
        assert groups == [[0, 3], [1, 2], [4]]
    assert Alike(RecordTable(tmp_path), None, index).groups([]) == []
