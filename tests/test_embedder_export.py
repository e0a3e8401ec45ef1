"""Bundles: same features as torch, nothing of this machine in them, and only plain ones are accepted."""

import copy
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from simsearch.embedder.bundle import export
from simsearch.embedder.bundle.export import check_bundle, export_onnx
from simsearch.embedder.bundle.runtime import Runtime
from simsearch.embedder.networks.embedder import build_embedder
from simsearch.errors import EmbedderError

FAMILIES = ["resnet18", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "vit_b_32"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "embedder.onnx"
    model = build_embedder("mnist_cnn", 16).to(memory_format=torch.channels_last).train()
    export_onnx(model, path)
    assert model.training
    return model.eval(), path


def difference(model, runtime, images):
    """Largest relative difference to torch in float64: torch's own float32 is up to 2e-6 away from that."""
    with torch.no_grad():
        expected = copy.deepcopy(model).double()(images.double()).numpy()
    return np.abs(runtime.features(images.numpy()) - expected).max() / np.abs(expected).max()


def test_mnist_cnn_is_the_same_and_prints_nothing(bundle, capfd, tmp_path):
    model, path = bundle
    export_onnx(model, tmp_path / "again.onnx")
    assert capfd.readouterr() == ("", "")
    torch.manual_seed(0)
    runtime = Runtime(path, threads=2)
    assert (runtime.dim, runtime.input_shape) == (16, (1, 28, 28))
    for count in (1, 2, 65):
        assert difference(model, runtime, torch.randn(count, 1, 28, 28)) <= 1e-6


@pytest.fixture
def traced(monkeypatch):
    """How often the exporter was asked, none of it remembered from other tests."""
    calls, export_of_torch = [], torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda *a, **k: [calls.append(1), export_of_torch(*a, **k)][1])
    monkeypatch.setattr(export, "_traced", {})
    return calls


def test_one_trace_serves_all_that_differ_in_weights_alone(traced, tmp_path):
    one, other = build_embedder("mnist_cnn", 8), build_embedder("mnist_cnn", 8, seed=1)
    for name, model in (("one", one), ("other", other), ("again", one)):
        export_onnx(model, tmp_path / name)
    assert len(traced) == 1
    export._traced.clear()
    export_onnx(other, tmp_path / "alone")
    assert len(traced) == 2
    files = {name: (tmp_path / name).read_bytes() for name in ("one", "other", "again", "alone")}
    assert files["one"] == files["again"] != files["other"] == files["alone"]
    images = torch.randn(3, 1, 28, 28)
    assert difference(other.eval(), Runtime(tmp_path / "other", threads=1), images) <= 1e-6
    export_onnx(build_embedder("mnist_cnn", 9), tmp_path / "wide")
    assert len(traced) == 3
    assert Runtime(tmp_path / "wide", threads=1).dim == 9


class Doubled(nn.Module):
    """A layer whose weight reaches the graph under another name, or not at all."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.unused = inner, nn.Parameter(torch.zeros(1))

    def forward(self, images):
        return self.inner(images) * 2


def test_a_graph_without_all_weights_is_traced_each_time(traced, tmp_path):
    for seed in (0, 1):
        model = build_embedder("mnist_cnn", 8, seed=seed)
        model.backbone = Doubled(model.backbone)
        export_onnx(model, tmp_path / "it")
        assert difference(model.eval(), Runtime(tmp_path / "it", threads=1), torch.randn(3, 1, 28, 28)) <= 1e-6
    assert len(traced) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_the_same(name, tmp_path):
    torch.manual_seed(0)
    for seed in (0, 1):  # the second in the graph of the first
        model = build_embedder(f"torchvision:{name}", 8, size=64, seed=seed)
        with torch.no_grad():
            model.train()(torch.randn(8, 3, 64, 64))  # batch norm gets statistics that matter
        path = tmp_path / "embedder.onnx"
        export_onnx(model, path)
        # Depth adds float32 rounding.
        assert difference(model.eval(), Runtime(path, threads=2), torch.randn(3, 3, 64, 64)) <= 5e-6


def test_the_file_holds_nothing_of_this_machine(bundle):
    proto = onnx.load(bundle[1])
    for tensor in proto.graph.initializer:
        tensor.ClearField("raw_data")
    text = proto.SerializeToString()
    for word in (os.getcwd(), str(Path.home()), sys.prefix, "site-packages", ".py", "pkg.torch"):
        assert word.encode() not in text
    assert not any(node.doc_string or node.metadata_props for node in proto.graph.node)
    assert not proto.doc_string
    assert not proto.metadata_props
    assert [entry.name for entry in (*proto.graph.input, *proto.graph.output)] == ["image", "feature"]


def made(domain="", opset=18, external=False, op="Relu"):
    weight = numpy_helper.from_array(np.ones((1, 2), np.float32), "w")
    if external:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="other.bin")
    graph = helper.make_graph(
        [helper.make_node(op, ["image"], ["feature"], domain=domain)],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("feature", TensorProto.FLOAT, ["n", 2])],
        [weight],
    )
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets).SerializeToString()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (made(external=True), "tensors in other files, as w"),
        (made(domain="com.microsoft", op="Gelu"), "not plain ONNX: com.microsoft.Gelu"),
        (made(opset=17), "expected opset 18, seen {'': 17}"),
        (b"\xff\x00garbage", "cannot read the ONNX bundle"),
    ],
)
def test_strange_bundles_are_refused(tmp_path, data, said):
    (tmp_path / "strange.onnx").write_bytes(data)
    with pytest.raises(EmbedderError) as caught:
        check_bundle(tmp_path / "strange.onnx")
    assert said in caught.value.message


@pytest.mark.parametrize("data", [b"", b"\xff\x00garbage", made(), made(external=True), made(domain="evil", op="Run")])
def test_runtime_refuses_in_one_line(data, capfd):
    with pytest.raises(EmbedderError) as caught:
        Runtime(data, threads=1)
    assert "\n" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_runtime_without_a_file(tmp_path):
    with pytest.raises(EmbedderError, match=r"missing.onnx: No such file"):
        Runtime(tmp_path / "missing.onnx", threads=1)


@pytest.mark.parametrize(
    "batch", [np.zeros((2, 3, 28, 28), np.float32), np.zeros((1, 28, 28), np.float32), np.zeros((1, 1, 28, 28))]
)
def test_wrong_batches_name_the_shapes(bundle, batch):
    with pytest.raises(EmbedderError, match=r"\(N, 1, 28, 28\) float32, seen \(") as caught:
        Runtime(bundle[1], threads=1).features(batch)
    assert str(batch.shape) in caught.value.message


def test_empty_batch(bundle):
    assert Runtime(bundle[1].read_bytes(), threads=1).features(np.empty((0, 1, 28, 28), np.float32)).shape == (0, 16)


def test_several_threads_share_a_runtime(bundle):
    runtime = Runtime(bundle[1], threads=1)
    images = np.random.default_rng(0).normal(size=(8, 4, 1, 28, 28)).astype(np.float32)
    expected = [runtime.features(batch) for batch in images]
    found = {}
    workers = [
        threading.Thread(target=lambda n=n: found.update({n: [runtime.features(images[n]) for _ in range(5)]}))
        for n in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(np.allclose(one, expected[n], rtol=0, atol=1e-6) for n in range(8) for one in found[n])


def test_runtime_without_torch(bundle):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from simsearch.embedder.bundle.runtime import Runtime\n"
        "print(Runtime(Path(sys.argv[1]), threads=1).features(np.zeros((2, 1, 28, 28), np.float32)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(bundle[1])], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("(2, 16)\n", "")
