"""The catalog is right about torchvision, and errors name the nearest backbone."""

import subprocess
import sys

import pytest
import torch

from simsearch.embedder.networks.families import FAMILIES, find_backbone
from simsearch.errors import EmbedderError

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
