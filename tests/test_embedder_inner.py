"""simsearch/embedder/bundle/inner.py: maps of a backbone's inner stages, for pictures of any height and width."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn.functional import conv2d

from simsearch.embedder.bundle.inner import inner_maps
from simsearch.embedder.bundle.inner_network import InnerNetwork
from simsearch.errors import EmbedderError

SIDE = 32


def plain(nodes, *, side=SIDE, weights=()):
    """A graph of a few nodes from "image" (N, 3, side, side) to "feature"."""
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, side, side])],
        [helper.make_tensor_value_info("feature", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return proto.SerializeToString()


def conv(taken, given, stride, weight="weight"):
    return helper.make_node("Conv", [taken, weight], [given], kernel_shape=[3, 3], pads=[1] * 4, strides=[stride] * 2)


WEIGHT = ("weight", np.random.default_rng(0).normal(0, 0.3, (3, 3, 3, 3)).astype(np.float32))
POOLED = helper.make_node("GlobalAveragePool", ["last"], ["feature"])


def noise(height, width, count=2):
    return np.random.default_rng(1).normal(0, 1, (count, 3, height, width)).astype(np.float32)


@pytest.fixture
def residual():
    """Two residual blocks at stride 2, with an activation behind each, and a convolution to stride 4."""
    nodes, last = [conv("image", "a", 2)], "a"
    for block in ("b", "c"):
        nodes += [conv(last, f"{block}1", 1), helper.make_node("Add", [last, f"{block}1"], [f"{block}2"])]
        last = f"{block}3"
        nodes.append(helper.make_node("Relu", [f"{block}2"], [last]))
    return [*nodes, conv(last, "d", 1), conv("d", "last", 2), POOLED]


def by_torch(images):
    """The map of `residual` at stride 2, as torch has it."""
    weight = torch.from_numpy(WEIGHT[1])
    map = conv2d(torch.from_numpy(images), weight, stride=2, padding=1)
    for _ in range(2):
        map = (map + conv2d(map, weight, padding=1)).relu()
    return map


@pytest.mark.parametrize("sides", [(32, 32), (64, 96), (8, 4)])
def test_the_last_residual_block_and_its_activation_at_any_height_and_width(residual, sides):
    network = InnerNetwork(inner_maps(plain(residual, weights=[WEIGHT]), [2]), threads=1)
    assert network.widths == {2: 3}
    assert network.maps(noise(*sides))[2] == pytest.approx(by_torch(noise(*sides)).numpy(), abs=1e-4)


def test_several_strides_at_once_and_nothing_behind_them(residual):
    bundle = plain(residual, weights=[WEIGHT])
    found = InnerNetwork(inner_maps(bundle, [4, 2]), threads=1).maps(noise(64, 32))
    assert {stride: one.shape for stride, one in found.items()} == {2: (2, 3, 32, 16), 4: (2, 3, 16, 8)}
    alone = inner_maps(bundle, [2])
    assert np.array_equal(InnerNetwork(alone, threads=1).maps(noise(64, 32))[2], found[2])
    assert {node.op_type for node in onnx.load_model_from_string(alone).graph.node} == {
        "Conv",
        "Add",
        "Relu",
        "Identity",
    }
    assert len(onnx.load_model_from_string(alone).graph.node) == 8  # up to the second activation


def test_without_residual_blocks_it_is_the_last_map_of_that_side():
    nodes = [conv("image", "a", 2), conv("a", "b", 1), helper.make_node("Relu", ["b"], ["c"]), conv("c", "last", 2)]
    found = InnerNetwork(inner_maps(plain([*nodes, POOLED], weights=[WEIGHT]), [2]), threads=1)
    full = InnerNetwork(inner_maps(plain([*nodes[:3], conv("c", "last", 2), POOLED], weights=[WEIGHT]), [4]), threads=1)
    assert found.maps(noise(8, 12))[2].min() == 0
    assert found.maps(noise(8, 12))[2].shape == (2, 3, 4, 6)
    assert full.maps(noise(8, 12))[4].shape == (2, 3, 2, 3)


def test_a_bias_is_no_residual():
    bias = ("bias", np.ones((1, 3, 1, 1), np.float32))
    nodes = [conv("image", "a", 2), helper.make_node("Add", ["a", "bias"], ["b"])]
    nodes += [helper.make_node("Relu", ["b"], ["c"]), helper.make_node("Neg", ["c"], ["last"]), POOLED]
    found = InnerNetwork(inner_maps(plain(nodes, weights=[WEIGHT, bias]), [2]), threads=1).maps(noise(8, 8))[2]
    assert found.max() == 0  # -relu(...), the last, and not the sum


def test_transformers_are_refused_in_a_line():
    flat = ("flat", np.array([0, 3, -1], np.int64))
    nodes = [conv("image", "last", 16), helper.make_node("Reshape", ["last", "flat"], ["tokens"])]
    nodes += [helper.make_node("Softmax", ["tokens"], ["weighed"]), helper.make_node("Relu", ["weighed"], ["feature"])]
    with pytest.raises(EmbedderError, match="no map at stride 16: it attends to tokens"):
        inner_maps(plain(nodes, weights=[WEIGHT, flat]), [16])


@pytest.mark.parametrize("stride", [16, 3])
def test_a_stride_that_is_not_there_is_refused_by_those_that_are(stride):
    nodes = [conv("image", "a", 2), conv("a", "last", 2), POOLED]
    with pytest.raises(EmbedderError, match=f"no map at stride {stride}: it has maps at strides 2, 4, 32, at 32 px"):
        inner_maps(plain(nodes, weights=[WEIGHT]), [stride])


@pytest.mark.parametrize("strides", [[], [16]])
def test_what_is_no_bundle_is_refused(strides):
    with pytest.raises(EmbedderError, match=r"cannot read the ONNX bundle of the backbone|expected strides"):
        inner_maps(b"no model" if strides else plain([conv("image", "last", 2), POOLED], weights=[WEIGHT]), strides)


def test_a_network_that_fixes_its_side_after_all_is_refused_when_it_runs():
    shape = ("shape", np.array([0, 3, 16, 16], np.int64))
    nodes = [conv("image", "a", 2), helper.make_node("Reshape", ["a", "shape"], ["last"]), POOLED]
    network = InnerNetwork(inner_maps(plain(nodes, weights=[WEIGHT, shape]), [2]), threads=1)
    assert network.maps(noise(32, 32))[2].shape == (2, 3, 16, 16)
    with pytest.raises(EmbedderError, match="no inner maps of 64 x 32 px"):
        network.maps(noise(64, 32))


def test_batches_and_models_of_another_kind_are_refused(residual):
    bundle = plain(residual, weights=[WEIGHT])
    network = InnerNetwork(inner_maps(bundle, [4]), threads=1)
    for wrong in (noise(32, 32)[0], noise(32, 32)[:, :1], noise(32, 32).astype(np.float64)):
        with pytest.raises(EmbedderError, match=r"expected a batch \(N, 3, height, width\) float32"):
            network.maps(wrong)
    with pytest.raises(EmbedderError, match="the map at stride 4 of 34 x 32 px"):
        network.maps(noise(34, 32))
    with pytest.raises(EmbedderError, match="expected a model of inner maps"):
        InnerNetwork(bundle, threads=1)
    with pytest.raises(EmbedderError, match="cannot use the model of inner maps"):
        InnerNetwork(b"no model", threads=1)
