"""hf:FOLDER and hf:NAME with transformers itself: small models that the test makes and saves, nothing is downloaded."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from commands import run_cli, run_process
from fake_hub import GATED, hub
from PIL import Image

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from test_timm_real import HEAVY, cosines, it_answers_and_syncs, photo, pictures  # noqa: E402, F401

from simsearch.embedder.bundle.export import export_onnx  # noqa: E402
from simsearch.embedder.bundle.runtime import Runtime  # noqa: E402
from simsearch.embedder.networks.embedder import build_embedder  # noqa: E402
from simsearch.embedder.networks.families import find_backbone  # noqa: E402
from simsearch.embedder.networks.family import Feature  # noqa: E402
from simsearch.images.preprocess import LATER, Preprocess  # noqa: E402

pytestmark = pytest.mark.slow
T = transformers
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
BLOCK = {**SMALL, "intermediate_size": 64}
PLAIN = {"resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
CUT = {"size": {"shortest_edge": 80}, "crop_size": {"height": 70, "width": 70}, "resample": 3}
VISION = {**BLOCK, "image_size": 64, "patch_size": 16}


def model_of(kind):
    """A model of transformers with its image processor."""
    square = T.ViTImageProcessor(size={"height": 64, "width": 64}, **PLAIN)
    if kind == "vit with a classifier":
        return T.ViTForImageClassification(T.ViTConfig(**VISION, num_labels=5)), square
    if kind == "vit":
        return T.ViTModel(T.ViTConfig(**VISION)), square
    if kind == "dinov2":
        return T.Dinov2Model(T.Dinov2Config(**SMALL, image_size=70, patch_size=14)), T.BitImageProcessor(**CUT)
    if kind == "clip":
        both = {"vision_config": VISION, "text_config": BLOCK, "projection_dim": 24}
        return T.CLIPModel(T.CLIPConfig(**both)), T.CLIPImageProcessor(**{**CUT, "crop_size": 64})
    if kind == "siglip":
        return T.SiglipModel(T.SiglipConfig(vision_config=VISION, text_config=BLOCK)), square
    if kind == "bert":
        return T.BertModel(T.BertConfig(**BLOCK)), square
    layers = {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"}
    return T.ResNetModel(T.ResNetConfig(**layers)), square


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of models, written when they are asked for."""
    root = tmp_path_factory.mktemp("models")

    def folder(kind):
        if not (root / kind).exists():
            torch.manual_seed(1)
            model, processor = model_of(kind)
            for tensor in model.state_dict().values():
                if tensor.is_floating_point():
                    tensor += 0.05 * torch.rand_like(tensor)
            model.save_pretrained(root / kind)
            processor.save_pretrained(root / kind)
        return root / kind

    return folder


def of_transformers(folder, images, pooling):
    """Features and pixels by transformers alone."""
    seen = T.AutoImageProcessor.from_pretrained(folder)(images=[Image.fromarray(one) for one in images])
    pixels = torch.from_numpy(np.stack(seen["pixel_values"]))
    model = T.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        if hasattr(model, "text_model"):
            found = model.get_image_features(pixel_values=pixels)
            return getattr(found, "pooler_output", found).numpy(), pixels.numpy()
        found = model(pixel_values=pixels)
    return (found.pooler_output.flatten(1) if pooling == "pooler" else found.last_hidden_state[:, 0]).numpy(), pixels


@pytest.mark.parametrize(
    ("kind", "pooling", "width"),
    [
        ("vit with a classifier", "cls", 32),
        ("vit", "pooler", 32),
        ("dinov2", "pooler", 32),
        ("clip", "pooler", 24),
        ("siglip", "pooler", 32),
        ("resnet", "pooler", 32),
    ],
)
def test_features_are_those_of_transformers_at_its_own_settings(kind, pooling, width, models, tmp_path):
    folder, images = models(kind), [photo(number) for number in range(4)]
    spec = find_backbone(f"hf:{folder}")
    later = {key: spec.own[key] for key in LATER if key in spec.own}
    pixels = Preprocess(spec.size, 3, spec.own["resize"], tuple(spec.own["mean"]), tuple(spec.own["std"]), **later)
    network = build_embedder(spec, None, weights="default")
    export_onnx(network, tmp_path / "x.onnx")
    prepared = pixels.normalize(np.stack([pixels.fit(image) for image in images]))
    ours = Runtime(tmp_path / "x.onnx", threads=1).features(prepared)
    theirs, seen = of_transformers(folder, images, pooling)
    assert ours.shape == theirs.shape == (4, width) == (4, spec.width(spec.size))
    assert cosines(ours, theirs).min() >= 0.9999
    own = spec.theirs()
    assert np.abs(np.stack([own.prepare(image) for image in images]) - np.asarray(seen)).max() == 0
    assert cosines(own.features(np.asarray(seen)), theirs).min() >= 0.99999
    assert own.library == f"transformers {T.__version__}"
    assert {"size", "resize", "crop_share", "interpolation", "antialias", "order", "mean", "std"} <= own.settings.keys()


