"""`query --paths` and -0 for other programs, "same_file" in JSON, files that are gone, and the exit codes of --same."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import run_cli
from conftest import SMALL, picture, write_folder

import simsearch


@pytest.fixture
def image(ours):
    return ours[0] / "class 0" / "00.png"


def hits_of(*arguments):
    return json.loads(run_cli("query", *arguments, "--json", check=0).stdout)["hits"]


def test_paths_are_all_that_is_printed_one_a_line(ours, image):
    home = ours[1]
    expected = [hit["path"] for hit in hits_of(image, "--k", 4, "--home", home)]
    assert expected[0] == str(image)
    done = run_cli("query", image, "--k", 4, "--paths", "--home", home, check=0)
    assert done.stdout.splitlines() == expected
    assert done.stderr.splitlines()[1:] == []
    twice = run_cli("query", image, image, "--k", 4, "--paths", "--home", home, check=0)
    assert twice.stdout == 2 * done.stdout
    for null in (["-0"], ["-0", "--paths"]):
        assert run_cli("query", image, "-k4", *null, "--home", home, check=0).stdout == "\0".join([*expected, ""])


def test_paths_go_to_xargs_as_they_are_on_disk(tmp_path, home):
    """A name with a line end, one that is no text, spaces and quotes."""
    folder = write_folder(tmp_path / "photos", labels=2, each=5)
    odd = {b"a\nb.png", b"\xff c'\".png", b" .png"}
    for number, name in enumerate(sorted(odd)):
        shutil.copyfile(folder / "class 0" / f"{number:02d}.png", str(folder / "class 0").encode() + b"/" + name)
    run_cli("build", folder, *SMALL, "--set", "evaluation.baseline=false", "--home", home, check=0)
    from commands import ENTRY

    command = [*ENTRY, "query", str(folder / "class 0" / "00.png"), "--k", "13", "--home", str(home)]
    whole = subprocess.run([*command, "-0"], capture_output=True, check=True).stdout
    listed = subprocess.run(["xargs", "-0", "ls", "-d", "--zero"], input=whole, capture_output=True, check=True).stdout
    assert sorted(listed.split(b"\0")) == sorted(whole.split(b"\0"))
    assert {path.rpartition(b"/")[2] for path in whole.split(b"\0")} >= odd
    lines = subprocess.run([*command, "--paths"], capture_output=True, check=True)
    assert {line.rpartition(b"/")[2] for line in lines.stdout.splitlines()} >= odd - {b"a\nb.png"}
    assert lines.stdout.count(b"\n") == 12
    assert b"a\\x0ab.png holds a line end, and paths are one a line; -0 prints such ones too" in lines.stderr


def test_the_guide_copies_files_of_one_name_all(ours, image, tmp_path):
    """Every class has its 00.png: cp alone refuses the second, and so did the guide."""
    guide = (Path(__file__).parents[1] / "docs" / "how-to.md").read_text()
    (copy,) = re.findall(r"-0 \| (xargs -0 cp .*?)found/`", guide)
    whole = run_cli("query", image, "--k", 30, "-0", "--home", ours[1], check=0).stdout
    subprocess.run([*copy.split(), tmp_path], input=whole.encode(), check=True)
    assert sum(path.is_file() and path.name[0] != "." for path in tmp_path.glob("*.png*")) == 30


def test_a_file_that_is_gone_is_left_out_and_told(ours, image):
    folder, home = ours
    (folder / "class 0" / "01.png").unlink()
    hits = hits_of(image, "--k", 30, "--home", home)
    assert sum(hit["path"] is None for hit in hits) == 1
    done = run_cli("query", image, "--k", 30, "--paths", "--home", home, check=0)
    assert len(done.stdout.splitlines()) == 29
    assert "1 file left out is gone: simsearch sync --build photos brings the build in step" in done.stderr
    table = run_cli("query", image, "--k", 30, "--home", home, check=0)
    assert table.stdout.count("(gone)") == 1
    assert "1 file shown above is gone" in table.stderr
    said = run_cli("query", "--same", folder / "class 0" / "01.png", image, "--home", home, check=2)
    assert said.stderr.splitlines()[-2].endswith(": no such file"), "the next of a series is another picture"
    shutil.rmtree(folder / "class 1")
    shutil.move(folder, folder.with_name("elsewhere"))
    done = run_cli("query", folder.with_name("elsewhere") / "class 0" / "00.png", "--paths", "--home", home, check=0)
    assert done.stdout == ""
    assert f"None of these images is on this machine: there is no {folder}" in done.stderr


def test_vectors_find_paths_and_files_that_are_gone_too(ours, image, tmp_path):
    folder, home = ours
    with simsearch.open("photos", home=str(home)) as searcher:
        np.save(tmp_path / "v.npy", searcher.embed([np.asarray(picture(0, 0))]))
        assert searcher.search_vectors(np.load(tmp_path / "v.npy"))[0][0].path is None
    (folder / "class 0" / "01.png").unlink()
    asked = ["query", "--vectors", tmp_path / "v.npy", "--k", 30, "--home", home]
    assert run_cli(*asked, "--paths", check=0).stdout.splitlines()[0] == str(image)
    assert run_cli(*asked, check=0).stdout.count("(gone)") == 1
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    np.save(tmp_path / "w.npy", vectors)
    run_cli("index", "import", tmp_path / "w.npy", "--name", "w", "--home", home, check=0)
    asked = ["query", "--vectors", tmp_path / "w.npy", "--build", "w", "--home", home]
    done = run_cli(*asked, "-0", check=2)
    assert "build w has no files of images, and --paths prints their paths" in done.stderr


@pytest.mark.parametrize("more", [["--json"], ["--same", "x.png"]])
@pytest.mark.parametrize("flag", ["--paths", "-0"])
def test_paths_go_with_no_other_form(flag, more):
    done = run_cli("query", "a.png", flag, *more, check=2)
    assert f"{flag} prints paths, and goes with neither --json nor --same" in done.stderr


def test_a_montage_may_be_drawn_beside_paths(ours, image, tmp_path):
    done = run_cli("query", image, "--paths", "--montage", tmp_path / "m.png", "--home", ours[1], check=0)
    assert (tmp_path / "m.png").is_file()
    assert len(done.stdout.splitlines()) == 10


def test_json_tells_the_query_itself(ours, image, tmp_path):
    hits = hits_of(image, "--k", 30, "--home", ours[1])
    assert [hit["same_file"] for hit in hits] == [True] + 29 * [False]
    picture(0, 0).convert("RGB").save(tmp_path / "twin.png")
    assert not any(hit["same_file"] for hit in hits_of(tmp_path / "twin.png", "--k", 30, "--home", ours[1]))


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["words", "JSON"])
def test_the_exit_code_of_same_is_its_answer(ours, image, tmp_path, form):
    home = ours[1]
    asked = ["query", image, "--home", home, *form, "--same"]
    assert run_cli(*asked, image, check=0).stdout.startswith("same" if not form else "{")
    found = {}
    for number in range(9):
        picture(number, 50).save(tmp_path / "x.png")
        done = run_cli(*asked, tmp_path / "x.png", "--max-far", "0.05")
        word = json.loads(done.stdout)["same"] if form else done.stdout.split("  ")[0]
        found.setdefault(word, set()).add(done.returncode)
    assert found.pop(False if form else "different") == {1}
    assert found.pop(None if form else "cannot tell", {0}) == {0}
    run_cli(*asked, tmp_path / "none.png", check=2)
