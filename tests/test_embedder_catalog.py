"""The catalog is right about torchvision, and errors name the nearest backbone."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from simsearch.embedder.networks.families import FAMILIES, find_backbone
from simsearch.embedder.networks.families.torchvision import NETWORKS
from simsearch.embedder.networks.family import Weights
from simsearch.errors import EmbedderError
from simsearch.images.preprocess import Preprocess

KINDS = ["resnet18", "resnet152", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b7", "efficientnet_v2_m"]
KINDS += ["convnext_base", "vit_h_14", "vit_l_32"]


@pytest.mark.parametrize("name", KINDS)
def test_sizes_and_widths_are_torchvisions(name):
    from torchvision import models

    known = find_backbone(f"torchvision:{name}")
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    assert transforms.crop_size == [known.size]
    with torch.device("meta"):
        model = models.get_model(name, weights=None)
    linear = next(
        module
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and path.split(".")[0] in ("fc", "classifier", "heads")
    )
    assert linear.in_features == known.width(known.size)


def test_channels():
    known = [find_backbone(name) for family in FAMILIES for name in family.names()]
    assert {backbone.name for backbone in known if backbone.channels == 1} == {"mnist_cnn", "conv4"}
    assert all(backbone.channels == 3 for backbone in known if ":" in backbone.name)


def test_names_and_default_weights_belong_to_one_family():
    for family in FAMILIES:
        for name in family.names():
            backbone = find_backbone(name)
            assert backbone.name == name
            assert name.startswith(family.PREFIX)
            assert bool(backbone.pretrained) is backbone.deep is name.startswith("torchvision:")
    assert len({family.PREFIX for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("resnet18", "torchvision:resnet18"),
        ("torchvision:mobilenet_v4", "torchvision:mobilenet_v2"),
        ("mnist", "mnist_"),
    ],
)
def test_unknown_backbone_names_the_nearest(wrong, nearest):
    with pytest.raises(EmbedderError, match=nearest):
        find_backbone(wrong)


def test_other_architectures_are_refused():
    with pytest.raises(EmbedderError, match="unknown backbone 'torchvision:alexnet'"):
        find_backbone("torchvision:alexnet")


def test_catalog_weights_and_runtime_import_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from simsearch.embedder.bundle import runtime\n"
        "from simsearch.embedder.networks import families, weights\n"
        "assert families.find_backbone('torchvision:vit_b_16').width(224) == 768\n"
        "assert weights.weights_preprocessing('default', 'torchvision:resnet50')['size'] == 224\n"
        "assert 'onnx' not in sys.modules and 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("family", ["resnet18", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "vit_b_32"])
def test_torchvisions_own_model_gives_the_features_of_the_trunk(family, monkeypatch):
    from torchvision import models

    from simsearch.embedder.networks.embedder import build_embedder
    from simsearch.embedder.networks.families import torchvision_models

    known = find_backbone(f"torchvision:{family}")
    ours, whole = build_embedder(known, None, seed=1), models.get_model(family, weights=None)
    given = Weights("", True, whole.state_dict)
    monkeypatch.setattr(torchvision_models, "weights", lambda kind: given)
    ours.backbone.load_state_dict(whole.state_dict(), strict=False)
    theirs = known.theirs()
    picture = np.random.default_rng(0).integers(0, 255, (300, 260, 3)).astype(np.uint8)
    seen = theirs.prepare(picture)[None]
    assert seen.shape == (1, 3, known.size, known.size)
    with torch.inference_mode():
        wanted = ours.eval()(torch.from_numpy(seen)).numpy()
    assert theirs.features(seen) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_torchvisions_transforms_are_read_as_our_keys(name):
    found = find_backbone(f"torchvision:{name}")
    theirs = found.theirs()
    settings, offered = theirs.settings, found.pretrained
    assert (settings["size"], settings["mean"], settings["std"]) == (found.size, offered.mean, offered.std)
    preprocess = Preprocess(channels=3, draft=False, **settings)
    picture = np.random.default_rng(0).integers(0, 255, (90, 70, 3)).astype(np.uint8)
    ours = preprocess.normalize(preprocess.fit(picture)[None])[0]
    gap = np.abs(ours - theirs.prepare(picture)) * np.reshape(offered.std, (3, 1, 1)) * 255
    assert gap.max() <= 2
    assert gap.mean() <= 0.25
