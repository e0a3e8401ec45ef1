"""A trained embedder to an ONNX bundle: one file, opset 18, plain operators, nothing about this machine in it."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto
from torch.onnx import ONNXProgram

from simsearch.arrays import Floats
from simsearch.embedder.bundle.runtime import Runtime
from simsearch.embedder.networks.embedder import Embedder
from simsearch.embedder.networks.onnx_plain import (
    INPUT,
    OPSET,
    OUTPUT,
    PLAIN_DOMAINS,
    messages,
    strange_operators,
    strip,
)
from simsearch.errors import EmbedderError, first_line

HEAD_OUTPUT = "embedded"
IR_VERSION = 10  # that of opset 18 and later, as torch's exporter writes it
_traced: dict[str, Any] = {}  # the last graph, without its weights
HINT = "use a bundle that simsearch wrote, or export again with opset 18, one file and plain operators"


def export_onnx(model: Embedder, path: Path) -> None:
    """Write `model` in eval mode to `path`: "image" (batch, C, S, S) float32 to "feature" (batch, dim) float32.

    The model itself is left as it is. Raises EmbedderError when the result is not what `check_bundle` accepts.
    """
    # A copy: the trained one keeps its device, its memory layout and its mode.
    plain = copy.deepcopy(model).to("cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    with _silent(), torch.no_grad():
        program = ONNXProgram(_graph(plain).clone(), None)
        program.apply_weights(_weights(plain, program.model))
        program.optimize()
        proto = program.model_proto
    strip(proto)
    path.write_bytes(proto.SerializeToString())
    check_bundle(path)


def _graph(plain: Embedder) -> Any:
    """The graph of a network, not yet optimized: traced once for all that differ in their weights alone.

    Tracing takes 7 s of a deep network, and a build exports recipe, baseline and reference, which are all alike.
    """
    key = f"{plain.name} {plain.size} {[(k, tuple(v.shape)) for k, v in plain.state_dict().items()]} {plain}"
    if key not in _traced:
        for module in plain.modules():
            if getattr(module, "inplace", False):
                # Of no use here, and tracing a ReLU6 in place takes twice as long.
                module.inplace = False  # type: ignore[assignment]
        # Two images: a batch of one would be taken for a constant.
        example = torch.zeros(2, plain.channels, plain.size, plain.size)
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
            optimize=False,
        )
        assert program is not None
        graph = program.model
        if not _replaceable(plain, graph):
            return graph
        for name in _weights(plain, graph):
            graph.graph.initializers[name].const_value = None  # a deep network's are hundreds of megabytes
        _traced.clear()
        _traced[key] = graph
    return _traced[key]


def _weights(plain: Embedder, graph: Any) -> dict[str, torch.Tensor]:
    """What of the network's weights stands in its graph, by the name that it has in both."""
    return {name: value for name, value in plain.state_dict().items() if name in graph.graph.initializers}


