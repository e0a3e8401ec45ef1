"""A backbone's bundle -> one that gives maps of its inner stages, for pictures of any height and width.

Patches of a picture are compared by these maps (Roth et al. 2022, arXiv 2106.08265, section 3.1): what a stage says of
each place, before everything is pooled to one feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import ModelProto, NodeProto, helper, shape_inference

from simsearch.embedder.bundle.inner_network import MAP
from simsearch.embedder.networks.onnx_end import Shape, drop_idle, shape_of
from simsearch.errors import EmbedderError, first_line

HINT = "--set embedder.backbone=torchvision:mobilenet_v2, or another convolutional network, has such maps"
ACTIVATIONS = {"Relu", "LeakyRelu", "Clip", "HardSwish", "Gelu", "Elu", "PRelu"}


def inner_maps(model: bytes, strides: Sequence[int]) -> bytes:
    """Return an ONNX model: "image" (batch, C, H, W) float32 to one "map_STRIDE" (batch, width, h, w) for each stride.

    A stride is the side of the picture in pixels divided by that of the map. Its map is the sum that ends its last
    residual block, with the activation behind it: the last one at that stride (MobileNetV2: blocks 13 and 16 for 16
    and 32; ResNets: layer3, layer4). Networks without residual blocks give the last map of that side. Raises
    EmbedderError where there is none, as in transformers, and for bytes that are no bundle.
    """
    try:
        proto = onnx.load_model_from_string(model)
        side = shape_of(proto.graph.input[0])[2]
        known = shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True).graph
    except Exception as error:  # protobuf's own, of a package that we do not depend on, and the inference's
        raise EmbedderError(f"cannot read the ONNX bundle of the backbone: {first_line(error)}") from None
    shapes = {entry.name: shape_of(entry) for entry in (*known.value_info, *known.output)}
    if side is None or not strides:
        raise EmbedderError(f"maps of inner stages: expected strides and a bundle of one side, seen {strides}, {side}")
    names = {stride: _last_at(proto, shapes, side, stride) for stride in dict.fromkeys(strides)}
    _end_with(proto, names, shapes)
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_param, dims[3].dim_param = "height", "width"
    return bytes(proto.SerializeToString())


def _last_at(proto: ModelProto, shapes: dict[str, Shape], side: int, stride: int) -> str:
    """Return the name of the map that stands for a stride."""
    graph = proto.graph
    wanted = side // stride
    at = [node for node in graph.node if _is_map(shapes.get(node.output[0], ()), wanted)] if side % stride == 0 else []
    sums = [node for node in at if _is_residual(node, shapes)]
    if sums:
        return _activated(graph.node, sums[-1].output[0])
    if not at or any(node.op_type in ("Softmax", "Attention") for node in graph.node):
        seen = sorted({side // shape[2] for shape in shapes.values() if len(shape) == 4 and shape[2] and shape[3]})
        kind = "attends to tokens" if at else f"has maps at strides {', '.join(map(str, seen)) or 'none'}"
        raise EmbedderError(f"the backbone has no map at stride {stride}: it {kind}, at {side} px", hint=HINT)
    return str(at[-1].output[0])


def _is_map(shape: Shape, side: int) -> bool:
    return len(shape) == 4 and shape[2] == shape[3] == side and shape[1] is not None


def _is_residual(node: NodeProto, shapes: dict[str, Shape]) -> bool:
    """Whether a node adds two maps of one shape: weights, as a bias or the 3 of a hard swish, are none of `shapes`."""
    return node.op_type == "Add" and all(shapes.get(name) == shapes[node.output[0]] for name in node.input)


def _activated(nodes: Sequence[NodeProto], name: str) -> str:
    """Return the activation of a tensor, where nothing but activations takes it; else the tensor."""
    takers = [node for node in nodes if name in node.input]
    return str(takers[0].output[0]) if takers and all(node.op_type in ACTIVATIONS for node in takers) else name


def _end_with(proto: ModelProto, names: dict[int, str], shapes: dict[str, Shape]) -> None:
    """Let the graph end with these tensors, open in height and width, as its only outputs."""
    graph = proto.graph
    del graph.output[:]
    del graph.value_info[:]
    for stride, name in names.items():
        output = MAP.format(stride)
        graph.node.append(helper.make_node("Identity", [name], [output]))
        open_shape = ["batch", shapes[name][1], f"height_{stride}", f"width_{stride}"]
        graph.output.append(helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, open_shape))
    drop_idle(proto, {MAP.format(stride) for stride in names})
