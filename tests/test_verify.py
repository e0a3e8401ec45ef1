"""`simsearch index verify [--repair]`: every kind of damage is seen, and what features can give back comes back."""

from __future__ import annotations

import json
import shutil
from typing import ClassVar

import faiss
import numpy as np
import pytest
from conftest import artifact_file, run_cli
from sealing import seal

import simsearch
from simsearch.console import Progress, Shown
from simsearch.exchange.vectors_in import run_import
from simsearch.exchange.vectors_out import export
from simsearch.home import Home
from simsearch.integrity.repairing import repair_build
from simsearch.integrity.verifying import verify_build
from simsearch.report.reading import report_of

ROWS = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)


def flip(path):
    """Change one byte in the middle of a file."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def recommit(home, build, stage, name, change):
    """Change a file of an artifact and write manifest and build as if it had always been so."""
    store, path = Home(home).store, home / "builds" / f"{build}.json"
    record = json.loads(path.read_bytes())
    old = store.open(stage, **record["stages"][stage])
    space = store.workspace(stage, old.digest)
    for file in old.manifest["files"]:
        shutil.copyfile(old.file(file), space.out / file)
        (space.out / file).chmod(0o644)
    change(space.out / name)
    kept = {key: old.manifest[key] for key in ("settings", "inputs", "facts", "versions", "seconds", "device")}
    store.set_aside(stage, old.digest)
    record["stages"][stage] = store.commit(stage, old.digest, space, kept).reference
    seal(path, record)


def said_no(home, build):
    return verify_build(Home(home).build(build)).said_no()


@pytest.fixture
def imported(tmp_path):
    """The home of builds `flat`, `lists` and `codes` of the same 400 vectors."""
    np.save(tmp_path / "x.npy", ROWS)
    home = Home(tmp_path / "home")
    for name, factory, more in (("flat", "Flat", {}), ("lists", "IVF16,Flat", {"nprobe": 1}), ("codes", "SQ8", {})):
        run_import(str(tmp_path / "x.npy"), home, name, {"factory": factory, **more})
    return home.path


def test_a_sound_build(built, imported):
    done = run_cli("index", "verify", "photos", "--home", built[1], check=0)
    lines = [line.split()[:2] for line in done.stdout.splitlines()]
    stages = ["dataset", "train", "embed", "baseline/train", "baseline/embed", "reference/train", "reference/embed"]
    checks = ["inputs", "rows", "norms", "answers", "report", "canaries", "pictures"]
    names = ["build", *stages, "index", "evaluate", "verdict", *checks]
    assert sorted(lines) == sorted(["ok", name] for name in names)
    done = run_cli("index", "verify", "lists", "--json", "--home", imported, check=0)
    checks = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(check) == {"build", "check", "ok", "detail"} for check in checks)
    assert {check["build"] for check in checks} == {"lists"}
    assert all(check["ok"] is True for check in checks)
    assert verify_build(Home(imported).build("codes")).sound
    run_cli("index", "verify", "nosuch", "--home", imported, check=2)


FILES = [
    ("dataset", "images.csv", False),
    ("train", "embedder.onnx", False),
    ("embed", "features.h5", False),
    ("baseline/embed", "features.h5", False),
    ("index", "index.faiss", True),
    ("index", "manifest.json", True),
    ("evaluate", "report.json", True),
    ("evaluate", "queries.npz", True),
]


@pytest.mark.parametrize(("stage", "name", "mended"), FILES)
def test_a_flipped_byte_is_seen_and_mended_where_features_can(copy_of_built, stage, name, mended, capsys):
    home = copy_of_built[1]
    place = Home(home)
    before = place.build("photos")
    path = place.store.path(stage.rpartition("/")[2], before.record.stages[stage]["digest"]) / name
    flip(path)
    found = verify_build(before)
    no = {stage} | ({"report"} if stage == "evaluate" else set())
    assert found.said_no() == no
    unknown = {check.name for check in found.checks if check.ok is None}
    not_checked = {"rows", "norms", "answers"} if stage in ("dataset", "embed", "index") else set()
    assert unknown == not_checked | ({"pictures"} if stage == "dataset" else set())
    build, after = repair_build(before, place, Shown())
    assert after.said_no() == (set() if mended else no)
    told = capsys.readouterr().err
    if mended:
        new = build.record.stages
        assert {key for key in new if new[key] != before.record.stages[key]} <= {"evaluate"}
        assert new[stage]["digest"] == before.record.stages[stage]["digest"]
        assert build.page_path.is_file()
        assert json.loads(build.report_path.read_bytes()) == report_of(build)
        assert report_of(build)["systems"] == json.loads((home.parent / "report.json").read_bytes())["systems"]
    else:
        assert f"move {path.parent} away, then run the same simsearch build again" in told


@pytest.fixture(autouse=True)
def the_report_before(request):
    if "copy_of_built" in request.fixturenames:
        home = request.getfixturevalue("copy_of_built")[1]
        shutil.copyfile(home / "builds" / "photos" / "report.json", home.parent / "report.json")


def test_repair_through_the_command_line(copy_of_built):
    folder, home = copy_of_built
    shutil.rmtree(artifact_file(home, "index", "index.faiss").parent)
    (home / "builds" / "photos" / "report.json").write_text("{}")
    done = run_cli("index", "verify", "--home", home, check=1)
    words = [line.split()[:2] for line in done.stdout.splitlines()]
    assert ["no", "index"] in words
    assert ["no", "report"] in words
    assert ["-", "answers"] in words
    assert "--repair" in done.stderr
    run_cli("query", folder / "class 0" / "00.png", "--home", home, check=2)
    done = run_cli("index", "verify", "--repair", "--home", home, check=0)
    assert all(line.startswith("ok") for line in done.stdout.splitlines())
    hits = simsearch.open("photos", home=str(home)).search([folder / "class 1" / "03.png"], k=1)
    assert hits[0][0].image == "class 1/03.png"
    flip(artifact_file(home, "embed", "features.h5"))
    done = run_cli("index", "verify", "--repair", "--json", "--home", home, check=1)
    assert [check["check"] for check in map(json.loads, done.stdout.splitlines()) if check["ok"] is False] == ["embed"]
    assert "move" in done.stderr


def rewritten(path, change):
    index = faiss.read_index(str(path))
    vectors = index.reconstruct_n(0, index.ntotal)
    index.reset()
    index.add(change(vectors))
    faiss.write_index(index, str(path))


def swapped(vectors):
    vectors[[7, 8]] = vectors[[8, 7]]
    return vectors


@pytest.mark.parametrize(
    ("change", "no"),
    [
        (lambda vectors: vectors * np.float32(1.01), {"norms", "answers"}),
        (swapped, {"norms", "answers"}),
        (lambda vectors: vectors[:-1], {"rows"}),
        (lambda vectors: np.concatenate((vectors, vectors[:1])), {"rows"}),
    ],
)
def test_an_index_that_is_not_that_of_the_features(imported, change, no):
    recommit(imported, "flat", "index", "index.faiss", lambda path: rewritten(path, change))
    assert said_no(imported, "flat") >= no
    home = Home(imported)
    assert repair_build(home.build("flat"), home)[1].sound


def test_an_approximate_index_that_finds_less_than_is_recorded(imported):
    report = report_of(Home(imported).build("lists"))
    assert 0.2 < report["index"]["ann_recall"]["10"] < 0.9, "one list of sixteen"

    def better(path):
        report = json.loads(path.read_bytes())
        report["index"]["ann_recall"]["10"] = 0.99
        path.write_text(json.dumps(report))

    recommit(imported, "lists", "evaluate", "report.json", better)
    assert said_no(imported, "lists") == {"answers", "report"}


def test_an_index_with_other_rows_than_were_measured_is_judged_leniently(imported):
    """The recorded figure is about the gallery as it was; a sync may add a class that the lists were not trained on."""
    home = Home(imported)
    report = report_of(home.build("lists"))["index"]["ann_recall"]["10"]
    path = imported / "builds" / "lists.json"
    before = json.loads(path.read_bytes())["stages"]["index"]

    def recorded(share):
        def change(file):
            told = json.loads(file.read_bytes())
            told["index"]["ann_recall"]["10"] = share
            file.write_text(json.dumps(told))

        recommit(imported, "lists", "evaluate", "report.json", change)

    recommit(imported, "lists", "index", "masked.npy", lambda file: np.save(file, np.array([3, 7, 399])))
    seal(path, {**json.loads(path.read_bytes()), "images": 397, "built": {"index": before}})
    recorded(min(1.0, 1.4 * report))
    assert "answers" not in said_no(imported, "lists")
    recorded(4 * report)
    assert "answers" in said_no(imported, "lists")


def test_features_without_direction(imported):
    import h5py

    def broken(path):
        with h5py.File(path, "r+") as file:
            file["features"][5] = np.nan

    recommit(imported, "flat", "embed", "features.h5", broken)
    assert said_no(imported, "flat") >= {"norms", "inputs"}


def test_a_report_made_with_another_index(imported):
    recommit(imported, "flat", "index", "index.json", lambda path: path.write_text("{}"))
    assert said_no(imported, "flat") == {"inputs"}
    home = Home(imported)
    assert repair_build(home.build("flat"), home)[1].sound


def test_rows_that_no_search_may_find(imported, tmp_path):
    """As a sync leaves them: masked in the index, while the report is still about the build as it was."""
    path = imported / "builds" / "flat.json"
    before = json.loads(path.read_bytes())["stages"]["index"]
    recommit(imported, "flat", "index", "masked.npy", lambda file: np.save(file, np.array([3, 7, 399])))
    assert said_no(imported, "flat") == {"rows", "inputs"}
    seal(path, {**json.loads(path.read_bytes()), "images": 397, "built": {"index": before}})
    assert said_no(imported, "flat") == {"built/index"}, "the test put another in its place"
    export(Home(imported).build("flat"), "npy", str(tmp_path / "out"))
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    assert np.allclose(np.load(tmp_path / "out" / "img_emb" / "img_emb_0.npy"), np.delete(unit, [3, 7, 399], axis=0))


def test_features_and_report_lost_together(imported, capsys):
    home = Home(imported)
    build = home.build("flat")
    for stage, name in (("embed", "features.h5"), ("evaluate", "report.json")):
        flip(home.store.open(stage, **build.record.stages[stage]).file(name))
    assert repair_build(build, home, Shown())[1].said_no() == {"embed", "evaluate", "report"}
    assert "simsearch index import" in capsys.readouterr().err


def test_pictures_that_are_not_here_are_no_damage(ours):
    folder, home = ours
    (folder / "class 0" / "01.png").unlink()
    (folder / "class 1").rename(folder / "away")
    done = run_cli("index", "verify", "--home", home, check=0)
    line = done.stdout.splitlines()[-1]
    assert line.split()[:2] == ["ok", "pictures"]
    assert line.endswith(f"19 below {folder}, byte for byte as the build was made from, 11 are not here")
    folder.rename(folder.parent / "elsewhere")
    done = run_cli("index", "verify", "--home", home, check=0)
    assert done.stdout.splitlines()[-1].split()[:4] == ["-", "pictures", "not", "checked:"]


def test_a_picture_that_cannot_be_read_is_named_and_a_deleted_one_is_not_looked_for(ours):
    folder, home = ours
    one, other = folder / "class 0" / "01.png", folder / "class 0" / "02.png"
    one.unlink()
    run_cli("sync", folder, "--home", home, check=0)
    one.mkdir()  # no picture of the build any more
    assert verify_build(Home(home).build("photos")).sound
    other.unlink()
    other.mkdir()
    check = verify_build(Home(home).build("photos")).checks[-1]
    assert (check.name, check.ok) == ("pictures", False)
    assert "1 is not readable: class 0/02.png" in check.words


def test_verify_says_how_far_it_is(built):
    class Counted(Progress):
        calls: ClassVar[list] = []

        def __call__(self, done, total, unit="images"):
            self.calls.append((done, total))

    verify_build(Home(built[1]).build("photos"), Counted())
    assert Counted.calls == [(30, 30)]
