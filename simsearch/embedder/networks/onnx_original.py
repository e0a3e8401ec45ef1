"""A brought ONNX file as it is, run by ONNX Runtime: what the bundle that is made of it is proved against."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, helper

from simsearch.arrays import Floats
from simsearch.embedder.networks.family import Feature
from simsearch.embedder.networks.onnx_end import chosen_output
from simsearch.embedder.networks.session import Session
from simsearch.errors import EmbedderError, first_line

POOLED: dict[str, Callable[[Floats], Floats]] = {
    "mean": lambda values: values.mean(axis=(2, 3) if values.ndim == 4 else 1),
    "max": lambda values: values.max(axis=(2, 3) if values.ndim == 4 else 1),
    "cls": lambda values: values[:, 0],
}


def original(path: Path, feature: Feature, threads: int) -> Callable[[Floats], Floats]:
    """Return (N, C, S, S) float32 to (N, width) float32 by the file itself: its own opset, shapes and operators.

    Nothing of it is changed but that a tensor inside, where that is the `feature`, becomes an output. Raises
    EmbedderError where it does not run.
    """
    try:
        session = Session(_with_output(path, feature.output), threads=threads)
        shapes = {entry.name: tuple(entry.shape) for entry in session.outputs}
        name = feature.output or _only(shapes, path)
        taken = session.inputs[0]
    except EmbedderError:
        raise
    except Exception as error:  # ONNX Runtime's own exceptions share no base class but Exception
        raise EmbedderError(
            f"{path} does not run as it is: {first_line(error)}", hint="export it again with another opset"
        ) from None
    fixed = taken.shape[0] if isinstance(taken.shape[0], int) else None

    def features(batch: Floats) -> Floats:
        parts = [batch] if fixed is None else [np.repeat(image[None], fixed, axis=0) for image in batch]
        found = [session.run(name, {taken.name: part}) for part in parts]
        values = found[0] if fixed is None else np.stack([one[0] for one in found])
        return values if feature.pooling is None else POOLED[feature.pooling](values)

    return features


def _only(shapes: dict[str, tuple[object, ...]], path: Path) -> str:
    plain = {name: tuple(side if isinstance(side, int) else None for side in shape) for name, shape in shapes.items()}
    return chosen_output(plain, list(plain), None, path)[0]


def _with_output(path: Path, output: str | None) -> bytes | Path:
    """Return a model's file, or its bytes with a tensor inside as one more output."""
    proto = onnx.load(path, load_external_data=False)
    if output is None or output in {entry.name for entry in proto.graph.output}:
        return path
    external_data_helper.load_external_data_for_model(proto, str(path.parent))
    proto.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    data: bytes = proto.SerializeToString()
    return data
