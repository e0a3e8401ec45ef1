"""`simsearch switch photos next` and back: what answers, what is kept, what follows it, and what is refused."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from commands import run_process
from conftest import SMALL, picture, run_cli, write_folder
from remade import remade
from sealing import seal
from synced import record, state_of, sync

import simsearch
from simsearch.embedder.bundle import canaries
from simsearch.home import Home
from simsearch.integrity.cleaning import clean
from simsearch.integrity.verifying import verify_build


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder, home) of `photos` and `next`, two trainings of one folder; tests must not change them."""
    root = tmp_path_factory.mktemp("switch")
    folder = write_folder(root / "photos")
    run_cli("build", folder, *SMALL, "--home", root / "home", check=0)
    other = ["--set", "training.seed=5", "--set", "embedder.dim=16", "--name", "next"]
    run_cli("build", folder, *SMALL, *other, "--home", root / "home", check=0)
    return folder, root / "home"


@pytest.fixture
def two(made, tmp_path):
    """(folder, home) as `made`, both to be changed."""
    folder, home = tmp_path / "photos", tmp_path / "home"
    shutil.copytree(made[0], folder)
    shutil.copytree(made[1], home)
    for path in (home / "builds").glob("*.json"):
        text = path.read_text().replace(json.dumps(str(made[0]))[1:-1], json.dumps(str(folder))[1:-1])
        seal(path, json.loads(text))
        build = Home(home).build(path.stem)
        Home(home).write_build(build.name, build.record)
    return folder, home


def answers(home, folder, name="photos"):
    searcher = simsearch.open(name, home=str(home))
    return [(hit.image, hit.label, hit.score) for hit in searcher.search([folder / "class 2" / "05.png"], k=30)[0]]


def switch(home, *words, check=0):
    return run_cli("switch", *words, "--home", home, check=check)


def test_queries_answer_by_the_other_and_back_restores_every_byte(two):
    folder, home = two
    before, old, new = state_of(home), answers(home, folder), answers(home, folder, "next")
    assert old != new
    done = switch(home, "photos", "next")
    assert done.stdout == ""
    said = ["photos answers by what next is", f"Back: simsearch switch photos --back --home {home}"]
    assert done.stderr.splitlines() == said
    assert answers(home, folder) == new == answers(home, folder, "next")
    now, other = record(home), record(home, "next")
    assert {key for key in now if now[key] != other.get(key)} == {"when", "former", "seal"}
    assert now["former"] == json.loads(before["builds/photos.json"])
    assert run_cli("query", folder / "class 0" / "00.png", "--home", home, check=0).stderr.startswith("photos"), (
        "what answers is the newest build"
    )
    assert json.loads((home / "builds" / "photos" / "report.json").read_bytes())["build"] == "photos"
    assert verify_build(Home(home).build("photos")).sound, "report and page follow"
    back = switch(home, "photos", "--back")
    assert back.stderr.splitlines() == ["photos answers by what it was before"]
    assert answers(home, folder) == old
    after = state_of(home)
    assert after["builds/photos.json"] == before["builds/photos.json"]
    assert after["builds/next.json"] == before["builds/next.json"]
    assert verify_build(Home(home).build("photos")).sound


def test_the_same_command_again_says_that_it_is_done(two):
    _, home = two
    switch(home, "photos", "next")
    before = state_of(home)
    assert "photos answers by what next is already" in switch(home, "photos", "next").stderr
    assert state_of(home) == before
    switch(home, "photos", "--back")
    before = state_of(home)
    done = switch(home, "photos", "--back", check=2)
    assert done.stderr.startswith("error: build photos has no former state")
    assert state_of(home) == before
    # As a kill after the rename leaves it: what people read is behind.
    (home / "builds" / "photos" / "report.html").unlink()
    assert "photos answers by what it was before already" in switch(home, "photos", "--back").stderr
    assert verify_build(Home(home).build("photos")).sound


