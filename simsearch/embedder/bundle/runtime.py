"""The ONNX bundle run by ONNX Runtime on the CPU: what embeds a corpus and answers a query. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from simsearch.arrays import Floats
from simsearch.embedder.networks.session import Session
from simsearch.errors import EmbedderError, first_line

HINT = "build again: the bundle embedder.onnx is damaged or was not made by simsearch"


class Network:
    """An ONNX bundle of one input and one output, batches of both in their first dimension; threads may share it.

    One that takes a batch of 1 alone is run image by image.
    """

    takes: ClassVar[int]  # dimensions of its input
    shape: ClassVar[str]  # what it expects, in words

    def __init__(self, model: bytes | Path, *, threads: int) -> None:
        """`model` is the bundle or its path; `threads` work on one batch. Raises EmbedderError for anything else."""
        where = str(model) if isinstance(model, Path) else f"{len(model)} bytes"
        try:
            data = model.read_bytes() if isinstance(model, Path) else model
            self._session = Session(data, threads=threads)
        except OSError as error:
            raise EmbedderError(f"cannot read the ONNX bundle {where}: {error.strerror or error}", hint=HINT) from error
        except Exception as error:
            # ONNX Runtime's own exceptions share no base class but Exception.
            raise EmbedderError(f"cannot use the ONNX bundle {where}: {first_line(error)}", hint=HINT) from error
        inputs, outputs = self._session.inputs, self._session.outputs
        shapes = [tuple(entry.shape) for entry in (*inputs, *outputs)]
        if [len(shape) for shape in shapes] != [self.takes, 2] or not all(
            isinstance(side, int) and side > 0 for side in (*shapes[0][1:], shapes[1][1])
        ):
            raise EmbedderError(f"cannot use the ONNX bundle {where}: expected {self.shape}, seen {shapes}", hint=HINT)
        self._input, self._output = inputs[0].name, outputs[0].name
        self._alone = shapes[0][0] == 1  # a brought model whose batch cannot be opened
        self._expected: tuple[int, ...] = shapes[0][1:]
        self.dim: int = shapes[1][1]

    def features(self, batch: Floats) -> Floats:
        """Return raw features (N, dim) float32 of a batch float32; EmbedderError names both shapes where it differs."""
        if batch.ndim != self.takes or batch.shape[1:] != self._expected or batch.dtype != np.float32:
            expected = ", ".join(map(str, self._expected))
            raise EmbedderError(
                f"the embedder expects a batch (N, {expected}) float32, seen {batch.shape} {batch.dtype}",
                hint="images.size and the channels must be those of the build",
            )
        if not len(batch):
            return np.empty((0, self.dim), np.float32)
        if self._alone:
            return np.concatenate([self._session.run(self._output, {self._input: one[None]}) for one in batch])
        return self._session.run(self._output, {self._input: batch})


class Runtime(Network):
    """A network of images: batches (N, C, S, S) in, raw features (N, dim) out. `input_shape` is its (C, S, S)."""

    takes = 4
    shape = "(N, C, S, S) to (N, dim)"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The (C, S, S) that it takes."""
        channels, height, width = self._expected
        return channels, height, width


class Head(Network):
    """A head on a backbone: its features (N, width) in, raw features (N, dim) out."""

    takes = 2
    shape = "(N, width) to (N, dim)"
