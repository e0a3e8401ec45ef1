"""The models that onnx itself is tested with: real graphs of opset 9 for batches of one, whose weights are constants.

What can be made strict gives what onnx expects; the others are refused with the reason.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from simsearch.embedder.bundle.export import check_answers
from simsearch.embedder.bundle.runtime import Runtime
from simsearch.embedder.networks.onnx_files import strict
from simsearch.errors import EmbedderError

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
pytestmark = pytest.mark.skipif(not LIGHT.is_dir(), reason="this onnx comes without its models")


def light(kind):
    return LIGHT / f"light_{kind}.onnx"


def before_its_classifier(path):
    """The map that the last pooling of a model gives."""
    nodes = onnx.load(path).graph.node
    return [node.output[0] for node in nodes if node.op_type in ("AveragePool", "GlobalAveragePool")][-1]


@pytest.mark.parametrize(("kind", "width"), [("resnet50", 2048), ("inception_v1", 1024)])
def test_the_map_before_the_classifier(kind, width, tmp_path):
    """Opset 9 is converted, the classifier dropped, and with it the reshape that fixes the batch."""
    path = light(kind)
    made = strict(path, 224, before_its_classifier(path), "mean")
    out = tmp_path / "strict.onnx"
    out.write_bytes(made.SerializeToString())
    assert check_answers(out) == width
    assert not {node.op_type for node in made.graph.node} & {"Softmax", "Gemm", "Reshape"}


def test_a_converted_model_gives_what_onnx_says(tmp_path):
    path = light("squeezenet")
    out = tmp_path / "strict.onnx"
    out.write_bytes(strict(path, 224, None, "mean").SerializeToString())
    image = np.random.default_rng(0).normal(0, 1, (1, 3, 224, 224)).astype(np.float32)
    stored = onnx.TensorProto.FromString(light("squeezenet").with_name("light_squeezenet_output_0.pb").read_bytes())
    wanted = onnx.numpy_helper.to_array(stored).reshape(1, -1)  # whatever the image, as all weights are alike
    assert Runtime(out, threads=1).features(image) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "output", "pooling", "words"),
    [
        ("squeezenet", None, "mean", "two images of noise have the same feature"),
        ("inception_v1", None, None, "two images of noise have the same feature"),
        ("shufflenet", None, None, "two images of noise have the same feature"),
        ("zfnet512", None, None, "two images of noise have the same feature"),
        ("zfnet512", "nothing", None, "has no tensor 'nothing'"),
        ("zfnet512", None, "cls", "expected no embedder.pooling"),
    ],
)
def test_what_is_refused_and_why(kind, output, pooling, words, tmp_path, capfd):
    def brought():
        made = strict(light(kind), 224, output, pooling)
        (tmp_path / "strict.onnx").write_bytes(made.SerializeToString())
        check_answers(tmp_path / "strict.onnx")

    with pytest.raises(EmbedderError, match=words) as seen:
        brought()
    assert seen.value.hint
    assert capfd.readouterr().err == "", "ONNX Runtime tells of it too"