def test_a_build_of_one_state_is_kept_whole_and_no_further(two):
    folder, home = two
    first = answers(home, folder)
    switch(home, "photos", "next")
    remade(home, "third", {})
    switch(home, "photos", "third")
    assert "former" not in record(home)["former"]
    switch(home, "photos", "--back")
    assert answers(home, folder) == answers(home, folder, "next") != first
    switch(home, "photos", "--back", check=2)


def test_clean_keeps_what_back_can_name(two):
    folder, home = two
    old = answers(home, folder)
    switch(home, "photos", "next")
    for path in home.glob("artifacts/*/*"):
        os.utime(path, (1, 1))
    assert clean(Home(home), "next").freed == {}
    assert answers(home, folder) != old
    switch(home, "photos", "--back")
    assert answers(home, folder) == old
    for path in home.glob("artifacts/*/*"):
        os.utime(path, (1, 1))
    assert clean(Home(home)).freed.keys() >= {"train", "embed", "index", "evaluate"}, "nothing names next any more"
    assert answers(home, folder) == old


def test_sync_goes_on_from_what_it_was_switched_to(two):
    folder, home = two
    old = len(answers(home, folder))
    switch(home, "photos", "next")
    former = record(home)["former"]
    picture(1, 70).save(folder / "class 1" / "new.png")
    done = sync(home, str(folder), "photos")
    assert done.counts["added"] == 1
    assert record(home)["former"] == former
    assert record(home)["stages"]["train"] == record(home, "next")["stages"]["train"]
    assert "class 1/new.png" in {image for image, *_ in answers(home, folder)}
    said = switch(home, "photos", "--back").stderr
    assert f"Other images were searched meanwhile: simsearch sync --build photos --home {home} brings it" in said
    assert len(answers(home, folder)) == old
    assert sync(home, str(folder), "photos").counts["added"] == 1


def test_show_tells_the_former_state_and_bytes_count_it(two):
    _, home = two
    whole = [json.loads(run_cli("show", one, "--json", "--home", home, check=0).stdout) for one in ("photos", "next")]
    switch(home, "photos", "next")
    found = json.loads(run_cli("show", "photos", "--json", "--home", home, check=0).stdout)
    assert found["former"] == {key: whole[0][key] for key in ("when", "source", "images")}
    assert max(one["bytes"] for one in whole) < found["bytes"] < sum(one["bytes"] for one in whole)
    assert "before; simsearch switch photos --back" in run_cli("show", "photos", "--home", home, check=0).stdout
    assert "former" not in whole[0]


def test_a_build_of_the_same_name_ends_the_switch_and_says_so(two):
    folder, home = two
    old = answers(home, folder)
    switch(home, "photos", "next")
    done = run_cli("build", folder, *SMALL, "--home", home, check=0)
    assert "photos had been switched to another build, and stands for this recipe again" in done.stderr
    assert answers(home, folder) == old
    assert "former" not in record(home)
    switch(home, "photos", "--back", check=2)


def test_an_unchanged_build_keeps_the_former_state(two):
    folder, home = two
    switch(home, "photos", "next")
    before = record(home)
    same = ["--set", "training.seed=5", "--set", "embedder.dim=16"]
    assert "up to date" in run_cli("build", folder, *SMALL, *same, "--home", home, check=0).stderr
    assert record(home) == before