def test_ways_of_pooling(models):
    folder, images = models("vit"), torch.rand(2, 3, 64, 64)
    whole = T.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        tokens = whole(pixel_values=images).last_hidden_state
        wanted = {"cls": tokens[:, 0], "mean": tokens.mean(1), "max": tokens.amax(1)}
        for pooling, value in wanted.items():
            spec = find_backbone(f"hf:{folder}", Feature(pooling=pooling))
            network = build_embedder(spec, None, weights="default").eval()
            assert not any("pooler" in name for name in network.state_dict())
            assert network(images).numpy() == pytest.approx(value.numpy(), abs=1e-5)
        spec = find_backbone(f"hf:{models('resnet')}", Feature(pooling="mean"))
        assert build_embedder(spec, None, weights="default").eval()(images).shape == (2, 32)


def test_positions_are_brought_to_another_side(models):
    folder, images = models("vit"), torch.rand(2, 3, 96, 96)
    network = build_embedder(f"hf:{folder}", None, weights="default", size=96).eval()
    whole = T.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = whole(pixel_values=images, interpolate_pos_encoding=True).pooler_output
        assert network(images).numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_that_was_saved_in_half_is_run_in_float32(dtype, models, tmp_path):
    """As transformers runs it on float32, and its bundle takes and gives float32."""
    whole = T.AutoModel.from_pretrained(models("vit")).to(dtype)
    whole.save_pretrained(tmp_path / "half")
    shutil.copy(models("vit") / "preprocessor_config.json", tmp_path / "half")
    assert json.loads((tmp_path / "half" / "config.json").read_bytes())["dtype"] == str(dtype).removeprefix("torch.")
    network = build_embedder(f"hf:{tmp_path / 'half'}", None, weights="default").eval()
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        wanted = whole.float()(pixel_values=images).pooler_output
        assert network(images).numpy() == pytest.approx(wanted.numpy(), abs=1e-5)
    export_onnx(network, tmp_path / "x.onnx")
    found = Runtime(tmp_path / "x.onnx", threads=1).features(images.numpy())
    assert found.dtype == np.float32
    assert found == pytest.approx(wanted.numpy(), abs=1e-4)


