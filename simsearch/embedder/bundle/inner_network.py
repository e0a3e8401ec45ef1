"""Maps of a backbone's inner stages by ONNX Runtime on the CPU, for pictures of any height and width; no torch."""

from __future__ import annotations

import numpy as np

from simsearch.arrays import Floats
from simsearch.embedder.networks.session import Session
from simsearch.errors import EmbedderError, first_line

MAP = "map_{}"  # the name of the output at a stride
HINT = "give sides that are multiples of the largest stride; or fit again: the file of inner maps may be damaged"


class InnerNetwork:
    """What `inner_maps` wrote, running: `widths` are the channels of the map at each stride; threads may share it.

    `channels` are those of the pictures.
    """

    def __init__(self, model: bytes, *, threads: int) -> None:
        """`threads` work on one batch. Raises EmbedderError for anything that `inner_maps` did not write."""
        try:
            self._session = Session(model, threads=threads)
        except Exception as error:  # ONNX Runtime's own exceptions share no base class but Exception
            raise EmbedderError(f"cannot use the model of inner maps: {first_line(error)}", hint=HINT) from error
        outputs = {entry.name: tuple(entry.shape) for entry in self._session.outputs}
        prefix = MAP.format("")
        named = all(name.startswith(prefix) and name.removeprefix(prefix).isdigit() for name in outputs)
        taken = [tuple(entry.shape) for entry in self._session.inputs]
        if not named or [len(shape) for shape in (*taken, *outputs.values())] != [4] * (1 + len(outputs)):
            raise EmbedderError(f"expected a model of inner maps, seen {taken} to {outputs}", hint=HINT)
        self._input = self._session.inputs[0].name
        self.channels: int = taken[0][1]
        self.widths: dict[int, int] = {
            int(name.removeprefix(prefix)): shape[1] for name, shape in sorted(outputs.items())
        }

    def maps(self, batch: Floats) -> dict[int, Floats]:
        """Return, for each stride, the maps (N, width, H / stride, W / stride) of a batch (N, C, H, W) float32.

        Raises EmbedderError for another shape, and for a network that fixes the side of its pictures after all.
        """
        if batch.ndim != 4 or batch.shape[1] != self.channels or batch.dtype != np.float32:
            raise EmbedderError(
                f"expected a batch (N, {self.channels}, height, width) float32, seen {batch.shape} {batch.dtype}",
                hint=HINT,
            )
        height, width = batch.shape[2:]
        try:
            found = self._session.run_all([MAP.format(stride) for stride in self.widths], {self._input: batch})
        except Exception as error:
            raise EmbedderError(f"no inner maps of {height} x {width} px: {first_line(error)}", hint=HINT) from error
        for stride, seen in zip(self.widths, found, strict=True):
            expected = len(batch), self.widths[stride], height / stride, width / stride
            if seen.shape != expected:
                raise EmbedderError(
                    f"the map at stride {stride} of {height} x {width} px: expected {expected}, seen {seen.shape}",
                    hint=HINT,
                )
        return dict(zip(self.widths, found, strict=True))
