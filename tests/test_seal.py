"""A build's file tells when it was changed after it was written; files of older programs, which cannot, still count."""

from __future__ import annotations

import json
import shutil

import pytest
from commands import run_cli
from sealing import seal

from simsearch.errors import ArtifactError
from simsearch.home import Home, Record
from simsearch.home.build import BUILD_SCHEMA, MEDDLED


@pytest.fixture
def path(built, tmp_path):
    """The file of a finished build in a home that holds nothing else."""
    path = tmp_path / "home" / "builds" / "photos.json"
    path.parent.mkdir(parents=True)
    shutil.copyfile(built[1] / "builds" / "photos.json", path)
    return path


def meant(data):
    """What a build file says, None for one that was noticed to be damaged."""
    try:
        return Record.from_json(json.loads(data))
    except MEDDLED:
        return None


def test_no_flipped_bit_passes_for_something_else(path):
    data = path.read_bytes()
    whole, undetected = meant(data), 0
    assert whole is not None
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            found = meant(bytes(flipped))
            assert found is None or found == whole, (place, bit, data[place - 20 : place + 20])
            undetected += found is not None
    assert undetected <= 20, "such as the case of a letter in an escape"


def changed(key, value):
    return lambda whole: {**whole, key: value}


def without(key):
    return lambda whole: {name: value for name, value in whole.items() if name != key}


DAMAGE = {
    "a setting": changed("search", {"nprobe": 2, "efSearch": None}),
    "an unknown key": changed("more", 1),
    "a damaged seal key": lambda whole: {**without("seal")(whole), "teal": whole["seal"]},
    "no seal": without("seal"),
    "no seal, nothing said": changed("seal", None),
    "another seal": changed("seal", "0" * 64),
    "an old schema with a seal": changed("schema", 1),
    "an old schema, its seal damaged": lambda whole: {**without("seal")(whole), "schema": 1, "teal": whole["seal"]},
    "another schema": changed("schema", 3),
    "no schema": without("schema"),
    "a schema that is no number": changed("schema", "2"),
    "a schema that equals one": changed("schema", 2.0),
    "a list of schemas": changed("schema", [2]),
    "a key is missing": without("pins"),
    "a number without end": changed("images", float("nan")),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_changed_file_is_damaged(path, kind):
    path.write_text(json.dumps(DAMAGE[kind](json.loads(path.read_bytes()))))
    with pytest.raises(ArtifactError, match=r"photos\.json is damaged or of another version"):
        Home(path.parent.parent).build("photos")


@pytest.mark.parametrize(
    "change",
    [changed("schema", True), changed("schema", 1.0), changed("schema", 3), changed("more", 1), changed("seal", "")],
)
def test_a_file_of_an_older_program_has_its_own_closed_list(path, change):
    old = without("seal")(changed("schema", 1)(json.loads(path.read_bytes())))
    seal(path, old)
    assert Home(path.parent.parent).build("photos").sealed is False
    path.write_text(json.dumps(change(old)))
    with pytest.raises(ArtifactError, match=r"photos\.json is damaged or of another version"):
        Home(path.parent.parent).build("photos")


def test_an_unsealed_build_is_named_and_sealed_at_its_next_write(copy_of_built):
    home = copy_of_built[1]
    place, path = Home(home), home / "builds" / "photos.json"
    assert "sealed and as it was written" in run_cli("index", "verify", "--home", home, check=0).stdout
    whole = json.loads(path.read_bytes())
    assert (whole["schema"], len(whole["seal"])) == (BUILD_SCHEMA, 64)
    seal(path, changed("schema", 1)(whole))
    told = run_cli("index", "verify", "--home", home, check=0).stdout.splitlines()
    assert told[0].split()[:2] == ["ok", "build"]
    assert "unsealed" in told[0]
    build = place.build("photos")
    assert place.write_build("photos", build.record).sealed
    assert json.loads(path.read_bytes()) == whole
    assert place.build("photos").sealed


def test_a_build_file_that_was_damaged_is_refused_by_every_command(copy_of_built):
    folder, home = copy_of_built
    path = home / "builds" / "photos.json"
    text = path.read_text()
    assert '"nprobe": null' in text
    path.write_text(text.replace('"nprobe": null', '"nprobe": 2'))
    picture = folder / "class 0" / "00.png"
    commands = (
        ("query", picture), ("show", "photos"), ("show",), ("evaluate",), ("compare", "photos", "photos"), ("sync",),
        ("index", "verify"), ("index", "verify", "--repair"), ("export", "--format", "npy", "--out", home / "out"),
        ("clean",), ("build", folder), ("switch", "photos", "--back"),
    )  # fmt: skip
    for command in commands:
        done = run_cli(*command, "--home", home, check=2)
        assert "photos.json is damaged" in done.stderr, command
