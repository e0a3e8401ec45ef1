"""What a network starts from is files of the user's: others in their place are never taken for those that were read."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import picture, retrains, run_cli, write_folder
from onnx import external_data_helper, numpy_helper
from test_backbone_stage import PIXELS, sets
from test_embedder_onnx_files import model

from simsearch.artifacts import Artifact, digest_of
from simsearch.embedder.networks.embedder import build_embedder
from simsearch.embedder.networks.saving import save_weights
from simsearch.errors import EmbedderError
from simsearch.hashing import sha256_file
from simsearch.home import Home
from simsearch.pipeline import standing
from simsearch.pipeline.systems import NOT_HERE, weights_digest
from simsearch.recipe.tables import Embedder
from simsearch.stages import network, training
from simsearch.stages.starting import Starting

QUICK = ["evaluation.map=false", "evaluation.baseline=false"]


def write_model(path: Path, factor: float = 1.0, *, beside: bool = False) -> Path:
    """An ONNX file whose weights are so many times those of the first, in a file `beside` it where asked."""
    proto = model(side=16)
    weight = proto.graph.initializer[0]
    weight.raw_data = (numpy_helper.to_array(weight) * factor).tobytes()
    if beside:
        external_data_helper.set_external_data(weight, location=f"{path.name}.data")
        path.with_name(f"{path.name}.data").write_bytes(weight.raw_data)
        weight.ClearField("raw_data")
    path.write_bytes(proto.SerializeToString())
    return path


def write_weights(path: Path, seed: int = 0) -> Path:
    save_weights(build_embedder("mnist_cnn", None, seed=seed), path, mean=[0.5], std=[0.25])
    return path


def onnx_file(folder):
    path = write_model(folder / "model.onnx")
    return path, [f"embedder.backbone=onnx:{path}", *PIXELS, "training.epochs=0"], lambda: write_model(path, 2.0)


def onnx_data(folder):
    path = write_model(folder / "model.onnx", beside=True)
    data = path.with_name("model.onnx.data")
    other = write_model(folder / "other.onnx", 2.0, beside=True).with_name("other.onnx.data")
    return path, [f"embedder.backbone=onnx:{path}", *PIXELS, "training.epochs=0"], lambda: os.replace(other, data)


def file_below_head(folder):
    path = write_weights(folder / "w.safetensors")
    keys = ["embedder.backbone=mnist_cnn", f"embedder.weights={path}", "training.epochs=0"]
    return path, keys, lambda: write_weights(path, seed=1)


def file_trained(folder):
    path = write_weights(folder / "w.safetensors")
    keys = ["embedder.backbone=mnist_cnn", f"embedder.weights={path}", "embedder.train=all", "training.epochs=1"]
    return path, keys, lambda: write_weights(path, seed=1)


@pytest.mark.parametrize("kind", [onnx_file, onnx_data, file_below_head, file_trained])
def test_a_model_replaced_while_pictures_are_read_is_refused_and_leaves_nothing(kind, photos, home, monkeypatch):
    path, keys, replace = kind(photos.parent)
    asked = ["build", photos, *sets(*keys, *QUICK), "--home", home]
    made_for = network.made_for

    def looked_at(*arguments):
        replace()
        return made_for(*arguments)

    for stage in (network, training):
        monkeypatch.setattr(stage, "made_for", looked_at)
    done = run_cli(*asked, check=2)
    shown = path if path.suffix == ".safetensors" else "onnx:model.onnx"
    assert f"{shown} changed while it was built: nothing that was made of it is kept" in done.stderr
    assert "hint: run the same command again" in done.stderr
    assert not [*home.glob("artifacts/backbone/[0-9a-f]*"), *home.glob("artifacts/train/[0-9a-f]*")]
    monkeypatch.undo()
    run_cli(*asked, check=0)


def test_an_error_that_the_change_brought_about_gives_way_to_it():
    held = Starting("a", lambda: "b", "model").held
    with pytest.raises(EmbedderError, match="model changed"), held():
        raise ValueError("half a file")
    gone = Starting("a", lambda: os.fspath(os.stat("/nowhere")), "model").held
    with pytest.raises(EmbedderError, match="model changed"), gone():
        pass
    same = Starting("a", lambda: "a", "model").held
    with pytest.raises(ValueError, match="half a file"), same():
        raise ValueError("half a file")
    with same():
        pass


def test_settings_beside_a_model_are_proved_anew_where_they_changed(tmp_path):
    path, home = write_model(tmp_path / "model.onnx"), Home(tmp_path / "home")
    table = Embedder(backbone=f"onnx:{path}", weights="default")
    before = weights_digest(table, home, None)
    assert before == digest_of([sha256_file(path)]), "without such a file addresses stay"
    said = {"input_size": [3, 16, 16], "mean": [0.4] * 3, "std": [0.2] * 3, "crop_pct": 1}
    settings = path.with_name("preprocess_cfg.json")
    settings.write_text(json.dumps(said))
    first = weights_digest(table, home, None)
    assert table.spec.own["mean"] == [0.4] * 3, "it is read anew"
    settings.write_text(json.dumps({**said, "labels": 9}))
    assert len({before, first, weights_digest(table, home, None)}) == 3
    now = weights_digest(table, home, None)
    (more := path.with_name("processor_config.json")).write_text("{}")
    assert weights_digest(table, home, None) != now, "transformers may read it too"
    settings.unlink()
    more.unlink()
    assert weights_digest(table, home, None) == before


@pytest.fixture(scope="module")
def synced(tmp_path_factory):
    """(folder, home, model, the command that built it) of a build on an ONNX file, synced since; to be left so."""
    root = tmp_path_factory.mktemp("synced")
    folder, path = write_folder(root / "photos"), write_model(root / "model.onnx")
    keys = [f"embedder.backbone=onnx:{path}", *PIXELS, "training.epochs=0", *QUICK]
    command = ["build", folder, *sets(*keys), "--home", root / "home"]
    run_cli(*command, check=0)
    picture(7, 70).save(folder / "class 1" / "new.png")
    run_cli("sync", folder, "--home", root / "home", check=0)
    return folder, root / "home", path, command


def test_a_synced_build_says_that_its_model_changed(synced):
    _, _, path, command = synced
    first = path.read_bytes()
    assert "changed since" not in run_cli(*command, check=0).stderr
    try:
        write_model(path, 2.0)
        said = run_cli(*command, check=0).stderr
    finally:
        path.write_bytes(first)
    assert "photos is up to date, synced" in said
    assert "onnx:model.onnx changed since photos was built: simsearch build" in said
    assert said.count("--retrain trains anew by what is there now") == 1


def test_a_synced_build_without_its_backbone_is_no_loop(synced, tmp_path):
    folder, home, _, command = synced
    other = tmp_path / "home"
    shutil.copytree(home, other)
    command = [*command[:-1], other]
    backbone = next(other.glob("artifacts/backbone/[0-9a-f]*"))
    backbone.rename(tmp_path / "away")
    asked = run_cli("query", folder / "class 1" / "04.png", "--home", other, check=2).stderr
    assert re.search(retrains(folder, other), asked)
    built = run_cli(*command, check=2).stderr
    assert f"{backbone} is missing" in built
    assert "--retrain makes all of it anew" in built
    verified = run_cli("index", "verify", "photos", "--home", other, check=1).stdout
    assert [line.split()[1] for line in verified.splitlines() if "is missing" in line] == ["backbone"]
    run_cli(*command, "--retrain", check=0)
    run_cli("query", folder / "class 1" / "04.png", "--home", other, check=0)


@pytest.mark.parametrize(
    ("before", "now", "said"), [("a", "b", True), ("a", "a", False), ("a", NOT_HERE, False), (None, "a", False)]
)
def test_what_is_not_known_is_no_change(before, now, said):
    settings = {"embedder": {"weights": before}} if before else {"head": None}
    assert standing._changed(Artifact(Path("train"), {"settings": settings}), now) is said
