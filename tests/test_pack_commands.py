"""Packs on the command line and from Python: the answers of the build that they were made of, and no change to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import pytest
from commands import ENTRY, run_cli, run_process
from conftest import SMALL, picture

import simsearch
from simsearch.home import Home
from simsearch.home.packed import unpacked_before

DAY = 86_400.0
LEFT_OUT = ("weights.safetensors", "features.h5", "metrics.jsonl")


def export(home, out, name="photos", **more):
    done = run_cli("export", name, "--format", "pack", "--out", out, "--home", home, **more)
    assert done.returncode != 0 or done.stdout == f"{out}\n"
    return done


@pytest.fixture(scope="module")
def pack(built, tmp_path_factory):
    """The pack of `photos`; tests must not change it."""
    path = tmp_path_factory.mktemp("packs") / "shelf.pack"
    assert export(built[1], path).returncode == 0
    return path


def answers(*arguments, check=0):
    found = [json.loads(line) for line in run_cli(*arguments, "--json", check=check).stdout.splitlines()]
    for one in found:
        one.pop("milliseconds", None)
        for hit in one.get("hits", ()):
            hit.pop("path", None)  # of files on the machine that it was made on
            hit.pop("gone", None)
    return found


def everything(folder):
    return {
        str(p): (p.stat().st_mtime_ns, p.read_bytes())
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def test_it_answers_as_the_build_does(built, pack, home, tmp_path):
    folder, first = built
    picture(1, 99).save(tmp_path / "new.png")
    asked = [folder / "class 0", tmp_path / "new.png"]
    for more in ([], ["--collapse"], ["--not-self"], ["--where", "label = 'class 2'"], ["--max-far", "0.5"]):
        own = answers("query", *asked, *more, "--build", "photos", "--home", first)
        assert answers("query", *asked, *more, "--build", pack, "--home", home) == own
    same = ("query", folder / "class 0" / "00.png", "--same", folder / "class 0" / "01.png", "--max-far", "0.5")
    own = run_cli(*same, "--home", first, "--json")
    assert run_cli(*same, "--build", pack, "--home", home, "--json").stdout == own.stdout
    assert (
        run_cli("evaluate", pack, "--home", home, "--json").stdout
        == run_cli("evaluate", "--home", first, "--json").stdout
    )


def test_nothing_but_the_home_is_written(built, pack, tmp_path):
    before = everything(pack.parent) | everything(built[0])
    (tmp_path / "here").mkdir()
    home = tmp_path / "here" / "home"
    done = run_cli("query", built[0] / "class 0", "--build", pack, "--home", home, cwd=tmp_path / "here", check=0)
    assert f"pack {pack}" in done.stderr
    assert everything(pack.parent) | everything(built[0]) == before
    assert os.listdir(tmp_path / "here") == ["home"]
    assert os.listdir(home) == ["packs"]
    once = everything(home)
    assert "Unpacked" not in run_cli("query", built[0] / "class 0", "--build", pack, "--home", home, check=0).stderr
    assert everything(home) == once


def test_what_is_in_it(built, pack, home):
    build = Home(home).readable(str(pack))
    names = {path.name for path in build.home.rglob("*")}
    assert {"index.faiss", "embedder.onnx", "thumbnails.bin", "report.html", "report.json", "pack.json"} <= names
    assert not names & set(LEFT_OUT)
    assert str(built[0]) not in (build.home / "builds" / "photos.json").read_text().replace(build.record.source, "")
    assert 'href="../' not in build.page_path.read_text(), "no way to files of another machine"


def test_the_same_build_is_the_same_bytes(built, pack, tmp_path):
    assert export(built[1], tmp_path / "again.pack").returncode == 0
    assert (tmp_path / "again.pack").read_bytes() == pack.read_bytes()
    shutil.copytree(built[1], tmp_path / "copy")
    assert export(tmp_path / "copy", tmp_path / "copied.pack").returncode == 0
    assert (tmp_path / "copied.pack").read_bytes() == pack.read_bytes()


def test_from_python(built, pack, home):
    with simsearch.open(str(pack), home=str(home)) as searcher, simsearch.open("photos", home=str(built[1])) as own:
        query = str(built[0] / "class 0" / "00.png")
        found, known = searcher.search(query, k=5)[0], own.search(query, k=5)[0]
        assert [(hit.image, hit.score) for hit in found] == [(hit.image, hit.score) for hit in known]
        assert searcher.picture(found[0]).shape[:2] == own.picture(known[0]).shape[:2]
        assert {hit.path for hit in found} == {None}


def test_without_torch_and_what_a_query_never_loads(built, pack, home):
    run_cli("query", built[0] / "class 0" / "00.png", "--build", pack, "--home", home, check=0)
    heavy = ("torch", "pydantic", "h5py", "sklearn", "scipy", "filelock", "onnx")
    run_process("query", built[0] / "class 0" / "00.png", "--build", pack, "--home", home, without=heavy, check=0)


def test_verified(pack, home, tmp_path):
    lines = run_cli("index", "verify", pack, "--home", home, check=0).stdout
    assert "ok  pack" in lines
    assert "ok  canaries" in lines
    assert "-   answers" in lines
    copy = tmp_path / "copy.pack"
    shutil.copy(pack, copy)
    run_cli("evaluate", copy, "--home", home, check=0)  # the list is the same: it is not unpacked again
    with copy.open("r+b") as file:
        file.seek(copy.stat().st_size // 2)
        file.write(b"?????")
    assert "no  pack" in run_cli("index", "verify", copy, "--home", home, check=1).stdout
    done = run_cli("evaluate", copy, "--home", tmp_path / "other", check=2)
    assert done.stderr.startswith(f"error: {copy} is damaged: the sha256 of artifacts/")
    assert not list((tmp_path / "other").rglob("*.json"))


def test_what_was_unpacked_is_checked_each_time(built, pack, home):
    build = Home(home).readable(str(pack))
    path = next(build.home.rglob("index.faiss"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    done = run_cli("query", built[0] / "class 0", "--build", pack, "--home", home, check=2)
    assert "damaged" in done.stderr
    assert f"hint: move {build.home} away" in done.stderr
    shutil.rmtree(build.home)
    run_cli("query", built[0] / "class 0", "--build", pack, "--home", home, check=0)


def test_what_writes_refuses_it(built, pack, home):
    folder, first = built
    for command in (
        ["sync", "--build", pack], ["sync", folder, "--build", pack], ["switch", pack, "photos"],
        ["switch", "photos", pack], ["switch", pack, "--back"], ["index", "verify", pack, "--repair"], ["clean", pack],
        ["defects", "fit", "--build", pack, "--normal", "class 0"], ["compare", pack, "photos", "--gate"],
        ["build", pack], ["export", pack, "--format", "npy", "--out", home], ["build", folder, "--name", pack],
        ["export", pack, "--format", "pack", "--out", f"{home}.pack"], ["index", "import", "x.npy", "--name", pack],
    ):  # fmt: skip
        before = everything(first)
        done = run_cli(*command, "--home", first, check=2)
        assert len(done.stderr.splitlines()) == 2, done.stderr
        assert "pack" in done.stderr
        assert done.stdout == ""
        assert everything(first) == before, "nothing is even unpacked"


def test_what_reads_it(built, pack, home):
    shown = run_cli("show", pack, "--home", home, check=0).stdout
    assert shown.startswith("# build photos: 30 images of folder:")
    assert "photos - photos over" in run_cli("compare", pack, pack, "--home", home, check=0).stdout
    run_cli("compare", "photos", pack, "--home", built[1], check=0)
    assert "no defect scores" in run_cli("defects", "score", built[0], "--name", pack, "--home", home, check=2).stderr


def test_names_of_packs(built, pack, home, tmp_path):
    query = ["query", built[0] / "class 0" / "00.png", "--home", home]
    shutil.copy(pack, tmp_path / "other.bin")
    for name in ("other.bin", "../" + pack.parent.name + "/shelf.pack"):
        run_cli(*query, "--build", os.path.join(".", name), cwd=pack.parent if ".." in name else tmp_path, check=0)
    run_cli(*query, "--build", "shelf.pack", cwd=pack.parent, check=0)
    done = run_cli(*query, "--build", pack.with_name("shelv.pack"), check=2)
    assert f"error: no pack {pack.with_name('shelv.pack')}; did you mean '{pack}'?" in done.stderr
    assert "hint: simsearch query" in done.stderr
    assert "no build 'other.bin'" in run_cli(*query, "--build", "other.bin", cwd=tmp_path, check=2).stderr
    assert "is no pack" in run_cli(*query, "--build", built[0] / "class 0" / "00.png", check=2).stderr


def test_a_build_of_such_a_name_comes_first(built, pack, home, tmp_path):
    run_cli("build", built[0], *SMALL, "--name", "shelf.pack", "--home", home, check=0)
    done = run_cli("query", built[0] / "class 0", "--build", "shelf.pack", "--home", home, cwd=pack.parent, check=0)
    assert f"home {home}" in done.stderr


def test_where_it_goes(built, tmp_path):
    first = built[1]
    (tmp_path / "there.pack").write_bytes(b"mine")
    assert "exists, and nothing is overwritten" in export(first, tmp_path / "there.pack", check=2).stderr
    assert (tmp_path / "there.pack").read_bytes() == b"mine"
    assert "ends in .pack" in export(first, tmp_path / "there.zip", check=2).stderr
    assert "no folder" in export(first, tmp_path / "none" / "x.pack", check=2).stderr
    raw = run_cli(
        "export", "photos", "--format", "pack", "--raw", "--out", tmp_path / "x.pack", "--home", first, check=2
    )
    assert "--raw goes with --format npy" in raw.stderr
    assert os.listdir(tmp_path) == ["there.pack"]


def test_a_damaged_build_is_not_packed(copy_of_built, tmp_path):
    path = next((copy_of_built[1] / "artifacts" / "index").rglob("index.faiss"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert "damaged" in export(copy_of_built[1], tmp_path / "x.pack", check=2).stderr
    assert not list(tmp_path.glob("*x.pack*"))


def test_a_synced_build(ours, home, tmp_path):
    folder, first = ours
    picture(2, 77).save(folder / "class 2" / "new.png")
    (folder / "class 0" / "00.png").unlink()
    run_cli("sync", folder, "--home", first, check=0)
    assert export(first, tmp_path / "x.pack").returncode == 0
    asked = ("query", folder / "class 2", "--k", 30)
    own = answers(*asked, "--build", "photos", "--home", first)
    assert answers(*asked, "--build", tmp_path / "x.pack", "--home", home) == own
    for command in ("evaluate", "show", "compare"):
        more = [tmp_path / "x.pack"] if command == "compare" else []
        run_cli(command, tmp_path / "x.pack", *more, "--home", home, check=0)
    run_cli("index", "verify", tmp_path / "x.pack", "--home", home, check=0)


def test_a_build_of_defects(built, copy_of_built, home, tmp_path):
    folder, first = copy_of_built
    fit = ("defects", "fit", "--build", "photos", "--normal", "class 1", "--false-alarms", "0.4", "--method", "mean")
    run_cli(*fit, "--home", first, check=0)
    assert export(first, tmp_path / "x.pack", "photos-defects").returncode == 0
    own = run_cli("defects", "score", folder, "--name", "photos-defects", "--home", first, "--json", check=0).stdout
    assert run_cli("defects", "score", folder, "--name", tmp_path / "x.pack", "--home", home, "--json").stdout == own
    with simsearch.open_detector(str(tmp_path / "x.pack"), home=str(home)) as detector:
        assert detector.score(str(folder / "class 0" / "00.png"))[0].score > 0


def test_a_build_of_vectors(home, tmp_path):
    import numpy as np

    vectors = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    first = tmp_path / "first"
    run_cli("index", "import", tmp_path / "v.npy", "--name", "mine", "--home", first, check=0)
    assert export(first, tmp_path / "x.pack", "mine").returncode == 0
    asked = ("query", "--vectors", tmp_path / "v.npy", "--k", 3)
    own = answers(*asked, "--build", "mine", "--home", first)
    assert answers(*asked, "--build", tmp_path / "x.pack", "--home", home) == own


def test_clean_frees_what_was_not_opened_for_a_day(built, pack, home):
    searcher = simsearch.open(str(pack), home=str(home))
    folder = searcher.build.home
    os.utime(folder, (time.time() - 2 * DAY,) * 2)
    assert "packs" not in run_cli("clean", "--home", home, check=0).stdout, "it is open"
    searcher.close()
    del searcher
    os.utime(folder, (time.time() - 2 * DAY,) * 2)
    assert run_cli("clean", "--dry-run", "--home", home, check=0).stdout.startswith("packs")
    assert folder.is_dir()
    assert run_cli("clean", "--home", home, check=0).stdout.startswith("packs")
    assert os.listdir(home / "packs") == [".lock"]
    with simsearch.open(str(pack), home=str(home)) as searcher:
        assert searcher.images == 30
    assert unpacked_before(home) == ([], [folder])


def test_a_home_that_cannot_be_written(pack, built, tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = run_cli("query", built[0] / "class 0", "--build", pack, "--home", tmp_path / "file", check=2)
    assert len(done.stderr.splitlines()) == 2


def test_two_at_once_unpack_it_once(built, pack, home):
    command = [*ENTRY, "query", str(built[0] / "class 0" / "00.png"), "--build", str(pack), "--home", str(home)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    done = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [0, 0], done
    assert done[0][0] == done[1][0]
    assert sum("Unpacked" in err for _, err in done) == 1
    assert len(os.listdir(home / "packs")) == 2
