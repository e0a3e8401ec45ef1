"""A graph exported for one batch size -> one that takes any, and operators that the bundle's opset does not know yet.

Exporters write the size of their example into reshapes, and the newest operators: what torch does by default.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from simsearch.embedder.networks.onnx_plain import PLAIN_DOMAINS


def open_reshapes(proto: ModelProto, image: str, batch: int) -> None:
    """Let reshapes of what comes from the tensor `image` keep its batch, where they name the `batch` of the export.

    A leading 0 takes the length of what is reshaped. Whether that is the batch, the answers show: who uses the result
    compares two images at once with each alone.
    """
    graph = proto.graph
    fixed = {tensor.name: tensor for tensor in graph.initializer}
    fixed |= {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    seen = {image}
    for node in graph.node:
        if not seen & set(node.input):
            continue
        seen |= set(node.output)
        wanted = fixed.get(node.input[1]) if node.op_type == "Reshape" and len(node.input) > 1 else None
        if wanted is None:
            continue
        sides = numpy_helper.to_array(wanted).copy()
        if sides.ndim == 1 and len(sides) > 1 and sides[0] == batch and sides.all():
            sides[0] = 0
            kept = [one for one in node.attribute if one.name != "allowzero"]  # with it a 0 would be a length
            del node.attribute[:]
            node.attribute.extend(kept)
            name = f"{node.output[0]}_shape"
            graph.initializer.append(numpy_helper.from_array(sides, name))
            node.input[1] = name


def without_gelu(proto: ModelProto) -> None:
    """Write Gelu, which is an operator from opset 20 on, as what it is made of (Hendrycks, Gimpel 2016, section 2)."""
    nodes = list(proto.graph.node)
    if not any(_is_gelu(node) for node in nodes):
        return
    made = [one for node in nodes for one in (_gelu(node) if _is_gelu(node) else [node])]
    del proto.graph.node[:]
    proto.graph.node.extend(made)
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, dtype=np.float32), name) for name, value in CONSTANTS.items()
    )


CONSTANTS = {
    "of_gelu_half": 0.5,
    "of_gelu_one": 1.0,
    "of_gelu_root": math.sqrt(2),
    "of_gelu_cubic": 0.044715,
    "of_gelu_inner": math.sqrt(2 / math.pi),
}


def _is_gelu(node: NodeProto) -> bool:
    return node.op_type == "Gelu" and node.domain in PLAIN_DOMAINS


def _gelu(node: NodeProto) -> Iterator[NodeProto]:
    """Yield x / 2 (1 + erf(x / sqrt 2)), or with tanh in its place x / 2 (1 + tanh(sqrt(2 / pi) (x + .044715 x^3)))."""
    x, out = node.input[0], node.output[0]
    rough = any(one.name == "approximate" and one.s == b"tanh" for one in node.attribute)

    def step(kind: str, name: str, *inputs: str) -> NodeProto:
        return helper.make_node(kind, list(inputs), [f"{out}_{name}"])

    if rough:
        yield step("Mul", "square", x, x)
        yield step("Mul", "cube", f"{out}_square", x)
        yield step("Mul", "small", f"{out}_cube", "of_gelu_cubic")
        yield step("Add", "sum", x, f"{out}_small")
        yield step("Mul", "inner", f"{out}_sum", "of_gelu_inner")
        yield step("Tanh", "curve", f"{out}_inner")
    else:
        yield step("Div", "inner", x, "of_gelu_root")
        yield step("Erf", "curve", f"{out}_inner")
    yield step("Add", "shifted", f"{out}_curve", "of_gelu_one")
    yield step("Mul", "scaled", x, f"{out}_shifted")
    yield helper.make_node("Mul", [f"{out}_scaled", "of_gelu_half"], [out])