def test_a_state_dict_of_the_model(models, tmp_path):
    """With the names that the model has, or one around it; a classifier is left out."""
    folder = models("vit with a classifier")
    wanted = build_embedder(f"hf:{folder}", None, weights="default").state_dict()
    shutil.copy(folder / "model.safetensors", tmp_path / "mine.safetensors")
    found = build_embedder(f"hf:{folder}", None, weights=tmp_path / "mine.safetensors").state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in wanted.items())


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("text", "a BertModel takes no images"),
        ("strange", "cannot read it"),
        ("code", "cannot read it"),
        ("cut", "model.safetensors"),
        ("nan", "hold NaN or infinity"),
        ("missing", "they lack layers.0"),
        ("pickle", "no model.safetensors"),
        ("side", "cannot take images of 8 px"),
    ],
)
def test_bad_models(fault, words, models, pictures, tmp_path):  # noqa: F811
    folder = tmp_path / "mine"
    shutil.copytree(models("bert" if fault == "text" else "vit"), folder)
    weights, keys = folder / "model.safetensors", []
    if fault == "strange":
        (folder / "config.json").write_text(json.dumps({"model_type": "strange"}))
    elif fault == "code":
        code = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
        (folder / "config.json").write_text(json.dumps(code))
        (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    elif fault == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif fault in ("nan", "missing"):
        tensors = load_file(weights)
        name = next(name for name in tensors if "layer" in name and tensors[name].ndim == 2)
        tensors[name][0, 0] = float("nan")
        if fault == "missing":
            del tensors[name]
        save_file(tensors, weights, metadata={"format": "pt"})
    elif fault == "pickle":
        weights.unlink()
        torch.save({}, folder / "pytorch_model.bin")
    elif fault == "side":
        keys = ["--set", "images.size=8"]
    home = tmp_path / "home"
    backbone = ("--set", f"embedder.backbone=hf:{folder}", "--set", "training.epochs=0", *keys)
    done = run_cli("build", pictures, *backbone, "--home", home, check=2).stderr
    assert words in done
    assert done.count("error: ") == done.count("hint: ") == 1
    assert not (tmp_path / "ran").exists()


def sets(*keys):
    return [word for key in ("embedder.dim=8", "evaluation.map=false", *keys) for word in ("--set", key)]


@pytest.mark.parametrize("kind", ["vit with a classifier", "clip"])
def test_build_query_and_sync(kind, models, pictures, tmp_path):  # noqa: F811
    """The library is needed once: an unchanged build, a query and a sync do without it, and no path is kept."""
    folder = tmp_path / "mine"
    shutil.copytree(models(kind), folder)
    keys, home = sets(f"embedder.backbone=hf:{folder}"), ("--home", tmp_path / "home")
    run_cli("build", pictures, *keys, *home, check=0)
    bundle = next((tmp_path / "home").glob("artifacts/train/*/embedder.json")).read_bytes()
    assert json.loads(bundle)["backbone"] == "hf:mine"
    assert str(tmp_path).encode() not in bundle
    again = run_process("build", pictures, *keys, *home, without=HEAVY, check=0)
    assert "up to date" in again.stderr
    shutil.rmtree(folder)
    it_answers_and_syncs(pictures, *home)


def test_all_of_it_can_be_trained(models, pictures, tmp_path):  # noqa: F811
    keys = sets(f"embedder.backbone=hf:{models('vit')}", "embedder.train=all", "training.epochs=1")
    assert "Trained" in run_cli("build", pictures, *keys, "--home", tmp_path, check=0).stderr


FILES = ("config.json", "preprocessor_config.json", "model.safetensors")


def test_a_name_of_the_hub(models, pictures, tmp_path):  # noqa: F811
    files = {name: (models("dinov2") / name).read_bytes() for name in FILES}
    keys, home = sets("embedder.backbone=hf:owner/dino", "training.epochs=0"), tmp_path / "home"
    with hub({"owner/dino": files}, licence="apache-2.0") as (env, asked):
        done = run_process("build", pictures, *keys, "--home", home, env=env, check=0)
        assert "Downloading weights: model.safetensors (0 MB, licence apache-2.0) from http" in done.stderr
        place = home / "datasets" / "models" / "owner" / "dino"
        assert all((place / name).read_bytes() == data for name, data in files.items())
        count = len(asked)
        run = run_process("build", pictures, *keys, "--home", home, env=env, without=HEAVY, check=0)
        assert "up to date" in run.stderr
        assert len(asked) == count
    other = tmp_path / "other"
    shutil.copytree(models("dinov2"), other / "datasets" / "models" / "owner" / "dino")
    run_process("build", pictures, "--offline", *keys, "--home", other, check=0)
    made = [{path.name for path in one.glob("artifacts/backbone/[0-9a-f]*")} for one in (home, other)]
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (GATED, "is gated: its owner wants to know"),
        ("owner/nothing", "no model http"),
        ("owner/dino@v9", "no such revision"),
        ("owner/pickled", "has no model.safetensors; its weights are in another format"),
        ("owner/text", "has no preprocessor_config.json"),
        ("owner/lies", "came with other bytes"),
    ],
)
def test_names_of_which_nothing_can_be_had(name, words, models, pictures, tmp_path):  # noqa: F811
    files = {name: (models("dinov2") / name).read_bytes() for name in FILES}
    repos = {
        "owner/dino": files,
        "owner/pickled": {**{name: files[name] for name in FILES[:2]}, "pytorch_model.bin": b""},
        "owner/text": {name: files[name] for name in FILES[::2]},
        "owner/lies": files,
    }
    lies = ("model.safetensors",) if name == "owner/lies" else ()
    keys = sets(f"embedder.backbone=hf:{name}", "training.epochs=0")
    with hub(repos, lies=lies) as (env, _):
        done = run_process("build", pictures, *keys, "--home", tmp_path / "home", env=env, check=2).stderr
    assert words in done
    assert done.count("error: ") == done.count("hint: ") == 1
