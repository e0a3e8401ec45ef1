"""An ONNX file that somebody brings -> one strict bundle: a square input, one feature, plain operators, opset 18.

Peers fail on these files in known ways: tensors in a second file, a side or a batch that is fixed or open, several
outputs, class scores for a feature. Each is mended or refused by name.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import (
    ModelProto,
    TensorProto,
    ValueInfoProto,
    external_data_helper,
    inliner,
    shape_inference,
    version_converter,
)

from simsearch.embedder.networks.onnx_batch import open_reshapes, without_gelu
from simsearch.embedder.networks.onnx_end import (
    EXPORT_AGAIN,
    Shape,
    chosen_output,
    end_with,
    rename,
    shape_of,
    shape_words,
)
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

LEAST_IR = 8
COLOURS = 3  # where the channels are left open
MOST_BYTES = 2_000_000_000  # of a model: protobuf writes no larger file


@dataclass(frozen=True)
class Described:
    """What a model says of its input: channels, and side in pixels (None: any)."""

    channels: int
    side: int | None


def describe(path: Path) -> Described:
    """Return what an ONNX file says of its input; EmbedderError for what is no model of square images."""
    proto = _load(path)
    taken = _image_input(proto, path)
    shape = shape_of(taken)
    height, width = shape[2:]
    if height is not None and width is not None and height != width:
        raise EmbedderError(
            f"{path}: expected an input of square images, seen {height} x {width} px", hint=EXPORT_AGAIN
        )
    return Described(int(shape[1] or COLOURS), height or width)


def files_of(path: Path) -> list[Path]:
    """Return the file of a model and the files beside it that hold its tensors, each once, sorted after the first.

    Raises EmbedderError for one that is missing, that lies in another folder, or that makes the model too large.
    """
    proto = _load(path)
    names = sorted(
        {_location(tensor, path) for tensor in _tensors(proto) if tensor.data_location == TensorProto.EXTERNAL}
    )
    found, size = [path], path.stat().st_size
    for name in names:
        beside = path.parent / name
        try:
            status = beside.lstat()
        except OSError as error:
            raise EmbedderError(
                f"{path} keeps tensors in {name}, which is not beside it: {error.strerror or error}",
                hint=f"put {name} into {path.parent}, or export the model as one file (external_data=False)",
            ) from None
        if not stat.S_ISREG(status.st_mode):
            raise EmbedderError(f"{beside}: expected a file, seen a link or folder", hint="copy the file itself there")
        size += status.st_size
        found.append(beside)
    if size > MOST_BYTES:
        raise EmbedderError(
            f"{path} has {size / 1e9:.1f} GB with its tensors: expected at most {MOST_BYTES / 1e9:.0f} GB",
            hint="take a smaller model of the same family",
        )
    return found


def strict(path: Path, side: int, output: str | None, pooling: str | None, *, alone: bool = False) -> ModelProto:
    """Return the model as a bundle: "image" (batch, C, side, side) float32 to "feature" (batch, width) float32.

    `output` names a tensor of the model, an output or one inside; None: its only output that is a feature. A map
    (N, D, H, W) needs pooling mean or max, tokens (N, T, D) mean, max or cls (the first). `alone`: for one image at a
    time, whose batch is 1 everywhere. Raises EmbedderError.
    """
    try:
        return _strict(path, side, output, pooling, alone)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        # Text and tensors are decoded where they are looked at, which is throughout.
        raise EmbedderError(f"{path} is no sound ONNX model: {first_line(error)}", hint=EXPORT_AGAIN) from None


def _strict(path: Path, side: int, output: str | None, pooling: str | None, alone: bool) -> ModelProto:
    files_of(path)
    proto = _load(path)
    _load_beside(proto, path)
    for tensor in _tensors(proto):
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    if proto.functions:
        proto = _inlined(proto, path)
    _refuse_custom(proto, path)
    without_gelu(proto)
    proto = _converted(proto, path)
    rename(proto, OUTPUT, inside := f"{OUTPUT}_inside")  # the name of what the bundle gives
    output = inside if output == OUTPUT else output
    taken = _image_input(proto, path)
    if not alone:
        open_reshapes(proto, taken.name, shape_of(taken)[0] or 1)
    _fix_input(proto, taken, side, alone)
    name, shape = chosen_output(_inferred(proto, path), [entry.name for entry in proto.graph.output], output, path)
    end_with(proto, name, shape, pooling, path)
    rename(proto, taken.name, INPUT)
    strip(proto)
    return proto


def _load(path: Path) -> ModelProto:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        if status.st_size > MOST_BYTES:
            raise ValueError(f"larger than {MOST_BYTES:,} bytes")
        proto = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise EmbedderError(f"no model {path}", hint="check the path: --set embedder.backbone=onnx:FILE.onnx") from None
    except Exception as error:  # protobuf's DecodeError lives in a package that we do not depend on
        raise EmbedderError(f"cannot read {path} as an ONNX model: {first_line(error)}", hint=EXPORT_AGAIN) from None
    if not proto.graph.node:
        raise EmbedderError(f"{path} holds no ONNX model: its graph has no node", hint=EXPORT_AGAIN)
    return proto


def _image_input(proto: ModelProto, path: Path) -> ValueInfoProto:
    """Return the one input that is not a weight: (N, 1 or 3, H, W) float32."""
    held = {tensor.name for tensor in proto.graph.initializer}
    inputs = [entry for entry in proto.graph.input if entry.name not in held]
    shapes = "; ".join(f"{entry.name} {shape_words(shape_of(entry))}" for entry in inputs) or "none"
    if len(inputs) != 1 or len(shape_of(inputs[0])) != 4 or shape_of(inputs[0])[1] not in (1, 3, None):
        raise EmbedderError(
            f"{path}: expected one input, images (N, 1 or 3, height, width), seen {shapes}",
            hint="export the part of the model that takes images, channels first",
        )
    kind = inputs[0].type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        known = kind in TensorProto.DataType.values()
        seen = TensorProto.DataType.Name(kind).lower() if known else f"type {kind}, which no version has"
        raise EmbedderError(
            f"{path}: expected an input of float32, seen {seen}",
            hint="export the model in float32",
        )
    found: ValueInfoProto = inputs[0]
    return found


def _tensors(proto: ModelProto) -> Iterator[TensorProto]:
    return (message for message in messages(proto) if isinstance(message, TensorProto))


def _location(tensor: TensorProto, path: Path) -> str:
    """Return the name of the file beside a model that holds a tensor; a path that leads elsewhere is refused."""
    name = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name or os.path.isabs(name):
        raise EmbedderError(
            f"{path} keeps a tensor in {name!r}: expected the plain name of a file beside it",
            hint="export the model as one file (external_data=False)",
        )
    return name


def _load_beside(proto: ModelProto, path: Path) -> None:
    """Read the tensors that lie in files beside the model; EmbedderError where such a file does not hold them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of keys that onnx does not know
            external_data_helper.load_external_data_for_model(proto, str(path.parent))
    except Exception as error:  # onnx raises what its checks, Python or C++ below raise
        raise EmbedderError(
            f"{path}: the files beside it do not hold its tensors: {first_line(error)}",
            hint="copy all files of the model again, or export it as one file (external_data=False)",
        ) from None