def refused(home, *words, check=2):
    before = state_of(home)
    done = switch(home, *words, check=check)
    assert state_of(home) == before
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_what_cannot_be_switched(two):
    folder, home = two
    remade(home, "same", {})
    seal(home / "builds" / "same.json", {**record(home), "when": "2020-01-01T00:00:00+00:00"})
    for other in ("same", "photos"):
        assert (
            refused(home, "photos", other)[0]
            == f"error: photos and {other} are the same build: there is nothing to switch"
        )
    whole = record(home, "next")
    seal(home / "builds" / "half.json", {**whole, "provisional": True, "command": "simsearch build photos"})
    assert refused(home, "photos", "half")[0].startswith("error: build half is provisional")
    assert refused(home, "half", "photos")[0].startswith("error: build half is provisional")
    (home / "builds" / "half.json").unlink()
    (folder / "class 0" / "03.png").unlink()
    picture(2, 90).save(folder / "class 2" / "00.png")
    sync(home, str(folder), "next")
    error, hint = refused(home, "photos", "next")
    assert error == (
        "error: photos and next are of different corpora: 1 only in photos (class 0/03.png); 1 with other content "
        "(class 2/00.png)"
    )
    assert hint == f"hint: simsearch sync {folder} --all --home {home} brings both in step with it"
    run_cli("sync", folder, "--all", "--home", home, check=0)
    switch(home, "photos", "next")


@pytest.mark.parametrize(("words", "said"), [
    (["photos"], "switch takes another build, or --back"),
    (["photos", "next", "--back"], "switch takes another build, or --back"),
    (["photos", "nxt"], "no build 'nxt'"),
    (["photso", "next"], "no build 'photso'"),
    (["photos", "--back"], "build photos has no former state"),
])  # fmt: skip
def test_wrong_use(made, words, said):
    lines = switch(made[1], *words, check=2).stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]
    assert said in lines[0]


def damage(home, name, stage, file):
    path = home / "artifacts" / stage / record(home, name)["stages"][stage]["digest"] / file
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize("name", ["photos", "next"])
def test_a_build_that_is_not_sound_is_neither_left_nor_taken(two, name):
    _, home = two
    damage(home, name, "embed", "features.h5")
    lines = refused(home, "photos", "next", check=1)
    assert lines[0].startswith(f"{name}: embed: ")
    assert lines[-1] == f"{name} is not sound: photos was left as it is"


def test_the_former_state_is_verified_before_it_comes_back(two):
    _, home = two
    switch(home, "photos", "next")
    former = record(home)["former"]["stages"]["index"]["digest"]
    path = home / "artifacts" / "index" / former / "index.faiss"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert refused(home, "photos", "--back", check=1)[-1] == "What it was is not sound: photos was left as it is"


def test_one_can_go_back_from_a_build_that_is_not_sound(two):
    folder, home = two
    old = answers(home, folder)
    switch(home, "photos", "next")
    damage(home, "photos", "embed", "features.h5")
    switch(home, "photos", "--back")
    assert answers(home, folder) == old


def test_the_canaries_of_both_are_embedded_again(two, monkeypatch):
    _, home = two
    seen = []
    real = canaries.least_cosine

    def other_machine(embedded, trained):
        seen.append(trained.digest)
        return real(embedded, trained) if trained.digest == record(home)["stages"]["train"]["digest"] else 0.9

    monkeypatch.setattr(canaries, "least_cosine", other_machine)
    lines = refused(home, "photos", "next", check=1)
    assert seen == [record(home, name)["stages"]["train"]["digest"] for name in ("photos", "next")]
    assert lines[0].startswith("next: canaries: the embedder of build next gives other features on this machine")
    assert lines[1].startswith("hint: install that version again")


def test_pictures_that_changed_since_keep_no_build_from_its_place(two):
    """They are for sync to take in, before or after."""
    folder, home = two
    picture(2, 91).save(folder / "class 2" / "00.png")
    switch(home, "photos", "next")


def test_a_damaged_former_state_is_a_damaged_build(two):
    _, home = two
    switch(home, "photos", "next")
    whole = record(home)
    former = {**whole["former"], "images": 29}
    seal(home / "builds" / "photos.json", {**whole, "former": former})
    assert "photos.json is damaged" in switch(home, "photos", "--back", check=2).stderr


def test_it_needs_no_torch(two):
    _, home = two
    run_process("switch", "photos", "next", "--home", home, without=["torch"], check=0)
