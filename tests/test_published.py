"""What lies under a build's name for people is of that build, or is made anew; the program reads none of it."""

from __future__ import annotations

import base64
import json
import os
import shutil

import numpy as np
import pytest
from commands import run_cli
from conftest import SMALL, picture
from sealing import seal
from synced import record, sync

from simsearch.exchange.vectors_in import run_import
from simsearch.home import Home
from simsearch.integrity.repairing import repair_build
from simsearch.integrity.verifying import verify_build
from simsearch.report import published
from simsearch.report.reading import report_of


def files(home):
    return [home / "builds" / "photos" / name for name in ("report.json", "report.html")]


def fault(home, name="photos"):
    """What is wrong with the copies, as `index verify` says it."""
    build = Home(home).build(name)
    report = report_of(build)
    return published.report_fault(build, report) or published.page_fault(build, report)


def answers(home, folder):
    """What commands print that read a report."""
    commands = ("evaluate", "photos", "--json"), ("show", "photos", "--json"), ("compare", "photos", "photos", "--json")
    query = "query", folder / "class 0" / "00.png", "--json"
    lines = [run_cli(*words, "--home", home, check=0).stdout for words in (*commands, query)]
    return lines[:-1], json.loads(lines[-1])["hits"]


def unsealed(page):
    """A page as an older program wrote it."""
    return page[: page.rindex(b"<!-- of ")]


def with_saved(page, report):
    start = page.index(b"data:application/json;base64,") + 29
    saved = base64.b64encode(json.dumps(report).encode())
    return page[:start] + saved + page[page.index(b'"', start) :]


