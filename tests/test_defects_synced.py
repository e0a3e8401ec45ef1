"""simsearch defects fit where builds were synced: it says what to do in one line, and --retrain does it."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from conftest import SMALL, picture, run_cli

from simsearch.home import Home

FIT = ["defects", "fit", "--build", "photos", "--normal", "class 1", "--false-alarms", "0.4", "--method", "mean"]


def record_of(home, name="photos-defects"):
    return json.loads((home / "builds" / f"{name}.json").read_bytes())


def told_of(home, name="photos-defects"):
    digest = record_of(home, name)["stages"]["defects"]["digest"]
    return json.loads((home / "artifacts" / "defects" / digest / "defects.json").read_bytes())


def normals(told):
    return told["fit"]["images"] + told["calibration"]["images"] + told["test"]["normal"]


def said(done, pattern):
    """The command that is named where a pattern is found, as words."""
    return shlex.split(re.search(pattern, done.stderr)[1])[1:]


@pytest.mark.slow
def test_a_synced_fit_stands_and_retrain_takes_what_is_there_now(ours):
    folder, home = ours
    run_cli(*FIT, "--home", home, check=0)
    assert normals(told_of(home)) == 10
    picture(1, 70).save(folder / "class 1" / "70.png")
    run_cli("sync", "--build", "photos-defects", "--home", home, check=0)
    again = run_cli(*FIT, "--home", home, check=0)
    assert "photos-defects is up to date, synced " in again.stderr
    assert f"Threshold {told_of(home)['threshold']:.4g} for" in again.stderr
    picture(1, 71).save(folder / "class 1" / "71.png")
    again = run_cli(*FIT, "--home", home, check=0)
    assert "1 image changed since photos-defects was synced: simsearch sync --build photos-defects" in again.stderr
    retrain = said(again, r"or (simsearch defects fit .* --retrain) to train on everything")
    assert normals(told_of(home)) == 11
    run_cli(*retrain, "--home", home, check=0)
    assert normals(told_of(home)) == 12
    assert "synced" not in record_of(home)


@pytest.mark.slow
def test_the_recipe_of_a_synced_build_is_fitted_on_what_is_there_now(ours):
    folder, home = ours
    for number in (70, 71):
        picture(1, number).save(folder / "class 1" / f"{number}.png")
    run_cli("sync", "--build", "photos", "--home", home, check=0)
    before = record_of(home, "photos")
    done = run_cli(*FIT, "--name", "bad", "--home", home, check=2)
    assert "error: build photos was synced after it was built" in done.stderr
    run_cli(*said(done, r"hint: (simsearch .*) trains by its recipe"), check=0)
    assert normals(told_of(home, "bad")) == 12
    assert record_of(home, "photos") == before


@pytest.mark.slow
def test_the_command_that_makes_a_fit_anew_makes_a_fit(ours):
    home = ours[1]
    run_cli(*FIT, "--home", home, check=0)
    command = Home(home).build("photos-defects").retrain()
    how, settings = command.split(" --set ", 1)
    assert how.endswith("--normal 'class 1' --method mean --false-alarms 0.4")
    assert settings.endswith(f"--name photos-defects --retrain --home {home}")
    before = record_of(home)["recipe"]
    run_cli(*shlex.split(command)[1:], check=0)
    assert record_of(home)["recipe"] == before, "every setting is named"
    assert told_of(home)["normal"] == "class 1"
    assert Home(home).build("photos").retrain().startswith("simsearch build ")


def test_a_rate_of_a_setting_or_of_a_recipe_is_kept(tmp_path):
    """Without --false-alarms the default stands only where nothing else tells the rate."""
    (tmp_path / "flat").mkdir()
    for number in range(24):
        picture(1, number).save(tmp_path / "flat" / f"{number:02d}.png")
    recipe = tmp_path / "flat.toml"
    recipe.write_text('[dataset]\nsource = "folder:flat"\n[defects]\nfalse_alarms = 0.2\n')
    home, few = tmp_path / "home", [*SMALL[:4], "--set", "defects.method=mean", "--home", tmp_path / "home"]
    run_cli("defects", "fit", recipe, *few, check=0)
    assert told_of(home, "flat-defects")["false_alarms"] == 0.2
    run_cli("defects", "fit", tmp_path / "flat", *few, "--set", "defects.false_alarms=0.1", "--name", "other", check=0)
    assert told_of(home, "other")["false_alarms"] == 0.1
    assert "of 0.01 needs" in run_cli("defects", "fit", tmp_path / "flat", *few, "--name", "none", check=2).stderr
