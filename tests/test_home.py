"""The home: build names, which build is the newest, and the lock."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from simsearch.errors import ArtifactError, RecipeError
from simsearch.home import Home, checked_name


def write(home, name, when, **more):
    home.builds.mkdir(parents=True, exist_ok=True)
    stages = {stage: {"digest": "d", "content": "c"} for stage in ("dataset", "train", "embed", "index", "evaluate")}
    record = {"schema": 1, "when": when, "stages": stages, "source": "x", "root": None, "recipe": {}, "images": 1,
              "labelled": True, "search": {"nprobe": None, "efSearch": None}, **more}  # fmt: skip
    (home.builds / f"{name}.json").write_text(json.dumps(record))


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "x" * 64])
def test_legal_names(name):
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "A", ".a", "-a", "a/b", "../a", "a b", "a.json", "x" * 65, "ä", "a\n"])
def test_illegal_names(name):
    with pytest.raises(RecipeError):
        checked_name(name)


def test_the_newest_is_by_time_and_not_by_name_or_text(tmp_path):
    home = Home(tmp_path)
    write(home, "a", "2026-01-01T10:00:00+00:00")
    write(home, "b", "2026-01-01T10:30:00+02:00")  # 08:30 in UTC
    write(home, "c", "2027-01-01T00:00:00+00:00", listed=False)
    assert home.build().name == "a"
    assert home.build_names() == ["a", "b", "c"]
    assert home.build("c").name == "c"


@pytest.mark.parametrize(
    "damage",
    [
        {"when": "2026-01-01T10:00:00"},
        {"when": 3},
        {"images": "many"},
        {"root": 5},
        {"stages": {}},
        {"stages": {"dataset": {"digest": "../..", "content": "c"}}},
        {"search": {}},
        {"schema": 2},
        {"recipe": []},
    ],
)
def test_a_build_file_that_is_none_of_ours(tmp_path, damage):
    home = Home(tmp_path)
    write(home, "a", **{"when": "2026-01-01T10:00:00+00:00", **damage})
    with pytest.raises(ArtifactError, match=r"a\.json"):
        home.build()


def test_folders_and_nesting_among_the_builds(tmp_path):
    home = Home(tmp_path)
    write(home, "a", "2026-01-01T10:00:00+00:00")
    (home.builds / "b.json").mkdir()
    assert home.build_names() == ["a"]
    (home.builds / "c.json").write_text("[" * 100_000)
    with pytest.raises(ArtifactError):
        home.build("c")


def test_only_unlisted_builds_is_none(tmp_path):
    home = Home(tmp_path)
    write(home, "c", "2027-01-01T00:00:00+00:00", listed=False)
    with pytest.raises(ArtifactError):
        home.build()


def test_locate(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIMSEARCH_HOME", raising=False)
    assert Home.locate(None).path == tmp_path / "data"
    monkeypatch.setenv("SIMSEARCH_HOME", "elsewhere")
    assert Home.locate(None).path == tmp_path / "elsewhere"
    assert Home.locate("given").path == tmp_path / "given"
    assert not list(tmp_path.iterdir()), "nothing is created before something is written"


def test_the_lock_is_free_as_soon_as_its_holder_is_killed(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from simsearch.home import Home\n"
        "with Home(Path(sys.argv[1])).lock('build x', print):\n    print('held', flush=True); time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    holder.stdout.close()
    waited = []
    started = time.monotonic()
    with Home(tmp_path).lock("build y", waited.append):
        assert time.monotonic() - started < 5
    assert not waited, "a note that a dead process left is not a lock"
