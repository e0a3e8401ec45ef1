"""timm:NAME with timm itself: random weights and files of weights that the test saves, nothing is downloaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import run_cli, run_process
from fake_hub import hub
from PIL import Image

timm = pytest.importorskip("timm", reason="timm is not installed")
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from simsearch.embedder.bundle.export import export_onnx  # noqa: E402
from simsearch.embedder.bundle.runtime import Runtime  # noqa: E402
from simsearch.embedder.networks.embedder import build_embedder  # noqa: E402
from simsearch.embedder.networks.families import find_backbone  # noqa: E402
from simsearch.errors import EmbedderError  # noqa: E402
from simsearch.images.preprocess import LATER, Preprocess  # noqa: E402

pytestmark = pytest.mark.slow
# A convolutional network, whose own classifier is left out, and a transformer, which is made for one side.
NETWORKS = {"test_resnet.r160_in1k": 128, "test_vit.r160_in1k": 64}
HEAVY = ("torch", "torchvision", "timm", "huggingface_hub", "transformers")


def photo(number, height=90, width=120):
    y, x = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(x / a + number) * np.cos(y / b) for a, b in ((3 + number, 5), (7, 2 + number), (4, 9))]
    noise = np.random.default_rng(number).normal(0, 12, (height, width, 3))
    return (np.stack(waves, axis=2) + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of a dozen photos of two labels, those of one alike."""
    root = tmp_path_factory.mktemp("pictures") / "photos"
    for label in (1, 5):
        (root / f"kind {label}").mkdir(parents=True)
        for number in range(6):
            noisy = photo(label).astype(np.int16) + np.random.default_rng(number).integers(-40, 40, (90, 120, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(root / f"kind {label}" / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights for each network, with its classifier of 1,000 labels."""
    folder = tmp_path_factory.mktemp("weights")
    for kind in NETWORKS:
        torch.manual_seed(1)
        model = timm.create_model(kind, pretrained=False, num_classes=1000)
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():  # so that nothing is at its start, as gammas of 1 are
                tensor += 0.02 * torch.rand_like(tensor)
        save_file(model.state_dict(), folder / f"{kind}.safetensors")
        torch.save({"state_dict": model.state_dict()}, folder / f"{kind}.pth")
    return folder


def cosines(ours, theirs):
    return (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)


def of_timm(kind, file, images, side=None):
    """Features and pixels of timm's own model and transform."""
    options = {"img_size": side} if side else {}
    read = {"file": str(file), "num_classes": 1000}
    model = timm.create_model(kind, pretrained=True, num_classes=0, pretrained_cfg_overlay=read, **options).eval()
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    seen = torch.stack([transform(Image.fromarray(image)) for image in images])
    with torch.no_grad():
        return model(seen).numpy(), seen.numpy()


def it_answers_and_syncs(pictures, *home):
    """A build of the pictures needs none of the heavy libraries to be asked, and to take one more picture in."""
    image = pictures / "kind 1" / "0.png"
    answer = run_process("query", image, "--k", 1, "--json", *home, without=HEAVY, check=0)
    assert json.loads(answer.stdout)["hits"][0]["image"] == "kind 1/0.png"
    new = pictures / "kind 5" / "new.png"
    Image.fromarray(photo(5)).save(new)
    try:
        assert "1 added" in run_process("sync", pictures, *home, without=HEAVY, check=0).stderr
    finally:
        new.unlink()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_features_are_those_of_timm_at_its_own_settings(kind, suffix, weights, tmp_path):
    file, images = weights / f"{kind}.{suffix}", [photo(number) for number in range(6)]
    spec = find_backbone(f"timm:{kind}")
    later = {key: spec.own[key] for key in LATER if key in spec.own}
    pixels = Preprocess(spec.size, 3, spec.own["resize"], tuple(spec.own["mean"]), tuple(spec.own["std"]), **later)
    export_onnx(build_embedder(spec, None, weights=file), tmp_path / "x.onnx")
    ours = Runtime(tmp_path / "x.onnx", threads=1).features(
        pixels.normalize(np.stack([pixels.fit(image) for image in images]))
    )
    theirs, seen = of_timm(kind, file, images)
    assert ours.shape == (6, spec.width(spec.size)) == theirs.shape
    assert cosines(ours, theirs).min() >= 0.9999
    own = spec.theirs()
    gap = np.abs(own.prepare(images[0]) - seen[0])
    assert gap.max() == 0
    assert own.library == f"timm {timm.__version__}"
    assert {"size", "resize", "crop_share", "interpolation", "antialias", "order", "mean", "std"} <= own.settings.keys()


def test_positions_of_a_transformer_are_brought_to_another_side(weights):
    kind = "test_vit.r160_in1k"
    file = weights / f"{kind}.safetensors"
    model = build_embedder(f"timm:{kind}", None, weights=file, size=96).eval()
    images = torch.rand(3, 3, 96, 96)
    read = {"file": str(file), "num_classes": 1000}
    theirs = timm.create_model(kind, pretrained=True, num_classes=0, pretrained_cfg_overlay=read, img_size=96).eval()
    with torch.no_grad():
        assert model(images).numpy() == pytest.approx(theirs(images).numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm:resnet18x", "the nearest: timm:resnet18"),
        ("timm:resnet18.nothing", "has no model 'resnet18.nothing'"),
        ("timm:", "timm: names no model"),
        ("timm:../resnet18", "has no model '../resnet18'"),
    ],
)
def test_unknown_names(name, words):
    with pytest.raises(EmbedderError) as seen:
        find_backbone(name)
    assert words in seen.value.message


def test_a_side_that_a_model_cannot_take():
    spec = find_backbone("timm:test_vit")
    with pytest.raises(EmbedderError, match="cannot take images of 8 px") as seen:
        spec.width(8)
    assert seen.value.hint == "--set images.size=160"
    assert spec.width(96) == NETWORKS["test_vit.r160_in1k"]


@pytest.mark.parametrize("fault", ["nan", "missing", "strange", "shape", "text"])
def test_files_of_weights_that_do_not_fit(fault, weights, tmp_path):
    kind = "test_vit.r160_in1k"
    given = load_file(weights / f"{kind}.safetensors")
    name = "blocks.0.attn.qkv.weight"
    if fault == "nan":
        given[name][0, 0] = float("nan")
    elif fault == "missing":
        del given[name]
    elif fault == "strange":
        given["other.weight"] = torch.zeros(3)
    elif fault == "shape":
        given[name] = torch.zeros(3, 4)
    file = tmp_path / "bad.safetensors"
    save_file(given, file) if fault != "text" else file.write_text("no tensors")
    with pytest.raises(EmbedderError, match=f"bad.safetensors|{name}"):
        build_embedder(f"timm:{kind}", None, weights=file)


def sets(kind, *keys):
    words = [f"embedder.backbone=timm:{kind}", "embedder.dim=8", "evaluation.map=false", *keys]
    return [word for key in words for word in ("--set", key)]


@pytest.mark.parametrize("kind", NETWORKS)
def test_build_query_and_sync(kind, pictures, weights, tmp_path):
    """The library is needed once: an unchanged build, a query and a sync do without it."""
    keys, home = sets(kind, f"embedder.weights={weights / kind}.safetensors"), ("--home", tmp_path / "home")
    run_cli("build", pictures, *keys, *home, check=0)
    bundle = json.loads(next((tmp_path / "home").glob("artifacts/train/*/embedder.json")).read_bytes())
    assert bundle["preprocessing"]["resize"] == "center_crop"
    assert bundle["preprocessing"]["size"] == 160
    again = run_process("build", pictures, *keys, *home, without=HEAVY, check=0)
    assert "up to date" in again.stderr
    it_answers_and_syncs(pictures, *home)


def test_all_of_it_can_be_trained(pictures, weights, tmp_path):
    kind = "test_vit.r160_in1k"
    keys = sets(kind, f"embedder.weights={weights / kind}.pth", "embedder.train=all", "training.epochs=1")
    done = run_cli("build", pictures, *keys, "--set", "images.size=64", "--home", tmp_path / "home", check=0)
    assert "Trained" in done.stderr
    none = sets(kind, "embedder.weights=none", "training.epochs=0", "images.size=64")
    run_cli("build", pictures, *none, "--name", "random", "--home", tmp_path / "home", check=0)


def test_weights_that_timm_names(pictures, weights, tmp_path):
    """Downloaded once, with licence and size said first, and the same as the same file put there by hand."""
    kind, home = "test_resnet.r160_in1k", tmp_path / "home"
    data = (weights / f"{kind}.safetensors").read_bytes()
    keys = (*sets(kind, "training.epochs=0"), "--home")
    place = home / "datasets" / "models" / "timm" / kind / "model.safetensors"
    refused = run_process("build", pictures, "--offline", *keys, home, check=2).stderr
    assert f"hint: put that file at {place}" in refused
    shown = run_process("show", pictures, *keys, home, check=0).stdout
    assert 'weights = "default"' in shown
    with hub({f"timm/{kind}": {"model.safetensors": data}}) as (env, asked):
        done = run_process("build", pictures, *keys, home, env=env, check=0)
        assert "Downloading weights: model.safetensors (2 MB, licence apache-2.0) from http" in done.stderr
        assert place.read_bytes() == data
        count = len(asked)
        assert "up to date" in run_process("build", pictures, *keys, home, env=env, without=HEAVY, check=0).stderr
        assert len(asked) == count
        assert not (tmp_path / "elsewhere").exists()
    other = tmp_path / "other"
    place = other / place.relative_to(home)
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    run_process("build", pictures, "--offline", *keys, other, check=0)
    made = [{path.name for path in one.glob("artifacts/backbone/[0-9a-f]*")} for one in (home, other)]
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("state", "words"),
    [("gone", "cannot download from"), ("empty", "no model "), ("lacks", "lacks a file"), ("cut", "cannot have the")],
)
def test_weights_that_cannot_be_had(state, words, pictures, weights, tmp_path):
    kind = "test_resnet.r160_in1k"
    data = (weights / f"{kind}.safetensors").read_bytes()[:100_000]
    files = {"empty": {}, "lacks": {f"timm/{kind}": {}}, "cut": {f"timm/{kind}": {"model.safetensors": data}}}
    keys = (*sets(kind, "training.epochs=0"), "--home", tmp_path / "home")
    with hub(files.get(state, {})) as (env, _):
        if state == "gone":
            env = {**env, "HF_ENDPOINT": "http://127.0.0.1:9"}
        done = run_process("build", pictures, *keys, env=env, check=2).stderr
    assert words in done
    assert done.count("error: ") == done.count("hint: ") == 1
    assert "Retry" not in done, "the client of the hub writes nothing"
    if state == "gone":
        assert f"put model.safetensors of that page at {tmp_path}/home/datasets/models/timm/{kind}" in done
