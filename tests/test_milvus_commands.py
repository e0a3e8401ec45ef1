"""A build whose searches a Milvus file answers: exported, switched, queried, synced, killed, verified, cleaned."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from commands import run_cli, run_process
from conftest import picture
from synced import moved_copy, record

from simsearch.home import Home
from simsearch.search import Searcher


def test_a_build_that_is_answered_for_here_imports_no_client(built, tmp_path):
    folder, home = built
    image = next(folder.rglob("*.png"))
    without = ("pymilvus", "milvus_lite", "grpc")
    assert (
        len(run_process("query", image, "--home", home, "--paths", without=without, check=0).stdout.splitlines()) == 10
    )
    run_process("--help", without=without, check=0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "http://me:secret@host:1"], "may hold neither a name, a password nor a token"),
        (["--out", "m.sqlite"], "expected http://HOST:19530 or a path that ends in .db, seen m.sqlite"),
        (
            ["--out", "m.db", "--index", "DISKANN"],
            "expected FLAT, HNSW, IVF_FLAT, IVF_SQ8, seen DISKANN",
        ),
        (["--out", "m.db", "--raw"], "--raw goes with --format npy"),
        (["--out", "http://127.0.0.1:1"], "cannot be reached"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(built, tmp_path, words, said):
    if said == "cannot be reached":
        pytest.importorskip("pymilvus")
    before = record(built[1])
    done = run_cli("export", "photos", "--format", "milvus", *words, "--home", built[1], cwd=tmp_path, check=2)
    assert said in done.stderr
    assert done.stderr.count("error: ") == 1
    assert "secret" not in done.stderr
    assert done.stdout == ""
    assert record(built[1]) == before


def test_a_damaged_build_keeps_no_place(copy_of_built):
    home = Home(copy_of_built[1])
    (home.builds / "photos.json").write_text("{")
    assert home.loaded("photos") is home.loaded("none") is None


def test_a_kind_without_milvus_and_a_switch_of_what_was_never_loaded(built):
    home = ["--home", built[1]]
    assert (
        "--index goes with --format milvus"
        in run_cli("export", "photos", "--format", "npy", "--out", "x", "--index", "FLAT", *home, check=2).stderr
    )
    done = run_cli("switch", "photos", "--search", "milvus", *home, check=2)
    assert "was not loaded into Milvus" in done.stderr
    assert "simsearch export photos --format milvus --out http://HOST:19530" in done.stderr
    assert (
        "photos is answered for by its own index, here already"
        in run_cli("switch", "photos", "--search", "local", *home, check=0).stderr
    )
    assert "takes another build, or --back, or --search" in run_cli("switch", "photos", *home, check=2).stderr


@pytest.fixture(scope="module")
def loaded(built, tmp_path_factory):
    """(folder, home) of the small build, answered for by a file; tests must not change it."""
    pytest.importorskip("milvus_lite")
    root = tmp_path_factory.mktemp("loaded")
    folder, home = moved_copy(built, root)
    words = ["--out", root / "m.db", "--home", home]
    done = run_cli("export", "photos", "--format", "milvus", *words, check=0)
    assert done.stdout.startswith("simsearch_photos_")
    assert "1.000 of the exact first 10" in done.stderr
    assert "simsearch switch photos --search milvus" in done.stderr
    again = run_cli("export", "photos", "--format", "milvus", *words, check=0)
    assert again.stdout == done.stdout
    assert "rows were there" in again.stderr
    assert (
        "answered for by collection simsearch_photos_"
        in run_cli("switch", "photos", "--search", "milvus", "--home", home, check=0).stderr
    )
    return folder, home


@pytest.fixture
def ours(loaded, tmp_path):
    """(folder, home) as `loaded`, to be changed together with the file of Milvus."""
    from milvus_loaded import moved_too

    return moved_too(loaded, tmp_path)


def hits(home, image, *words):
    done = run_cli("query", image, "--home", home, "--json", *words, check=0)
    return [(hit["image"], round(hit["score"], 5)) for hit in json.loads(done.stdout)["hits"]]


def test_answers_are_those_of_the_local_index(built, loaded):
    image = next(loaded[0].rglob("*.png"))
    for words in (
        [],
        ["--k", "30"],
        ["--label", "class 1"],
        ["--where", "label = 'class 2'", "--k", "5"],
        ["--not-self"],
    ):
        assert hits(loaded[1], image, *words) == hits(built[1], image, *words)


def test_it_is_shown_verified_and_left_out_of_packs(loaded, tmp_path):
    home = ["--home", loaded[1]]
    assert "# Milvus at" in run_cli("show", "photos", *home, check=0).stdout
    assert "answers: collection simsearch_photos_" in run_cli("show", "photos", *home, check=0).stdout
    lines = run_cli("index", "verify", "photos", *home, check=0).stdout.splitlines()
    assert [line for line in lines if line.startswith("ok  milvus")]
    run_cli("export", "photos", "--format", "pack", "--out", tmp_path / "p.pack", *home, check=0)
    image = next(loaded[0].rglob("*.png"))
    run_process(
        "query", image, "--build", tmp_path / "p.pack", "--home", tmp_path / "h", without=("pymilvus",), check=0
    )


def test_a_server_opens_it_and_sees_a_switch(loaded):
    from simsearch.server.opened import Opened, digest_now

    build = Home(loaded[1]).build("photos")
    opened = Opened(build)
    assert opened.use()
    assert opened.searcher.ask_row(3).hits[0].row == 3
    here = replace(build, record=replace(build.record, milvus=build.record.milvus | {"answers": False}))
    assert digest_now(here) != digest_now(build) == opened.digest
    opened.let_go()
    opened.done()
    assert opened.searcher.closed


def changed(folder):
    """One picture added, one changed, one moved, three removed of one label; what is said of it."""
    picture(7, 501).save(folder / "class 1" / "new.png")
    (folder / "class 0" / "01.png").unlink()
    picture(8, 502).save(folder / "class 0" / "01.png")
    (folder / "class 0" / "02.png").rename(folder / "class 2" / "moved.png")
    for number in (3, 4, 5):
        (folder / "class 2" / f"{number:02d}.png").unlink()


def check_as_local(home, tmp_path, queries):
    """The build answers as its own index does."""
    asked = [hits(home, query, "--k", "40") for query in queries]
    filtered = [hits(home, query, "--label", "class 2") for query in queries]
    run_cli("switch", "photos", "--search", "local", "--home", home, check=0)
    assert asked == [hits(home, query, "--k", "40") for query in queries]
    assert filtered == [hits(home, query, "--label", "class 2") for query in queries]
    run_cli("switch", "photos", "--search", "milvus", "--home", home, check=0)


def collection_of(home):
    """(rows, state, label by image) of the collection of the build."""
    from contextlib import closing

    from simsearch.engines.milvus.client import Client
    from simsearch.engines.milvus.collection import Collection

    place = Home(home).build("photos").milvus
    with closing(Client(place.uri)) as client:
        collection = Collection(client, place)
        collection.load()
        found = client.call("query", place.collection, filter="row >= 0", output_fields=["image", "label"])
        return collection.count(), collection.state, {one["image"]: one["label"] for one in found}


@pytest.mark.slow
def test_a_sync_keeps_it_in_step(ours, tmp_path):
    folder, home = ours
    changed(folder)
    run_cli("sync", "--home", home, check=0)
    images = {str(path.relative_to(folder)): path.parent.name for path in folder.rglob("*.png")}
    rows, state, labels = collection_of(home)
    assert (rows, labels) == (len(images), images)
    assert state == record(home)["stages"]["index"]["digest"] == record(home)["milvus"]["state"]
    check_as_local(home, tmp_path, [folder / "class 1" / "new.png", folder / "class 2" / "moved.png"])
    before = record(home)["milvus"]["collection"]
    for number in range(12):  # enough for a compaction: all rows have other numbers then
        picture(6, 600 + number).save(folder / "class 1" / f"more {number}.png")
    assert "compacted" in run_cli("sync", "--home", home, check=0).stderr
    assert record(home)["milvus"]["collection"] != before
    assert collection_of(home)[0] == len(images) + 12
    check_as_local(home, tmp_path, [folder / "class 1" / "more 3.png"])


@pytest.mark.slow
def test_a_sync_of_a_collection_that_is_not_there_reads_no_image(ours):
    folder, home = ours
    changed(folder)
    shutil.move(home.parent / "m.db", home.parent / "away.db")
    before = record(home)
    for words in (["sync"], ["query", folder / "class 1" / "new.png"]):
        done = run_cli(*words, "--home", home, check=2)
        assert "is not there" in done.stderr
        assert f"simsearch export photos --format milvus --out {home.parent / 'm.db'}" in done.stderr
        assert done.stderr.count("error: ") == 1
    assert record(home) == before
    run_cli("switch", "photos", "--search", "local", "--home", home, check=0)
    run_cli("sync", "--home", home, check=0)
    shutil.rmtree(home.parent / "m.db", ignore_errors=True)
    shutil.move(home.parent / "away.db", home.parent / "m.db")
    done = run_cli("switch", "photos", "--search", "milvus", "--home", home, check=2)
    assert "holds another state of build photos" in done.stderr
    run_cli("export", "photos", "--format", "milvus", "--out", home.parent / "m.db", "--home", home, check=0)
    run_cli("switch", "photos", "--search", "milvus", "--home", home, check=0)
    check_as_local(home, None, [folder / "class 1" / "new.png"])


def test_a_build_trained_anew_answers_here_and_clean_removes_the_collection(ours):
    home = ours[1]
    place = Home(home).build("photos").milvus
    assert Home(home).loaded("photos") == place.to_json() | {"answers": False}
    assert "Removed collection" in run_cli("clean", "photos", "--home", home, check=0).stderr
    from simsearch.engines.milvus.client import Client

    client = Client(place.uri)
    assert not client.call("has_collection", place.collection)
    client.close()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["marked", "put", "named", "removed"])
def test_a_sync_that_is_killed_is_gone_on_with(ours, tmp_path, moment):
    """Before rows are put, before the build is named, before rows are removed, before it is said to be in step."""
    folder, home = ours
    before = record(home)["images"]
    changed(folder)
    where = {
        "marked": "from simsearch.engines.milvus.collection import Collection as c; n = 'put'",
        "put": "import simsearch.sync.sync as c; n = 'name_synced'",
        "named": "from simsearch.engines.milvus.collection import Collection as c; n = 'remove'",
        "removed": "from simsearch.engines.milvus.collection import Collection as c; n = 'remove_from'",
    }[moment]
    code = (
        f"import os, signal, sys\n{where}\n"
        "setattr(c, n, lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL))\n"
        "from simsearch.cli import main; main(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", code, "sync", "--home", str(home)], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    named = moment in ("named", "removed")
    assert ("synced" in record(home)) == named
    with Searcher(Home(home).build("photos")) as searcher:
        found = searcher.search([folder / "class 1" / "new.png"], 50)[0]
        assert len(found) == (len(list(folder.rglob("*.png"))) if named else before)
        assert ("class 1/new.png" in {hit.image for hit in found}) == named
    (folder / "class 1" / "new.png").unlink()  # another state than the one that the killed sync was about
    picture(3, 777).save(folder / "class 1" / "other.png")
    run_cli("sync", "--home", home, check=0)
    images = {str(path.relative_to(folder)): path.parent.name for path in folder.rglob("*.png")}
    assert collection_of(home)[::2] == (len(images), images)
    check_as_local(home, tmp_path, [folder / "class 1" / "other.png"])