DAMAGE = {
    "report.json is gone": (0, lambda data: None),
    "report.json is another": (0, lambda data: data.replace(b'"queries": ', b'"queries": 1')),
    "report.json is none": (0, lambda data: b"\xff" * 100),
    "report.json nests": (0, lambda data: b"[" * 100_000),
    "report.html is gone": (1, lambda data: None),
    "report.html has another figure": (1, lambda data: data.replace(b"0.", b"1.", 1)),
    "report.html is empty": (1, lambda data: b""),
    "report.html is cut": (1, lambda data: data[: len(data) // 2]),
    "the last line is cut": (1, lambda data: data[:-1]),
    "the last line is another": (1, lambda data: data.replace(b"<!-- of ", b"<!-- ov ")),
    "the last line stands twice": (1, lambda data: data + data[data.rindex(b"<!-- of ") :]),
    "unsealed, and of another report": (1, lambda data: with_saved(unsealed(data), {"build": "photos"})),
    "unsealed, and saves nothing": (1, lambda data: unsealed(data).replace(b"data:application/json", b"data:app")),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_copy_is_noticed_and_mended(copy_of_built, kind):
    folder, home = copy_of_built
    place, (which, change) = Home(home), DAMAGE[kind]
    path, before = files(home)[which], [path.read_bytes() for path in files(home)]
    told = answers(home, folder)
    assert fault(home) is None
    damaged = change(path.read_bytes())
    assert damaged != before[which]
    path.unlink() if damaged is None else path.write_bytes(damaged)
    assert answers(home, folder) == told, "the program reads the artifacts"
    assert str(path) in fault(home)
    done = run_cli("index", "verify", "--home", home, check=1)
    assert "no  report" in done.stdout
    _, found = repair_build(place.build("photos"), place)
    assert found.sound
    assert files(home)[0].read_bytes() == before[0]


@pytest.mark.parametrize("kind", ["report.json is another", "report.html is gone", "report.html has another figure"])
@pytest.mark.parametrize("was_synced", [False, True])
def test_the_next_build_makes_a_stale_copy_anew(ours, kind, was_synced):
    folder, home = ours
    which, change = DAMAGE[kind]
    if was_synced:
        picture(7, 70).save(folder / "class 1" / "new.png")
        sync(home)
    path, before = files(home)[which], files(home)[which].read_bytes()
    damaged = change(before)
    path.unlink() if damaged is None else path.write_bytes(damaged)
    done = run_cli("build", folder, *SMALL, "--home", home, check=0)
    assert "up to date" in done.stderr
    assert fault(home) is None
    assert verify_build(Home(home).build("photos")).sound
    untouched = [path.stat().st_mtime_ns for path in files(home)]
    run_cli("build", folder, *SMALL, "--home", home, check=0)
    assert [path.stat().st_mtime_ns for path in files(home)] == untouched, "and leaves it alone where it is right"


def test_a_page_of_another_state_is_noticed(copy_of_built):
    """Of another time, or of other artifacts with the very same figures."""
    home = copy_of_built[1]
    whole = record(home)
    seal(home / "builds" / "photos.json", {**whole, "when": "2020-01-01T00:00:00+00:00"})
    assert "shows another state" in fault(home)
    shutil.copytree(home / "builds" / "photos", home / "builds" / "other")
    seal(home / "builds" / "other.json", whole)
    assert "report.json is not the report of the build" in fault(home, "other"), "it names its build"


def test_a_page_of_an_older_program_counts_when_its_report_is_the_builds(copy_of_built):
    folder, home = copy_of_built
    page = files(home)[1]
    page.write_bytes(unsealed(page.read_bytes()))
    assert fault(home) is None
    run_cli("build", folder, *SMALL, "--home", home)
    assert b"<!-- of " not in page.read_bytes()[-200:]


def test_no_bit_of_a_page_is_flipped_unseen(copy_of_built):
    home = copy_of_built[1]
    page, build = files(home)[1], Home(home).build("photos")
    report, data = report_of(build), page.read_bytes()
    random = np.random.default_rng(0)
    places = [*range(len(data) - 160, len(data)), *random.integers(0, len(data), 100).tolist()]
    for place, bit in zip(places, random.integers(0, 8, len(places)).tolist(), strict=True):
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        page.write_bytes(flipped)
        assert published.page_fault(build, report), (place, bit)


class KilledError(BaseException):
    """The process is gone."""


@pytest.fixture
def killed_before(monkeypatch):
    """A function that lets everything end before a file gets its name."""

    def kill(name):
        def replace(old, new, real=os.replace):
            if str(new).endswith(name):
                raise KilledError(name)
            real(old, new)

        monkeypatch.setattr(os, "replace", replace)

    yield kill
    monkeypatch.undo()


@pytest.mark.parametrize("moment", ["builds/photos.json", "photos/report.json", "photos/report.html"])
def test_killed_anywhere_a_report_is_that_of_its_build(ours, killed_before, monkeypatch, moment):
    """One rename, of the build's file, switches what is told; what is for people follows with the next build."""
    folder, home = ours
    before, old = record(home), answers(home, folder)[0][0]
    command = "build", folder, *SMALL, "--set", "evaluation.k=[1,2]", "--home", home
    killed_before(moment)
    with pytest.raises(KilledError):
        run_cli(*command)
    monkeypatch.undo()
    new = record(home)
    assert (new == before) == (moment == "builds/photos.json")
    told = json.loads(answers(home, folder)[0][0])
    made = home / "artifacts" / "evaluate" / new["stages"]["evaluate"]["digest"] / "report.json"
    assert told["systems"] == json.loads(made.read_bytes())["systems"]
    if new == before:
        assert told == json.loads(old)
        assert fault(home) is None
    else:
        assert fault(home)
    assert "Evaluated" not in run_cli(*command, check=0).stderr, "every artifact was made before"
    assert fault(home) is None
    assert json.loads(files(home)[0].read_bytes())["k"] == [1, 2]


def test_an_import_mends_its_copies(tmp_path):
    home = Home(tmp_path / "home")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32))
    build = run_import(str(tmp_path / "x.npy"), home, "x", {}).build
    for path, data in ((build.report_path, b"{}"), (build.page_path, b"<html></html>")):
        path.write_bytes(data)
        assert str(path) in fault(home.path, "x")
        assert run_import(str(tmp_path / "x.npy"), home, "x", {}).ran == []
        assert fault(home.path, "x") is None
