"""[run] device: what trains and embeds. No GPU was at hand: torch's CPU stands for a device that ONNX Runtime lacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import SMALL, run_cli, snapshot, write_folder

from simsearch.artifacts import Workspace
from simsearch.console import Progress
from simsearch.embedder.bundle import on_device
from simsearch.embedder.bundle.export import export_onnx
from simsearch.embedder.bundle.on_device import OnDevice
from simsearch.embedder.bundle.runtime import Runtime
from simsearch.embedder.networks.embedder import build_embedder
from simsearch.embedder.networks.saving import save_weights
from simsearch.embedder.training import precision
from simsearch.embedder.training.precision import choose_device, named
from simsearch.errors import EmbedderError
from simsearch.hashing import HashMemory
from simsearch.home import Home
from simsearch.images.sources.opening import open_source
from simsearch.pipeline.estimate import forecast
from simsearch.recipe.files import find_recipe
from simsearch.stages import embed as stage
from simsearch.stages import training
from simsearch.stages.common import Data
from simsearch.vectors.features import FeatureFile


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine on which torch finds neither."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.mps, "is_available", lambda: False)


def test_devices_by_name(no_gpu):
    assert [choose_device(name).type for name in ("auto", "cpu")] == ["cpu", "cpu"]
    assert named(choose_device("cpu")) == "cpu"


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_before_any_work(name, no_gpu, tmp_path):
    folder = write_folder(tmp_path / "photos")
    done = run_cli("build", folder, *SMALL, "--set", f"run.device={name}", "--home", tmp_path / "home", check=2)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    gpu = {"cuda": "NVIDIA GPU", "mps": "GPU of Apple"}[name]
    assert line == f'error: [run] device = "{name}": no {gpu} found by torch {torch.__version__}'
    assert "hint: --set run.device=cpu" in done.stderr
    assert not list((tmp_path / "home").glob("artifacts/*/*"))
    with pytest.raises(EmbedderError, match="found by torch"):
        forecast(find_recipe(str(folder), [*SMALL[1::2], f"run.device={name}"]), Home(tmp_path / "home"))
    shown = run_cli("show", folder, *SMALL, "--set", f"run.device={name}", "--home", tmp_path / "home", check=0)
    assert f'device = "{name}"' in shown.stdout


def test_the_device_enters_no_address(copy_of_built):
    folder, home = copy_of_built
    before = snapshot(home)
    done = run_cli("build", folder, *SMALL, "--set", "run.device=cpu", "--home", home, check=0)
    assert "photos is up to date" in done.stderr
    assert snapshot(home) == before


@pytest.mark.parametrize("name", ["gpu", "GPU", "cuda:0", "CUDA"])
def test_an_unknown_device_is_told_what_there_is(name, tmp_path):
    done = run_cli("build", "digits", "--set", f"run.device={name}", "--home", tmp_path, check=2)
    assert f"""expected "auto" or "cpu" or "cuda" or "mps", seen '{name}'; did you mean 'cuda'?\n""" in done.stderr
    assert f"hint: simsearch build digits --set run.device=cuda --home {tmp_path}\n" in done.stderr
    far = run_cli("build", "digits", "--set", "run.device=abacus", "--home", tmp_path, check=2).stderr
    assert "did you mean" not in far
    assert "hint: as --set run.device=auto\n" in far


@pytest.mark.parametrize("dim", [None, 8])
def test_weights_in_torch_give_what_the_bundle_gives(dim, tmp_path):
    model = build_embedder("conv4", dim, seed=3, size=16)
    save_weights(model, tmp_path / "weights.safetensors", mean=[0.5], std=[0.25])
    export_onnx(model, tmp_path / "embedder.onnx")
    there = OnDevice(tmp_path / "weights.safetensors", torch.device("cpu"))
    bundle = Runtime(tmp_path / "embedder.onnx", threads=1)
    assert (there.dim, there.input_shape) == (bundle.dim, bundle.input_shape)
    batch = np.random.default_rng(0).normal(size=(5, 1, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(there.features(batch), bundle.features(batch), atol=1e-5)


def embedded(built, out, device, monkeypatch):
    """(facts, features) of the finished build's rows, embedded again on what stands for a device."""
    folder, home = built
    monkeypatch.setattr(stage, "DEVICES", ("cpu",))
    store, record = Home(home).store, Home(home).build("photos").record
    dataset, trained = (store.open(kind, **record.stages[kind]) for kind in ("dataset", "train"))
    source = open_source(
        f"folder:{folder}", home_datasets=out, options={}, exclude=[], root=None, base=out, memory=HashMemory(None)
    )
    space = Workspace(out / "out", out / "scratch")
    space.out.mkdir()
    space.scratch.mkdir()
    said = []
    progress = Progress()
    monkeypatch.setattr(progress, "say", said.append)
    step = stage.embed(Data(dataset, source.reader()), trained, None, device=device)
    assert step.digest == record.stages["embed"]["digest"]
    facts, _ = step.work(space, progress)
    with (
        FeatureFile(space.out / "features.h5") as file,
        FeatureFile(store.open("embed", **record.stages["embed"]).file("features.h5")) as before,
    ):
        return facts, file.read(0, 30), before.read(0, 30), said


def test_a_device_embeds_where_it_agrees_with_the_bundle(built, tmp_path, monkeypatch):
    facts, found, before, said = embedded(built, tmp_path, "cpu", monkeypatch)
    assert facts["through"] == "torch on cpu"
    np.testing.assert_allclose(found, before, atol=1e-4)
    assert not np.array_equal(found, before), "torch did not compute these"
    assert said == []


def test_a_device_that_disagrees_is_left(built, tmp_path, monkeypatch):
    class Wrong(OnDevice):
        def features(self, batch):
            return super().features(batch) + np.float32(0.5)

    monkeypatch.setattr(on_device, "OnDevice", Wrong)
    facts, found, before, said = embedded(built, tmp_path, "cpu", monkeypatch)
    assert facts["through"] == "onnxruntime"
    assert "device" not in facts
    assert np.array_equal(found, before)
    assert said == ["cpu gives other features than the ONNX file: embedding without it"]


def test_a_build_on_a_device_says_so(built, tmp_path, monkeypatch):
    asked = []
    folder, home = built
    monkeypatch.setattr(precision, "choose_device", lambda device: torch.device("cpu"))
    monkeypatch.setattr(training, "choose_device", lambda device: asked.append(device) or torch.device("cpu"))
    done = run_cli("build", folder, *SMALL, "--set", "run.device=cuda", "--home", tmp_path, check=0)
    assert "\nDevice: cpu\n" in f"\n{done.stderr}", "as it is called, which here is another"
    assert set(asked) == {"cuda"}
    embedded = Home(tmp_path).build("photos").record.stages["embed"]
    manifest = Home(tmp_path).store.open("embed", **embedded).manifest
    assert (manifest["device"], manifest["facts"]["through"]) == ("cuda", "torch on cuda")
    assert embedded["digest"] == Home(home).build("photos").record.stages["embed"]["digest"]
    assert (
        "cuda" in run_cli("show", "photos", "--home", tmp_path, check=0).stdout.partition("# embed")[2].splitlines()[0]
    )


def test_the_bundle_embeds_unless_a_device_is_asked_for(built, tmp_path, monkeypatch):
    facts, found, before, _ = embedded(built, tmp_path, "auto", monkeypatch)
    assert facts["through"] == "onnxruntime"
    assert np.array_equal(found, before)