def _replaceable(plain: Embedder, graph: Any) -> bool:
    """Whether the graph holds all weights under their own names: then others may take their places."""
    wanted = {name for name, value in plain.state_dict().items() if value.is_floating_point()}
    return wanted <= _weights(plain, graph).keys()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Let nothing be printed or logged: the exporter tells of its progress."""
    silent = io.StringIO()
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            yield
    finally:
        logging.disable(before)


def export_head(weight: Floats, bias: Floats, path: Path) -> None:
    """Write a linear layer to `path`, weight (dim, width) and bias (dim,): "feature" (batch, width) to (batch, dim).

    It is written as it is, node by node, in no time: torch's exporter takes seconds for a graph of one.
    """
    (dim, width), kind = weight.shape, TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gemm", [OUTPUT, "weight", "bias"], [HEAD_OUTPUT], transB=1)],
        "head",
        [onnx.helper.make_tensor_value_info(OUTPUT, kind, ["batch", width])],
        [onnx.helper.make_tensor_value_info(HEAD_OUTPUT, kind, ["batch", dim])],
        [
            onnx.numpy_helper.from_array(np.ascontiguousarray(weight, dtype=np.float32), "weight"),
            onnx.numpy_helper.from_array(np.ascontiguousarray(bias, dtype=np.float32), "bias"),
        ],
    )
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    path.write_bytes(proto.SerializeToString())
    check_bundle(path)


def write_brought(write: Callable[[Path, bool], None], path: Path, name: str) -> int:
    """Let `write(path, alone)` make the bundle of a brought model; returns the width of its feature.

    One that cannot take several images at once, whatever is tried, is made to take them one at a time. Raises
    EmbedderError, which calls the model `name`.
    """
    try:
        write(path, False)
        return check_answers(path, name)
    except EmbedderError:  # alone it may be sound; what is wrong in either way is said of that
        write(path, True)
        return check_answers(path, name)


def check_answers(path: Path, name: str | None = None) -> int:
    """Return the width of what a bundle gives; EmbedderError for one that gives no features of images.

    Two images at once have to give what each gives alone, finite, and not the same.
    """
    check_bundle(path)
    shown = name or str(path)
    network = Runtime(path, threads=1)
    images = np.random.default_rng(0).normal(0, 1, (2, *network.input_shape)).astype(np.float32)
    try:
        alone = np.concatenate([network.features(images[i : i + 1]) for i in (0, 1)])
    except Exception as error:  # ONNX Runtime's own exceptions share no base class but Exception
        raise EmbedderError(f"{shown}: the model does not run: {first_line(error)}", hint=HINT) from None
    try:
        both = network.features(images)
    except Exception as error:
        why = first_line(error).rpartition("while running ")[2].partition(" Status Message")[0].strip().rstrip(".")
        raise EmbedderError(
            f"{shown}: one image runs and two at once do not, at {why}: its batch is fixed",
            hint="export it with an open batch, or --set embedder.output=NAME names a tensor before that node",
        ) from None
    if not np.isfinite(both).all():
        raise EmbedderError(f"{shown}: its features are NaN or infinite for plain noise", hint="export it in float32")
    if both.shape != alone.shape or not np.allclose(both, alone, rtol=1e-3, atol=1e-4 * float(np.abs(both).max())):
        raise EmbedderError(
            f"{shown}: two images at once give other features than each alone: its batch is fixed",
            hint="export it with an open batch: dynamic_shapes=({0: torch.export.Dim('batch')},)",
        )
    if np.allclose(both[0], both[1], rtol=1e-6, atol=0):
        raise EmbedderError(f"{shown}: two images of noise have the same feature", hint="name another embedder.output")
    return network.dim


def check_bundle(path: Path) -> None:
    """Accept a self-contained bundle of opset 18 with plain ONNX operators; EmbedderError says what else it is.

    External data would read files beside the bundle, operators of other domains need code that a query lacks.
    """
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:
        # protobuf's DecodeError lives in a package that we do not depend on.
        raise EmbedderError(f"cannot read the ONNX bundle {path}: {str(error)[:200]}", hint=HINT) from error
    tensors = [message for message in messages(proto) if isinstance(message, TensorProto)]
    outside = [t.name for t in tensors if t.data_location == TensorProto.EXTERNAL or t.external_data]
    if outside:
        raise EmbedderError(f"ONNX bundle {path}: {len(outside)} tensors in other files, as {outside[0]}", hint=HINT)
    strange = strange_operators(proto)
    if strange or proto.functions:
        names = ", ".join(strange[:3] or [function.name for function in proto.functions][:3])
        raise EmbedderError(f"ONNX bundle {path}: operators that are not plain ONNX: {names}", hint=HINT)
    opsets = {entry.domain: entry.version for entry in proto.opset_import if entry.domain in PLAIN_DOMAINS}
    if list(opsets.values()) != [OPSET]:
        raise EmbedderError(f"ONNX bundle {path}: expected opset {OPSET}, seen {opsets or 'none'}", hint=HINT)
