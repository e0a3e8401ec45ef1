"""Defects by patches: fitted, scored, drawn; a detector that knows no places says so."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from conftest import run_cli
from onnx import TensorProto, helper, numpy_helper
from pages import Reader
from PIL import Image
from serving import served

import simsearch
from simsearch.defects.bank import PatchBank
from simsearch.errors import RecipeError
from simsearch.recipe.files import find_recipe

SIDE = 64


def network() -> bytes:
    """Four convolutions of random weights, to stride 16, and their mean."""
    random, nodes, weights, last, wide = np.random.default_rng(0), [], [], "image", 3
    for number, width in enumerate((8, 8, 12, 16)):
        weights.append(
            numpy_helper.from_array(random.normal(0, 0.3, (width, wide, 3, 3)).astype(np.float32), f"w{number}")
        )
        shape = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [2, 2]}
        nodes.append(helper.make_node("Conv", [last, f"w{number}"], [f"c{number}"], **shape))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        last, wide = f"r{number}", width
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["feature"]))
    taken = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    given = helper.make_tensor_value_info("feature", TensorProto.FLOAT, ["batch", 16])
    graph = helper.make_graph(nodes, "small", [taken], [given], weights)
    opset = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())


def surface(number: int, *, spot: bool = False, side: int = 96) -> Image.Image:
    """Waves with noise, on one of them a dark spot of 8 x 8 at (40, 56)."""
    random = np.random.default_rng(number)
    values = 120 + 10 * np.sin(np.arange(side) / 4)[None] + random.normal(0, 4, (side, side))
    if spot:
        values[40:48, 56:64] = 20
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def settings(folder):
    (folder / "small.onnx").write_bytes(network())
    words = [f"embedder.backbone=onnx:{folder}/small.onnx", "images.mean=[0.5,0.5,0.5]", "images.std=[0.25,0.25,0.25]"]
    words += ["evaluation.map=false", "defects.patch.sides=[64,96]", "defects.patch.bank=150"]
    return [word for one in words for word in ("--set", one)]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """(folder of normal and bad pictures, home) of good-defects, by patches; to be left as it is."""
    root = tmp_path_factory.mktemp("patches")
    for kind, count in (("good", 24), ("bad", 4)):
        (root / kind).mkdir()
        for number in range(count):
            surface(number + 100 * (kind == "bad"), spot=kind == "bad").save(root / kind / f"{number:02d}.png")
    words = ["--method", "patch", "--false-alarms", "0.1", *settings(root)]
    done = run_cli("defects", "fit", root / "good", *words, "--home", root / "home", check=0)
    assert "Defects       patch of 24 normal images, threshold by 24 images, each left out in turn" in done.stderr
    return root, root / "home", words


def test_a_small_spot_is_found_and_drawn(fitted, tmp_path):
    root, home, _ = fitted
    done = run_cli("defects", "score", root / "bad", "--json", "--heatmap", tmp_path / "heat", "--home", home, check=0)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["defective"] for one in found] == [True] * 4
    assert {one["method"] for one in found} == {"patch"}
    assert sorted(path.name for path in (tmp_path / "heat").iterdir()) == [f"0{number}.png" for number in range(4)]
    drawn = np.asarray(Image.open(tmp_path / "heat" / "00.png")).astype(int)
    assert drawn.shape == (108, 108, 3)
    coloured = np.abs(drawn[6:-6, 6:-6] - drawn[6:-6, 6:-6].mean(axis=2, keepdims=True)).sum(axis=2)
    row, column = np.unravel_index(coloured.argmax(), coloured.shape)
    assert (abs(row - 44) < 20, abs(column - 60) < 20) == (True, True), "where the spot is"
    with simsearch.open_detector(home=str(home)) as detector:
        assert [one.to_json(line["image"]) for one, line in zip(
            detector.score([line["image"] for line in found]), found, strict=True
        )] == found  # fmt: skip
        assert (detector.overlay(root / "bad" / "00.png") == drawn).all()


def test_a_picture_is_decoded_once_to_be_scored_and_drawn(fitted, monkeypatch):
    root, home, _ = fitted
    decoded, load = [], simsearch.search.detector.load
    monkeypatch.setattr("simsearch.search.detector.load", lambda *asked: (decoded.append(asked[0]), load(*asked))[1])
    paths, drawn = [str(root / "bad" / f"0{number}.png") for number in range(2)], {}
    with simsearch.open_detector(home=str(home)) as detector:
        found = list(detector.each(paths, drawn.__setitem__))
        assert decoded == paths
        assert [one for _, one in found] == detector.score(paths)
        assert all((drawn[path] == detector.overlay(path)).all() for path in paths)


def test_pictures_of_one_name_are_drawn_apart(fitted, tmp_path):
    root, home, _ = fitted
    images = [root / "good" / "00.png", root / "bad" / "00.png"]
    run_cli("defects", "score", *images, "--heatmap", tmp_path / "heat", "--home", home, check=0)
    assert sorted(path.name for path in (tmp_path / "heat").iterdir()) == ["00-2.png", "00.png"]


def test_scores_that_set_the_threshold_are_those_without_the_own_picture(fitted):
    root, home, _ = fitted
    (folder,) = home.glob("artifacts/defects/[0-9a-f]*")
    told = json.loads((folder / "defects.json").read_bytes())
    with np.load(folder / "detector.npz", allow_pickle=False) as arrays:
        bank = PatchBank.from_arrays(dict(arrays))
    assert [len(scale.patches) for scale in bank.scales] == [150, 150]
    onnx.load_model_from_string((folder / "maps.onnx").read_bytes())
    with simsearch.open_detector(home=str(home)) as detector:
        own = [one.score for one in detector.score(sorted((root / "good").iterdir()))]
    assert np.mean(told["calibration"]["scores"]) > np.mean(own)


def test_the_same_fit_gives_the_same_bytes_and_other_sides_another_build(fitted):
    root, home, words = fitted
    assert "up to date" in run_cli("defects", "fit", root / "good", *words, "--home", home, check=0).stderr
    before = set(home.glob("artifacts/defects/[0-9a-f]*"))
    run_cli(
        "defects", "fit", root / "good", *words, "--set", "defects.patch.sides=[64]", "--name", "one", "--home", home
    )
    (more,) = set(home.glob("artifacts/defects/[0-9a-f]*")) - before
    with np.load(more / "detector.npz", allow_pickle=False) as arrays:
        assert len(arrays["scales"]) == 1
    run_cli("clean", "one", "--home", home, check=0)


def test_a_picture_of_another_size_or_colour_is_refused_in_a_line(fitted, tmp_path):
    root, home, _ = fitted
    surface(1, side=300).save(tmp_path / "large.png")
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (96, 96, 3)).astype(np.uint8)).save(tmp_path / "colour.png")
    paths = [tmp_path / "large.png", tmp_path / "colour.png", root / "good" / "00.png"]
    done = run_cli("defects", "score", *paths, "--json", "--home", home, check=2)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    why = "large.png: cannot be scored: it is 300 x 300 px, and the normal pictures are 96 x 96 px"
    assert found[0]["error"].endswith(why)
    assert found[1]["error"].endswith("cannot be scored: it is in colour, and the normal pictures are gray")
    assert not found[2]["defective"]


def test_what_has_no_places_says_so(fitted, tmp_path):
    root, home, words = fitted
    run_cli("defects", "fit", root / "good", "--method", "mean", *words[2:], "--name", "whole", "--home", home, check=0)
    done = run_cli("defects", "score", root / "bad", "--name", "whole", "--heatmap", tmp_path, "--home", home, check=2)
    assert "error: build whole scores whole pictures (method mean): it does not know where" in done.stderr
    with simsearch.open_detector("whole", home=str(home)) as detector, pytest.raises(RecipeError, match="where"):
        detector.overlay(root / "bad" / "00.png")
    run_cli("clean", "whole", "--home", home, check=0)


def test_a_table_within_the_table(tmp_path):
    (tmp_path / "x.toml").write_text(
        '[dataset]\nsource = "digits"\n[defects]\nmethod = "patch"\n[defects.patch]\nbank = 9\n'
    )
    patch = find_recipe(str(tmp_path / "x.toml"), ["defects.patch.worst=2"]).recipe.defects.patch
    assert (patch.bank, patch.worst, patch.sides) == (9, 2, [104, 144, 192, 288])
    for wrong, said in (
        ("defects.patch.bnk=3", "unknown key 'patch.bnk' in [defects]"),
        ("defects.patch.bank=0.5", "[defects] patch.bank: expected a whole number, 2 to 1000000, seen 0.5"),
        ("defects.patch.sides=[64, 64]", "[defects] patch.sides: expected different whole numbers above 0"),
        ("defects.patch=3", "[defects] patch: expected a table"),
    ):
        with pytest.raises(RecipeError) as caught:
            find_recipe("digits", [wrong])
        assert said in caught.value.message
    asked = [find_recipe("digits", ["defects.method=mean", *more]).recipe.defects.settings()
             for more in ([], ["defects.patch.bank=7"])]  # fmt: skip
    assert asked[0] == asked[1], "what is not looked at enters no address"


def test_shots_of_one_thing_are_said_to_flatter(tmp_path):
    folder = tmp_path / "shots"
    folder.mkdir()
    for number in range(60):
        for shot in range(2):
            values = np.asarray(surface(number, side=64)).astype(np.float64)
            values += np.random.default_rng(1000 + 2 * number + shot).normal(0, 0.3, values.shape)
            Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(folder / f"{number:02d}_shot{shot}.png")
    words = [
        "defects",
        "fit",
        folder,
        *settings(tmp_path),
        "--method",
        "mean",
        "--false-alarms",
        "0.1",
        "--home",
        tmp_path / "home",
    ]
    assert "warning: optimistic: " in run_cli(*words, check=0).stderr
    assert "optimistic" not in run_cli(*words, "--set", r"dataset.group=(\d+)_shot", check=0).stderr


def told_of(home, name):
    digest = json.loads((home / "builds" / f"{name}.json").read_bytes())["stages"]["defects"]["digest"]
    return json.loads((home / "artifacts" / "defects" / digest / "defects.json").read_bytes())


def test_a_method_is_chosen_by_made_defects_or_by_those_at_hand(fitted, tmp_path):
    root, home, words = fitted
    done = run_cli("defects", "fit", root / "good", *words[2:], "--name", "chosen", "--home", home, check=0)
    told = told_of(home, "chosen")
    assert told["chosen"]["synthetic"]
    assert set(told["chosen"]["figures"]) == {"mean", "neighbours", "mahalanobis", "means", "patch"}
    assert f"Method {told['method']}: image AUROC " in done.stderr
    assert "made by cut and paste" in done.stderr
    run_cli("clean", "chosen", "--home", home, check=0)
    for kind, count in (("good", 40), ("bad", 12)):
        (tmp_path / "both" / kind).mkdir(parents=True)
        for number in range(count):
            surface(number + 100 * (kind == "bad"), spot=kind == "bad").save(tmp_path / "both" / kind / f"{number}.png")
    words = ["--normal", "good", *words[2:], "--set", "training.epochs=0", "--home", tmp_path / "home"]
    run_cli("defects", "fit", tmp_path / "both", *words, check=0)
    told = told_of(tmp_path / "home", "both-defects")
    assert not told["chosen"]["synthetic"]
    assert told["method"] == max(told["chosen"]["figures"], key=lambda name: round(told["chosen"]["figures"][name], 3))
    assert told["test"]["defective"] == 2, "those that chose the method are not tried"
    fixed = run_cli("defects", "fit", tmp_path / "both", *words, "--method", "patch", "--name", "fixed", check=0)
    assert told_of(tmp_path / "home", "fixed")["test"]["defective"] == 12
    assert "Image AUROC 1.000" in fixed.stderr
    page = (tmp_path / "home" / "builds" / "fixed" / "report.html").read_text()
    read = Reader(page)
    words = " ".join(" ".join(read.words).split())
    assert "Defects Threshold " in words
    assert "Image AUROC 1.000" in words
    assert "Surest defects" in words
    assert (
        "Normal, and called defective" not in words
        or told_of(tmp_path / "home", "fixed")["test"]["false_alarms"]["share"]
    )
    assert 'id="defect-scores-title"' in page


def test_few_normal_images_choose_no_method(tmp_path):
    (tmp_path / "few").mkdir()
    for number in range(6):
        surface(number).save(tmp_path / "few" / f"{number}.png")
    words = [
        "defects",
        "fit",
        tmp_path / "few",
        *settings(tmp_path),
        "--false-alarms",
        "0.2",
        "--home",
        tmp_path / "home",
    ]
    assert "Method mean: fewer than 10 groups" in run_cli(*words, check=0).stderr


@pytest.mark.parametrize("method", ["neighbours", "patch"])
def test_a_sync_fits_the_scores_again(tmp_path, method):
    folder, home = tmp_path / "good", tmp_path / "home"
    folder.mkdir()
    for number in range(24):
        surface(number).save(folder / f"{number:02d}.png")
    words = ["defects", "fit", folder, "--method", method, "--false-alarms", "0.1", *settings(tmp_path)]
    run_cli(*words, "--home", home, check=0)
    assert told_of(home, "good-defects")["fit"]["images"] == 24
    (folder / "03.png").unlink()
    surface(50).save(folder / "50.png")
    surface(51).save(folder / "51.png")
    run_cli("sync", "--build", "good-defects", "--home", home, check=0)
    told = told_of(home, "good-defects")
    assert told["fit"]["images"] == told["calibration"]["images"] == 25
    run_cli("index", "verify", "good-defects", "--home", home, check=0)
    found = run_cli("defects", "score", folder / "50.png", "--json", "--home", home, check=0)
    run_cli(*words, "--name", "anew", "--home", home, check=0)
    other = run_cli("defects", "score", folder / "50.png", "--name", "anew", "--json", "--home", home, check=0)
    if method == "neighbours":  # of a bank the order of rows decides which patches are drawn
        assert json.loads(found.stdout)["score"] == pytest.approx(json.loads(other.stdout)["score"], abs=1e-6)
    assert "up to date" in run_cli("sync", "--build", "good-defects", "--home", home, check=0).stderr


@pytest.mark.parametrize("rate", ["0.1", "0.2"])
@pytest.mark.parametrize("wrong", [7, 12])
def test_a_defect_among_the_normal_images_is_named(tmp_path, rate, wrong):
    """Be it among those that set the threshold (each left out in turn, or a part), or those that are fitted on."""
    (tmp_path / "mixed").mkdir()
    for number in range(24):
        surface(number, spot=number == wrong).save(tmp_path / "mixed" / f"{number:02d}.png")
    words = ["defects", "fit", tmp_path / "mixed", "--method", "patch", "--false-alarms", rate, *settings(tmp_path)]
    done = run_cli(*words, "--home", tmp_path / "home", check=2)
    assert f"error: 1 of 24 normal images are far from all others: {wrong:02d}.png" in done.stderr
    assert "hint: look at them: " in done.stderr
    run_cli(*words, "--set", "defects.outliers=keep", "--home", tmp_path / "home", check=0)


def test_a_server_scores_and_draws_as_the_command_does(fitted):
    root, home, _ = fitted
    path = next((root / "bad").rglob("*.png"), None) or next(root.rglob("*.png"))
    expected = json.loads(run_cli("defects", "score", path, "--json", "--home", home).stdout)
    with served(home, "good-defects") as server:
        reply = server.form("/v1/builds/good-defects/defects", image=("x.png", path.read_bytes()))
        assert reply.json["score"] == pytest.approx(expected["score"], abs=1e-5)
        drawn = server.form("/v1/builds/good-defects/defects?heatmap=true", image=("x.png", path.read_bytes()))
        assert drawn.headers["content-type"] == "image/png"
        assert drawn.body.startswith(b"\x89PNG")
