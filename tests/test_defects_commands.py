"""simsearch defects fit and score: builds of normal images, thresholds, groups, bad input; the same from Python."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from conftest import artifact_file, picture, run_cli, write_folder

import simsearch
from simsearch.defects.conformal import groups_needed
from simsearch.errors import RecipeError, SimsearchError, VectorsError
from simsearch.images.records import ImageRecord, read_records
from simsearch.recipe.defects import Defects
from simsearch.recipe.files import find_recipe
from simsearch.recipe.recipe import with_defaults
from simsearch.stages.normals import LEFT_OUT, SPLIT, check_normals, parts
from simsearch.vectors.features import FeatureFile

FROZEN = ["--set", "embedder.backbone=mnist_cnn", "--set", "embedder.weights=none", "--set", "evaluation.map=false"]
MEAN = [*FROZEN, "--method", "mean"]
FIT = ["defects", "fit", "--build", "photos", "--normal", "class 1", "--false-alarms", "0.4", "--method", "mean"]


@pytest.fixture(scope="module")
def fitted(built, tmp_path_factory):
    """(folder, home, what fit said) of `photos`, and of photos-defects: class 1 is normal; to be left as it is."""
    home = tmp_path_factory.mktemp("fitted") / "home"
    shutil.copytree(built[1], home)
    return built[0], home, run_cli(*FIT, "--home", home, check=0)


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """(folder, home) of 24 normal pictures without labels, and the build flat-defects of them."""
    root = tmp_path_factory.mktemp("flat")
    (root / "flat").mkdir()
    for number in range(24):
        picture(1, number).save(root / "flat" / f"{number:02d}.png")
    run_cli(
        "defects",
        "fit",
        root / "flat",
        *FROZEN,
        "--method",
        "mean",
        "--false-alarms",
        "0.1",
        "--home",
        root / "home",
        check=0,
    )
    return root / "flat", root / "home"


def stages_of(home, name):
    return json.loads((home / "builds" / f"{name}.json").read_bytes())["stages"]


def told_of(home, name):
    digest = stages_of(home, name)["defects"]["digest"]
    return json.loads((home / "artifacts" / "defects" / digest / "defects.json").read_bytes())


def scores_of(*arguments):
    done = run_cli("defects", "score", *arguments, "--json")
    return [json.loads(line) for line in done.stdout.splitlines()], done


def test_a_fit_is_a_build_that_shares_the_artifacts_of_its_own(fitted):
    _, home, done = fitted
    assert done.stdout == f"{home}/builds/photos-defects/report.html\n"
    assert "Defects       mean of 7 normal images, threshold by 2 images" in done.stderr
    assert "Threshold " in done.stderr
    assert "Next: simsearch defects score IMAGE --name photos-defects" in done.stderr
    before, made = stages_of(home, "photos"), stages_of(home, "photos-defects")
    assert list(made)[-3:] == ["defects", "evaluate", "verdict"]
    assert {stage: made[stage] for stage in before} == before
    again = run_cli(*FIT, "--home", home, check=0).stderr
    assert "photos-defects is up to date" in again
    assert json.loads(run_cli(*FIT, "--json", "--home", home, check=0).stdout) == told_of(home, "photos-defects")
    shown = run_cli("show", "photos-defects", "--home", home, check=0).stdout
    assert '[defects]\n# The label of the normal images.\nnormal = "class 1"' in shown
    assert "ok  defects" in run_cli("index", "verify", "photos-defects", "--home", home, check=0).stdout
    assert run_cli("evaluate", "photos-defects", "--home", home, check=0).stdout
    assert "[defects]" not in run_cli("show", "photos", "--home", home, check=0).stdout


def test_the_mean_method_is_ten_lines_of_numpy(fitted):
    folder, home, _ = fitted
    with FeatureFile(artifact_file(home, "embed", "features.h5")) as file:
        features = file.read(0, file.shape[0]).astype(np.float64)
    records = list(read_records(artifact_file(home, "dataset", "images.csv").parent))
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    mean = units[[r.label == "class 1" and r.fit for r in records]].mean(axis=0)
    distances = np.linalg.norm(units - mean / np.linalg.norm(mean), axis=1)
    wanted = {f"{folder}/{r.image}": distance for r, distance in zip(records, distances, strict=True)}
    found, _ = scores_of(folder, "--home", home)
    assert {line["image"] for line in found} == wanted.keys()
    np.testing.assert_allclose([one["score"] for one in found], [wanted[one["image"]] for one in found], atol=1e-5)
    told = told_of(home, "photos-defects")
    counted = [r.row for r in records if r.label == "class 1" and not r.fit]
    assert set(np.round(told["calibration"]["scores"], 5)) <= set(np.round(distances[counted], 5))


def test_scores_of_the_command_line_are_those_of_python(fitted):
    folder, home, _ = fitted
    found, done = scores_of(folder / "class 0", folder / "class 1", "--name", "photos-defects", "--home", home)
    assert done.returncode == 0
    assert list(found[0]) == ["image", "score", "threshold", "defective", "p_value", "method"]
    with simsearch.open_detector(home=str(home)) as detector:
        scored = detector.score([line["image"] for line in found])
        assert [one.to_json(line["image"]) for one, line in zip(scored, found, strict=True)] == found
        assert detector.score(picture(1, 0)) == detector.score([np.asarray(picture(1, 0))])
    assert [line["defective"] for line in found] == [line["score"] >= line["threshold"] for line in found]
    assert [line["defective"] for line in found] == [line["p_value"] <= 0.4 for line in found]
    assert all(line["defective"] for line in found[:10])
    with pytest.raises(SimsearchError, match="closed"):
        detector.score("x.png")


def test_fail_on_defect_and_what_is_said_of_many(fitted):
    folder, home, _ = fitted
    bad, good = folder / "class 0" / "00.png", folder / "class 1" / "00.png"
    assert run_cli("defects", "score", bad, "--home", home, check=0).stdout.startswith("defective  score ")
    assert run_cli("defects", "score", good, bad, "--fail-on-defect", "--home", home, check=1).stdout.count("\n") == 2
    done = run_cli("defects", "score", "-", "--fail-on-defect", "--home", home, stdin=f"{good}\n")
    assert (done.returncode, done.stdout[:6]) == (0, "normal")
    assert "1 of 2 pictures are defective" in run_cli("defects", "score", good, bad, "--home", home).stderr


def test_a_picture_that_cannot_be_read_has_a_line_of_its_own(fitted, tmp_path):
    _, home, _ = fitted
    (tmp_path / "bad.png").write_bytes(b"%PDF-1.4")
    found, done = scores_of(tmp_path / "bad.png", fitted[0] / "class 1", "--home", home)
    assert done.returncode == 2
    assert found[0]["error"].startswith(f"cannot read {tmp_path}/bad.png")
    assert len(found) == 11
    assert "hint: " in done.stderr


def test_normal_images_without_labels_leave_each_out_in_turn(flat, tmp_path):
    home = flat[1]
    told = told_of(home, "flat-defects")
    assert told["calibration"]["how"] == LEFT_OUT
    assert (told["calibration"]["images"], told["fit"]["images"]) == (24, 24)
    (tmp_path / "new").mkdir()
    for number in range(24):
        picture(1, 100 + number).save(tmp_path / "new" / f"{number:02d}.png")
    found, done = scores_of(tmp_path / "new", "--home", home)
    assert sum(line["defective"] for line in found) <= 8
    assert "warning" not in done.stderr


def test_drift_is_said_of_a_folder_and_not_of_a_few(flat, tmp_path):
    home = flat[1]
    write_folder(tmp_path / "other", labels=1, each=24)
    said = run_cli("defects", "score", tmp_path / "other", "--home", home, check=0).stderr
    assert "warning: these 24 pictures score otherwise than the normal ones" in said
    assert (
        "warning" not in run_cli("defects", "score", tmp_path / "other" / "class 0" / "00.png", "--home", home).stderr
    )


def test_the_layout_of_mvtec_is_understood(tmp_path, home):
    root = tmp_path / "bottle"
    for split, kind, label, count in (("train", "good", 1, 20), ("test", "good", 1, 4), ("test", "cut", 0, 3)):
        (root / split / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture(label, number + 50 * (split == "test")).save(root / split / kind / f"{number:03d}.png")
    (root / "ground_truth" / "cut").mkdir(parents=True)
    for number in range(3):
        picture(5, number).save(root / "ground_truth" / "cut" / f"{number:03d}_mask.png")
    done = run_cli("defects", "fit", root, *MEAN, "--false-alarms", "0.2", "--home", home, check=0)
    told = told_of(home, "bottle-defects")
    assert told["normal"] == "good"
    assert (told["test"]["normal"], told["test"]["defective"], told["test"]["found"]["share"]) == (4, 3, 1.0)
    assert told["test"]["auroc"] == told["test"]["kinds"]["cut"]["auroc"] == 1.0
    assert "Image AUROC 1.000 [1.000, 1.000]" in done.stderr
    assert told["fit"]["images"] + (told["calibration"]["images"] if told["calibration"]["how"] == SPLIT else 0) == 20
    assert "100 % of 3 defective ones" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (
            ["--build", "photos", "--normal", "class1"],
            "no image has the label 'class1'; did you mean",
            "--normal 'class 1'",
        ),
        (["--build", "photos"], "[defects] normal is missing: the images have 3 labels", "defects.normal="),
        (["--build", "photos", "--normal", "class 1"], "needs at least 99 normal images", "or ask for 0.3334"),
        (["FOLDER"], "has images of 3 labels (class 0, class 1, class 2): which one is normal?", "--normal LABEL"),
        (["FOLDER", "--build", "photos"], "give NORMAL_FOLDER or --build NAME, not both", "simsearch defects fit"),
        ([], "give NORMAL_FOLDER or --build NAME", "simsearch defects fit"),
        (["--build", "photos", "--normal", "class 1", "--false-alarms", "1.5"], "expected a number above 0", ""),
        (["FOLDER", "--normal", "class 1", "--method", "nearest"], "'nearest' is not one of", ""),
        (["nowhere"], "no recipe, recipe file or folder 'nowhere'", ""),
    ],
)
def test_what_cannot_be_fitted_is_one_clear_line(fitted, arguments, said, hint):
    folder, home, _ = fitted
    before = sorted(home.glob("artifacts/*/*"))
    done = run_cli(
        "defects", "fit", *(folder if one == "FOLDER" else one for one in arguments), "--home", home, check=2
    )
    error = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert said in error[0]
    assert hint in error[1]
    assert len(error) == 2
    assert sorted(home.glob("artifacts/*/*")) == before


def test_what_cannot_be_scored_is_one_clear_line(built, fitted, tmp_path):
    folder, home, _ = fitted
    image = folder / "class 1" / "00.png"
    assert (
        "build photos has no defect scores"
        in run_cli("defects", "score", image, "--name", "photos", "--home", home, check=2).stderr
    )
    done = run_cli("defects", "score", image, "--home", built[1], check=2)
    assert "has defect scores" in done.stderr
    assert "simsearch defects fit NORMAL_FOLDER" in done.stderr
    assert "no images in" in run_cli("defects", "score", tmp_path, "--home", home, check=2).stderr


def test_equal_normal_pictures_are_refused(tmp_path, home):
    (tmp_path / "same").mkdir()
    for number in range(12):
        picture(1, 0).save(tmp_path / "same" / f"{number}.png")
    done = run_cli(
        "defects",
        "fit",
        tmp_path / "same",
        *FROZEN,
        "--method",
        "mean",
        "--false-alarms",
        "0.2",
        "--home",
        home,
        check=2,
    )
    assert "normal images are equal: no distance from them means anything" in done.stderr


def test_python_takes_what_the_command_takes(fitted):
    home = fitted[1]
    build = simsearch.fit_defects(build="photos", normal="class 1", false_alarms=0.4, home=str(home))
    assert build.record.stages == {**stages_of(home, "photos-defects")}
    with pytest.raises(RecipeError, match="seen neither"):
        simsearch.fit_defects(home=str(home))


def records_of(rows):
    """Records of (label, group, fit, val, query) each."""
    return [
        ImageRecord(row, f"{row}.png", label, fit, val, not query, query, "", group)
        for row, (label, group, fit, val, query) in enumerate(rows)
    ]


def test_no_group_has_two_parts():
    random = np.random.default_rng(0)
    query = random.random(80) < 0.3
    val = ~query & (random.random(80) < 0.2)
    rows = [
        ("good", f"g{g}", not (query[g] or val[g]), bool(val[g]), bool(query[g])) for g in random.integers(0, 80, 500)
    ]
    rows += [("bad", "", False, False, True)] * 30 + [("bad", "", True, False, False)] * 20
    records = records_of(rows)
    for learned in (False, True):
        found = parts(records, Defects(normal="good", method="mean", false_alarms=0.1), learned=learned)
        assert found.how == SPLIT
        sides = [{records[row].group for row in side} for side in (found.fit, found.calibration, found.test)]
        assert all(sides)
        assert not (sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2])
        assert {records[row].label for row in found.defects} == {"bad"}
        assert len(found.defects) == (30 if learned else 50), "what a trained embedder saw tells nothing of new defects"
        assert found.count(found.calibration) == len(sides[1])
        if learned:
            assert not any(records[row].fit for row in (*found.calibration, *found.test))
    few = parts(records, Defects(normal="good", method="mean", false_alarms=0.02), learned=False)
    assert few.how == LEFT_OUT
    assert few.fit.tolist() == few.calibration.tolist()
    assert not {records[row].group for row in few.fit} & {records[row].group for row in few.test}


def test_one_normal_image_is_too_few():
    with pytest.raises(VectorsError, match="at least 2 normal images, seen 1"):
        check_normals(
            records_of([("good", "", True, False, False), ("bad", "", True, False, False)]), Defects(normal="good")
        )
    assert [groups_needed(rate) for rate in (0.01, 0.05, 1 / 3)] == [99, 19, 2]


def test_a_recipe_without_the_table_is_what_it_was():
    plain, asked = (find_recipe("digits", settings).recipe.resolve() for settings in ([], ['defects.normal="3"']))
    assert not plain.finds_defects
    assert asked.finds_defects
    assert "defects" not in plain.model_dump()
    table = asked.model_dump()["defects"]
    assert {**table, "patch": {}} == {
        "normal": "3",
        "method": "auto",
        "false_alarms": 0.01,
        "outliers": "refuse",
        "unseen": [],
        "patch": {},
    }
    assert "defects" not in with_defaults(plain.model_dump())
    assert with_defaults({**plain.model_dump(), "defects": {"normal": "3"}}) == asked.model_dump()


def test_a_kind_that_is_held_out_of_training_is_tried_apart(fitted):
    home = fitted[1]
    words = [*FIT, "--name", "apart", "--set", 'defects.unseen=["class 2"]', "--home", home]
    done = run_cli(*words, check=0)
    assert "class 2: 10 images are neither trained on nor searched in" in done.stderr
    bundle = home / "artifacts" / "train" / stages_of(home, "apart")["train"]["digest"] / "embedder.json"
    assert json.loads(bundle.read_bytes())["classes"] == ["class 0", "class 1"]
    tried = told_of(home, "apart")["test"]
    assert {key: (tried[key]["kinds"], tried[key]["defective"]) for key in ("seen", "unseen")} == {
        "seen": (["class 0"], 2),
        "unseen": (["class 2"], 10),
    }
    assert [tried[key]["auroc"] for key in ("seen", "unseen")] == [
        tried["kinds"][kind]["auroc"] for kind in ("class 0", "class 2")
    ]
    assert f"Kinds never seen (class 2) {tried['unseen']['auroc']:.3f} [" in done.stderr
    assert "unseen" not in told_of(home, "photos-defects")["test"]
