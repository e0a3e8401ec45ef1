"""A trained embedder to an ONNX bundle: one file, opset 18, plain operators, nothing about this machine in it."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections.abc import Iterable
from pathlib import Path

import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from simsearch.embedder.networks.embedder import Embedder
from simsearch.errors import EmbedderError

OPSET = 18
INPUT = "image"
OUTPUT = "feature"
PLAIN_DOMAINS = ("", "ai.onnx")
HINT = "use a bundle that simsearch wrote, or export again with opset 18, one file and plain operators"


def export_onnx(model: Embedder, path: Path, *, size: int | None = None, channels: int | None = None) -> None:
    """Write `model` in eval mode to `path`: "image" (batch, C, S, S) float32 to "feature" (batch, dim) float32.

    `size` and `channels` default to the model's. The model itself is left as it is. Raises EmbedderError when the
    result is not what `check_bundle` accepts.
    """
    # A copy: the trained one keeps its device, its memory layout and its mode.
    plain = copy.deepcopy(model).to("cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    side, depth = size or model.size, channels or model.channels
    # Two images: a batch of one would be taken for a constant.
    example = torch.zeros(2, depth, side, side)
    silent = io.StringIO()
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent), torch.no_grad():
            program = torch.onnx.export(
                plain,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                verbose=False,
            )
    finally:
        logging.disable(before)
    assert program is not None
    proto: ModelProto = program.model_proto
    strip(proto)
    path.write_bytes(proto.SerializeToString())
    check_bundle(path)


def strip(proto: ModelProto) -> None:
    """Remove documentation and metadata from `proto` in place: the exporter puts local paths (stack traces) there."""
    for owner in (proto, *proto.functions):
        _clear(owner)
    _strip_graph(proto.graph)
    for function in proto.functions:
        _strip_nodes(function.node)
        for info in function.value_info:
            _clear(info)


def check_bundle(path: Path) -> None:
    """Accept a self-contained bundle of opset 18 with plain ONNX operators; EmbedderError says what else it is.

    External data would read files beside the bundle, operators of other domains need code that a query lacks.
    """
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:
        # protobuf's DecodeError lives in a package that we do not depend on.
        raise EmbedderError(f"cannot read the ONNX bundle {path}: {str(error)[:200]}", hint=HINT) from error
    graphs = list(_graphs(proto.graph))
    nodes = [node for graph in graphs for node in graph.node]
    nodes += [node for function in proto.functions for node in function.node]
    tensors = [tensor for graph in graphs for tensor in graph.initializer]
    tensors += [attribute.t for node in nodes for attribute in node.attribute if attribute.HasField("t")]
    sparse = [tensor for graph in graphs for tensor in graph.sparse_initializer]
    tensors += [part for tensor in sparse for part in (tensor.values, tensor.indices)]
    outside = [t.name for t in tensors if t.data_location == TensorProto.EXTERNAL or t.external_data]
    if outside:
        raise EmbedderError(f"ONNX bundle {path}: {len(outside)} tensors in other files, as {outside[0]}", hint=HINT)
    strange = sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in PLAIN_DOMAINS})
    if strange or proto.functions:
        names = ", ".join(strange[:3] or [function.name for function in proto.functions][:3])
        raise EmbedderError(f"ONNX bundle {path}: operators that are not plain ONNX: {names}", hint=HINT)
    opsets = {entry.domain: entry.version for entry in proto.opset_import if entry.domain in PLAIN_DOMAINS}
    if list(opsets.values()) != [OPSET]:
        raise EmbedderError(f"ONNX bundle {path}: expected opset {OPSET}, seen {opsets or 'none'}", hint=HINT)


def _graphs(graph: GraphProto) -> Iterable[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner)


def _strip_graph(graph: GraphProto) -> None:
    for inner in _graphs(graph):
        for owner in (inner, *inner.input, *inner.output, *inner.value_info, *inner.initializer):
            _clear(owner)
        _strip_nodes(inner.node)


def _strip_nodes(nodes: Iterable[NodeProto]) -> None:
    for node in nodes:
        _clear(node)
        for attribute in node.attribute:
            attribute.doc_string = ""


def _clear(owner: object) -> None:
    for name in ("doc_string", "metadata_props"):
        if hasattr(owner, name):
            owner.ClearField(name)  # type: ignore[attr-defined]