def _inlined(proto: ModelProto, path: Path) -> ModelProto:
    try:
        return inliner.inline_local_functions(proto)
    except Exception as error:
        raise EmbedderError(
            f"{path}: its functions cannot be written out: {first_line(error)}", hint=EXPORT_AGAIN
        ) from None


def _refuse_custom(proto: ModelProto, path: Path) -> None:
    strange = strange_operators(proto)
    if strange:
        raise EmbedderError(
            f"{path}: operators that are not plain ONNX: {', '.join(strange[:3])}",
            hint=f"{EXPORT_AGAIN}; a model that was optimized or quantized for one runtime has such operators",
        )


def _converted(proto: ModelProto, path: Path) -> ModelProto:
    versions = [entry.version for entry in proto.opset_import if entry.domain in PLAIN_DOMAINS]
    if versions != [OPSET]:
        try:
            proto = version_converter.convert_version(proto, OPSET)
        except Exception as error:  # the converter's own classes, and those of C++
            seen = versions[0] if versions else "none"
            raise EmbedderError(
                f"{path}: opset {seen} cannot be converted to {OPSET}: {first_line(error)}", hint=EXPORT_AGAIN
            ) from None
    plain = [entry for entry in proto.opset_import if entry.domain in PLAIN_DOMAINS]
    del proto.opset_import[:]
    proto.opset_import.extend(plain)
    proto.ir_version = max(proto.ir_version, LEAST_IR)
    return proto


def _fix_input(proto: ModelProto, taken: ValueInfoProto, side: int, alone: bool) -> None:
    """Set the side of the input, open the batch (`alone`: 1), and forget the shapes that followed from others."""
    dims = taken.type.tensor_type.shape.dim
    if alone:
        dims[0].dim_value = 1
    else:
        dims[0].dim_param = "batch"
    dims[1].dim_value = dims[1].dim_value or COLOURS
    dims[2].dim_value = dims[3].dim_value = side
    del proto.graph.value_info[:]
    for entry in proto.graph.output:
        entry.type.tensor_type.ClearField("shape")


def _inferred(proto: ModelProto, path: Path) -> dict[str, Shape]:
    """Return the shape of every tensor of the graph, outputs first."""
    try:
        found = shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    except Exception as error:
        raise EmbedderError(
            f"{path} does not take images of this side: {first_line(error)}", hint="leave images.size out"
        ) from None
    return {entry.name: shape_of(entry) for entry in (*found.graph.output, *found.graph.value_info)}
