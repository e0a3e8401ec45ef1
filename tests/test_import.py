"""`simsearch index import` and `query --vectors`: builds of vectors that were made elsewhere."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
from commands import run_process
from conftest import run_cli, snapshot

import simsearch
from simsearch.cli import main
from simsearch.cli.answering import Form, show_vectors
from simsearch.console import Shown
from simsearch.exchange import vectors_in
from simsearch.exchange.vectors_in import run_import
from simsearch.home import Home
from simsearch.integrity.repairing import repair_build
from simsearch.report.reading import report_of
from simsearch.search import Question
from simsearch.vectors.formats import open_vectors

RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.normal(size=(5, 8))
LABELS = RANDOM.integers(0, 5, 300)
ROWS = (CENTRES[LABELS] + 0.2 * RANDOM.normal(size=(300, 8))).astype(np.float32)
ASKED = (CENTRES[[0, 1, 2]] + 0.2 * RANDOM.normal(size=(3, 8))).astype(np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def expected(queries, base, k):
    """Rows and scores of the k nearest, by one plain product."""
    scores = unit(queries.astype(np.float64)) @ unit(base.astype(np.float64)).T
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(scores, rows, axis=1)


def labelled_folder(root):
    (root / "img_emb").mkdir(parents=True)
    (root / "metadata").mkdir()
    for part, rows in enumerate(np.array_split(np.arange(300), 3)):
        np.save(root / "img_emb" / f"img_emb_{part}.npy", ROWS[rows])
        with (root / "metadata" / f"metadata_{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("image", "label"), *((f"{row}.jpg", f"kind {LABELS[row]}") for row in rows)])
    return root


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """(folder with q.npy, home) with the builds `plain` (.npy), `tagged` (a labelled folder) and `bench` (HDF5)."""
    root = tmp_path_factory.mktemp("imported")
    home = Home(root / "home")
    np.save(root / "x.npy", ROWS)
    np.save(root / "q.npy", ASKED)
    with h5py.File(root / "x.hdf5", "w") as file:
        file["train"], file["test"] = ROWS, ASKED
    run_import(str(root / "x.npy"), home, "plain", {})
    run_import(str(root / "x.hdf5"), home, "bench", {"factory": "HNSW8"})
    run_import(str(labelled_folder(root / "tagged")), home, "tagged", {})
    return root, home.path


def test_a_file_of_vectors_becomes_a_build(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    command = ("index", "import", tmp_path / "x.npy", "--name", "mine", "--home", tmp_path / "home", "--json")
    done = run_cli(*command, check=0)
    report = json.loads(done.stdout)
    assert (report["build"], report["gallery"], report["queries"]) == ("mine", 300, 30)
    assert report["index"]["ann_recall"] == {"1": 1.0, "5": 1.0, "10": 1.0}
    assert report["index"]["qps"] > 0
    assert "searched by their angle" in done.stderr
    assert "query --vectors" in done.stderr
    before = snapshot(tmp_path / "home")
    assert len(before) == 4
    done = run_cli(*command, check=0)
    assert "up to date" in done.stderr
    assert json.loads(done.stdout) == report
    assert snapshot(tmp_path / "home") == before
    shown = run_cli("show", "mine", "--home", tmp_path / "home", check=0).stdout
    assert f"vectors:{tmp_path}/x.npy" in shown
    assert "ann_recall@10 1.0000" in run_cli("evaluate", "--home", tmp_path / "home", check=0).stdout
    np.save(tmp_path / "x.npy", ROWS[:200])
    assert json.loads(run_cli(*command, check=0).stdout)["gallery"] == 200


def test_rows_are_those_of_the_file_and_scores_those_of_a_plain_product(imported):
    root, home = imported
    for build in ("plain", "tagged", "bench"):
        done = run_cli(
            "query", "--vectors", root / "q.npy", "-k", 7, "--build", build, "--json", "--home", home, check=0
        )
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        judged = {"verdict", "verdict_reason"} if build == "tagged" else set()
        assert [set(answer) for answer in answers] == [{"query", "build", "hits", "milliseconds"} | judged] * 3
        assert all(answer.get("verdict") is None for answer in answers), "who made the vectors is not known"
        assert [(answer["query"], answer["build"]) for answer in answers] == [(n, build) for n in range(3)]
        rows, scores = expected(ASKED, ROWS, 7)
        assert [[hit["row"] for hit in answer["hits"]] for answer in answers] == rows.tolist()
        assert np.allclose([[hit["score"] for hit in answer["hits"]] for answer in answers], scores, atol=1e-6)
        for hit in answers[0]["hits"]:
            assert set(hit) == {"rank", "score", "row", "image", "label"}
            tagged = build == "tagged"
            assert hit["image"] == (f"{hit['row']}.jpg" if tagged else f"row-{hit['row']}")
            assert hit["label"] == (f"kind {LABELS[hit['row']]}" if tagged else "")


def test_label_figures_where_there_are_labels(imported):
    report = report_of(Home(imported[1]).build("tagged"))
    assert (report["classes"], report["queries"]) == (5, 30)
    rows, _ = expected(ROWS, ROWS, 2)
    images = (imported[1] / "artifacts" / "dataset").glob("*/images.csv")
    tables = [list(csv.DictReader(path.read_text().splitlines())) for path in images]
    table = next(table for table in tables if table[0]["label"])
    asked = [int(entry["row"]) for entry in table if entry["query"] == "1"]
    assert not [entry for entry in table if entry["query"] == entry["val"] == "1"]
    hit = np.mean([LABELS[rows[row, 1]] == LABELS[row] for row in asked])
    assert report["systems"]["recipe/cosine"]["recall"]["1"] == pytest.approx(hit)
    assert "false_accepts" not in report["reasons"]
    done = run_cli("query", "--vectors", imported[0] / "q.npy", "--max-far", 0.5, "--build", "tagged",
                   "--home", imported[1], check=0)  # fmt: skip
    assert "strangers" in done.stdout


def test_test_vectors_are_the_queries_and_never_in_the_corpus(imported):
    build = Home(imported[1]).build("bench")
    report = report_of(build)
    assert (report["gallery"], report["queries"], report["index"]["ntotal"]) == (300, 3, 300)
    assert report["index"]["ann_recall"]["10"] == 1.0
    hits = simsearch.open(build).search_vectors(ASKED, k=300)
    assert sorted(hit.row for hit in hits[0]) == list(range(300))


def test_a_query_with_an_hdf5_uses_its_test_vectors(imported):
    root, home = imported
    done = run_cli("query", "--vectors", root / "x.hdf5", "--build", "plain", "--json", "--home", home, check=0)
    rows = [[hit["row"] for hit in json.loads(line)["hits"]] for line in done.stdout.splitlines()]
    assert rows == expected(ASKED, ROWS, 10)[0].tolist()


def test_vectors_search_a_build_of_images_too(built, tmp_path):
    folder, home = built
    image = folder / "class 1" / "04.png"
    searcher = simsearch.open("photos", home=str(home))
    from simsearch.images.formats.decode import read_image

    np.save(tmp_path / "q.npy", 3 * searcher.embed([read_image(image)]))
    command = ("query", "--vectors", tmp_path / "q.npy", "--home", home)
    done = run_process(
        *command, "--json", without=["torch", "pydantic", "rich", "h5py", "sklearn", "filelock"], check=0
    )
    (hits,) = searcher.search([image])
    assert [(hit["row"], hit["image"]) for hit in json.loads(done.stdout)["hits"]] == [(h.row, h.image) for h in hits]
    assert "row 0" in run_cli(*command, "--min-score", 0.9999, check=0).stdout


def refused(*arguments, words):
    done = run_cli(*arguments, check=2)
    assert not done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith(("error: ", "hint: "))]
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]
    for word in words:
        assert word in " ".join(lines), lines


def test_a_query_with_vectors_that_do_not_fit(imported, tmp_path):
    root, home = imported
    broken = ASKED.copy()
    broken[2, 1] = np.nan
    for name, rows, words in [
        ("narrow", ASKED[:, :4], ["4-d", "8-d", "plain"]),
        ("nan", broken, ["row 2", "NaN"]),
        ("flat", ASKED[0], ["(N, D)", "(8,)"]),
    ]:
        np.save(tmp_path / f"{name}.npy", rows)
        refused("query", "--vectors", tmp_path / f"{name}.npy", "--build", "plain", "--home", home, words=words)
    refused("query", "--vectors", tmp_path / "gone.npy", "--home", home, words=["gone.npy"])
    refused("query", "--vectors", root / "q.npy", "x.png", "--home", home, words=["not both"])
    refused("query", "--vectors", root / "q.npy", "--montage", "m.png", "--home", home, words=["--montage"])


def test_an_image_cannot_be_asked_for(imported, built):
    refused("query", built[0] / "class 0" / "00.png", "--build", "plain", "--home", imported[1],
            words=["plain", "no embedder", "--vectors"])  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.where(np.arange(300)[:, None] == 41, np.nan, ROWS), ["row 41", "NaN"]),
        (np.where(np.arange(300)[:, None] == 41, 0, ROWS), ["row 41", "zero"]),
        (ROWS[:1], ["at least two"]),
        (ROWS.astype(object), ["object"]),
    ],
)
def test_vectors_that_cannot_be_imported(tmp_path, rows, words):
    np.save(tmp_path / "x.npy", rows, allow_pickle=True)
    home = tmp_path / "home"
    refused("index", "import", tmp_path / "x.npy", "--name", "mine", "--home", home, words=words)
    assert not (home / "builds").exists()


def test_other_mistakes_in_an_import(imported, copy_of_built, tmp_path):
    root, home = imported
    path = root / "x.npy"
    for options, words in [
        (["--name", "Bad Name"], ["Bad Name"]),
        (["--name", "new", "--factory", "NoSuch"], ["NoSuch"]),
        (["--name", "new", "--factory", "IVF0,Flat"], ["IVF0,Flat"]),
        (["--name", "new", "--factory", "IVF4096,Flat"], ["4096"]),
        (["--name", "new", "--target-recall", "1.5"], ["target-recall"]),
        ([], ["--name"]),
    ]:
        refused("index", "import", path, *options, "--home", home, words=words)
    assert not Home(home).has_build("new")
    refused("index", "import", path, "--name", "photos", "--home", copy_of_built[1], words=["photos", "folder:"])


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    from simsearch.vectors.formats.parts import Vectors

    path = tmp_path / "x.npy"
    np.save(path, ROWS)
    whole = Vectors.blocks

    def meddled(self, size):
        found = list(whole(self, size))
        np.save(path, ROWS + 1)
        yield from found

    monkeypatch.setattr(Vectors, "blocks", meddled)
    with pytest.raises(simsearch.SimsearchError, match="changed while it was read"):
        run_import(str(path), Home(tmp_path / "home"), "mine", {})


def test_lengths_are_told(tmp_path, capsys):
    np.save(tmp_path / "x.npy", unit(ROWS))
    run_import(str(tmp_path / "x.npy"), Home(tmp_path / "home"), "mine", {}, Shown())
    assert "300 vectors of length 1" in capsys.readouterr().err


def test_an_index_chosen_by_measuring(tmp_path):
    np.save(tmp_path / "x.npy", np.repeat(ROWS, 2, axis=0) + RANDOM.normal(scale=0.05, size=(600, 8)))
    home = Home(tmp_path / "home")
    command = ("index", "import", tmp_path / "x.npy", "--name", "mine", "--target-recall", 0.9, "--home", home.path)
    done = run_cli(*command, "--json", check=0)
    report, build = json.loads(done.stdout), home.build("mine")
    assert build.record.recipe["index"]["target_recall"] == 0.9
    index = home.store.open("index", **build.record.stages["index"])
    assert report["index"]["factory"] == index.facts["factory"]
    assert build.record.search.to_json() == {"nprobe": None, "efSearch": None, **index.facts["search"]}
    assert report["index"]["ann_recall"]["10"] > 0.85
    assert "ann_recall@10" in done.stderr
    assert "--target-recall 0.9" in build.page_path.read_text()
    damaged = index.file("index.faiss")
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    build, found = repair_build(build, home)
    assert found.sound
    assert len(simsearch.open(build).search_vectors(ASKED)[0]) == 10
    refused(*command, "--factory", "Flat", words=["target_recall", "factory"])


@pytest.mark.parametrize("rows", [2, 19])
def test_a_target_for_a_handful_of_vectors_takes_the_flat_index_and_draws_it(tmp_path, rows):
    np.save(tmp_path / "x.npy", ROWS[:rows])
    home = Home(tmp_path / "home")
    build = run_import(str(tmp_path / "x.npy"), home, "mine", {"target_recall": 0.99}).build
    index = home.store.open("index", **build.record.stages["index"])
    assert index.facts["factory"] == "Flat"
    assert index.facts["choice"]["qps"] > 0
    (line,) = json.loads(index.file("index.json").read_bytes())["choice"]["table"]
    assert (line["factory"], line["ann_recall"], line["pareto"], line["chosen"]) == ("Flat", 1.0, True, True)


@pytest.mark.parametrize(
    "factory", ["HNSW01", "NSG1", "NSG4", "NSG01,Flat", "IVF4_HNSW01,Flat", "PQ4,Refine(IVF4,Flat)", "Flat,Refine(LSH)"]
)
def test_factories_on_which_faiss_ends_the_process_or_never_ends_are_refused(tmp_path, factory):
    with pytest.raises(simsearch.SimsearchError, match="in the factory"):
        run_import(str(tmp_path / "x.npy"), Home(tmp_path / "home"), "mine", {"factory": factory})


def test_rows_that_needed_a_wider_search_are_marked(tmp_path, capsys):
    np.save(tmp_path / "x.npy", ROWS)
    home = Home(tmp_path / "home")
    build = run_import(str(tmp_path / "x.npy"), home, "mine", {"factory": "IVF100,Flat", "nprobe": 1}).build
    searcher = simsearch.open(build)
    capsys.readouterr()
    show_vectors(searcher, str(tmp_path / "x.npy"), Question(50), form=Form.JSON)
    out, err = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    widened = sum(answer.widened for _, answer in searcher.ask_file(str(tmp_path / "x.npy"), Question(50)))
    assert sum(answer.get("widened", False) for answer in answers) == widened > 0
    assert all(len({hit["row"] for hit in answer["hits"]}) == 50 for answer in answers)
    assert f"{widened} queries needed a wider search" in err


def test_hints_are_about_the_file(tmp_path):
    (tmp_path / "x.hdf5").write_bytes(b"no HDF5 at all")
    home = Home(tmp_path / "home")
    for place, words in [(tmp_path / "x.hdf5", "no HDF5"), ("", "empty|give a")]:
        with pytest.raises(simsearch.SimsearchError) as caught:
            run_import(str(place), home, "mine", {})
        assert re.search(words, caught.value.hint)
        assert "factory" not in caught.value.hint


def test_strict_says_no_when_no_index_reached_the_target(tmp_path, monkeypatch):
    from simsearch.vectors.tuning import choose as choosing

    np.save(tmp_path / "x.npy", ROWS)
    command = ["index", "import", str(tmp_path / "x.npy"), "--name", "mine", "--home", str(tmp_path / "home")]
    whole = choosing.choose
    monkeypatch.setattr(choosing, "choose", lambda *given, **limits: replace(whole(*given, **limits), reached=False))
    codes = []
    for more in (["--target-recall", "0.9"], ["--target-recall", "0.9", "--strict"], ["--strict"]):
        with pytest.raises(SystemExit) as caught:
            main([*command, *more])
        codes.append(caught.value.code)
    assert codes == [0, 1, 0]


def test_names_that_an_earlier_import_could_not_read_come_with_the_next(tmp_path, monkeypatch):
    folder = tmp_path / "v"
    (folder / "metadata").mkdir(parents=True)
    np.save(folder / "part_0.npy", ROWS[:20])
    table = "".join(f"{n}.png;a\n" for n in range(20))
    (folder / "metadata" / "m_0.csv").write_text(f"image;label\n{table}")
    home = Home(tmp_path / "home")

    def without(path):
        return replace(open_vectors(path), names=None, labels=None, separators="")

    with monkeypatch.context() as earlier:
        earlier.setattr(vectors_in, "open_vectors", without)
        run_import(str(folder), home, "mine", {})
    assert run_import(str(folder), home, "mine", {}).ran
    (answer,) = simsearch.open("mine", home=str(home.path)).ask_vectors(ROWS[:1], Question(1))
    assert (answer.hits[0].image, answer.hits[0].label) == ("0.png", "a")
    assert not run_import(str(folder), home, "mine", {}).ran
