"""The ONNX bundle run by ONNX Runtime on the CPU: what embeds a corpus and answers a query. Imports no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from simsearch.arrays import Floats
from simsearch.errors import EmbedderError, first_line

# It writes a device id and a log of events below the user's home folder when it is imported, unless told before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

HINT = "build again: the bundle embedder.onnx is damaged or was not made by simsearch"


class Runtime:
    """An embedder: batches of images in, raw features out. May be used from several threads at once.

    `dim` is the feature's length, `input_shape` the (C, S, S) that it takes.
    """

    def __init__(self, model: bytes | Path, *, threads: int) -> None:
        """`model` is the bundle or its path; `threads` work on one batch. Raises EmbedderError for anything else."""
        where = str(model) if isinstance(model, Path) else f"{len(model)} bytes"
        try:
            data = model.read_bytes() if isinstance(model, Path) else model
            self._session = _session(data, threads)
        except OSError as error:
            raise EmbedderError(f"cannot read the ONNX bundle {where}: {error.strerror or error}", hint=HINT) from error
        except Exception as error:
            # ONNX Runtime's own exceptions share no base class but Exception.
            raise EmbedderError(f"cannot use the ONNX bundle {where}: {first_line(error)}", hint=HINT) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shapes = [tuple(entry.shape) for entry in (*inputs, *outputs)]
        if [len(shape) for shape in shapes] != [4, 2] or not all(
            isinstance(side, int) and side > 0 for side in (*shapes[0][1:], shapes[1][1])
        ):
            raise EmbedderError(
                f"cannot use the ONNX bundle {where}: expected (N, C, S, S) to (N, dim), seen {shapes}", hint=HINT
            )
        self._input, self._output = inputs[0].name, outputs[0].name
        self.input_shape: tuple[int, int, int] = shapes[0][1:]
        self.dim: int = shapes[1][1]

    def features(self, batch: Floats) -> Floats:
        """Return raw features (N, dim) float32 of a batch (N, C, S, S) float32.

        Raises EmbedderError for another shape or type, naming both.
        """
        if batch.ndim != 4 or batch.shape[1:] != self.input_shape or batch.dtype != np.float32:
            expected = ", ".join(map(str, self.input_shape))
            raise EmbedderError(
                f"the embedder expects a batch (N, {expected}) float32, seen {batch.shape} {batch.dtype}",
                hint="images.size and the channels must be those of the build",
            )
        if not len(batch):
            return np.empty((0, self.dim), np.float32)
        features: Floats = self._session.run([self._output], {self._input: batch})[0]
        return features


def _session(data: bytes, threads: int) -> Any:
    onnxruntime.set_default_logger_severity(3)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
