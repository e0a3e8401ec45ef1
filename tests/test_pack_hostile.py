"""Packs whose list is right and whose files are not: one clear line from each command, nothing written elsewhere."""

from __future__ import annotations

import json
import os

import pytest
from commands import run_cli

from simsearch.artifacts import digest_of
from simsearch.packs import contents_of, unpack, write_pack

pytestmark = pytest.mark.slow


def silent(done, whole):
    """Progress that nobody sees."""


@pytest.fixture(scope="module")
def files(built, tmp_path_factory):
    """What is in the pack of `photos`: its bytes by path."""
    root = tmp_path_factory.mktemp("packs")
    run_cli("export", "photos", "--format", "pack", "--out", root / "shelf.pack", "--home", built[1], check=0)
    unpack(root / "shelf.pack", root / "inside", silent)
    return {one.path: (root / "inside" / one.path).read_bytes() for one in contents_of(root / "shelf.pack").members}


def tried(files, built, tmp_path):
    """The exit codes of commands on a pack of some files, each of which is 0, or 2 with one clear line."""
    pack = tmp_path / "x.pack"
    pack.unlink(missing_ok=True)
    write_pack(pack, "photos", {path: (data, None) for path, data in files.items()}, silent)
    codes = {}
    home = ("--home", tmp_path / "home")
    for command in (
        ("query", built[0] / "class 0" / "00.png", "--collapse", "--montage", tmp_path / "m.png", "--build", pack),
        ("evaluate", pack), ("show", pack), ("compare", pack, pack), ("defects", "score", built[0], "--name", pack),
    ):  # fmt: skip
        done = run_cli(*command, *home)
        codes[command[0]] = done.returncode
        assert done.returncode in (0, 2)
        if done.returncode == 2:
            errors = [line for line in done.stderr.splitlines() if line.startswith(("error:", "hint:"))]
            assert len(errors) == 2, done.stderr
    assert run_cli("index", "verify", pack, *home).returncode in (0, 1, 2)
    assert set(os.listdir(tmp_path)) <= {"x.pack", "home", "m.png"}
    assert os.listdir(tmp_path / "home") == ["packs"]
    return codes


def test_sound(files, built, tmp_path):
    assert tried(files, built, tmp_path) == {"query": 0, "evaluate": 0, "show": 0, "compare": 0, "defects": 2}


def test_each_file_missing(files, built, tmp_path):
    for path in files:
        if path != "builds/photos.json":
            codes = tried({name: data for name, data in files.items() if name != path}, built, tmp_path)
            assert "report" in path or 2 in (codes["query"], codes["evaluate"], codes["show"]), path


def test_each_file_of_other_bytes(files, built, tmp_path):
    for path in files:
        for data in (b"", b"null", b"[]", b"{}", b'{"schema": 2}', files[path][:-1]):
            codes = tried({**files, path: data}, built, tmp_path)
            assert "report." in path or 2 in codes.values(), path


def test_a_left_out_list_that_hides_what_is_needed(files, built, tmp_path):
    left_out = json.loads(files["artifacts/left-out.json"])
    for stage in left_out:
        inside = [path.rpartition("/")[2] for path in files if stage in path]
        codes = tried({**files, "artifacts/left-out.json": json.dumps({stage: inside}).encode()}, built, tmp_path)
        assert 2 in codes.values()
    for data in (b"[1]", b"1", json.dumps(dict.fromkeys(left_out, 7)).encode(), b"[" * 9999):
        assert tried({**files, "artifacts/left-out.json": data}, built, tmp_path)["query"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"root": "/"}, {"root": "/etc"}, {"labelled": False}, {"images": -1}, {"images": 10**12},
        {"source": "../../etc"},        {"recipe": {}}, {"recipe": {"run": {"rehash_days": 1e300}}}, {"stages": {}},
        {"pins": ["../../x"]},
        {"provisional": True, "command": "rm -rf /"}, {"when": "\x1b[31m"},
        {"search": {"nprobe": -1, "efSearch": None}},
        {"schema": 3},
    ],
)  # fmt: skip
def test_a_build_that_says_something_else(files, built, tmp_path, change):
    record = json.loads(files["builds/photos.json"]) | change
    record.pop("seal")
    codes = tried({**files, "builds/photos.json": json.dumps(seal_of(record)).encode()}, built, tmp_path)
    if "root" in change:  # no file of this machine is one of its pictures
        done = run_cli(
            "query", built[0] / "class 0" / "00.png", "--json", "--build", tmp_path / "x.pack", "--home", tmp_path
        )
        assert {hit["path"] for hit in json.loads(done.stdout)["hits"]} == {None}
        assert codes["query"] == 0


def test_stages_that_lead_elsewhere(files, built, tmp_path):
    record = json.loads(files["builds/photos.json"])
    for name, digest in (("index", ".."), ("index", "../../../../../etc"), ("index", "a" * 64), ("../../x", "..")):
        other = {**record, "stages": {**record["stages"], name: {"digest": digest, "content": "b" * 64}}}
        other.pop("seal")
        data = json.dumps(seal_of(other)).encode()
        assert 2 in tried({**files, "builds/photos.json": data}, built, tmp_path).values()


def seal_of(record):
    return {**record, "seal": digest_of(record)}
