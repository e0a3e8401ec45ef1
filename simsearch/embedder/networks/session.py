"""ONNX Runtime on the CPU, which tells nobody anything: what runs bundles, and files as they were brought."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simsearch.arrays import Floats

# It writes a device id and a log of events below the user's home folder when it is imported, unless told before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime


class Session:
    """A model that runs: `inputs` and `outputs` as ONNX Runtime describes them. Raises whatever that raises."""

    def __init__(self, model: bytes | Path, *, threads: int) -> None:
        """`model` is an ONNX file, which may keep tensors beside it, or its bytes; `threads` work on one batch."""
        onnxruntime.set_default_logger_severity(4)  # what fails is raised too, and would be told twice
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        given = str(model) if isinstance(model, Path) else model
        self._session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        self.inputs: list[Any] = self._session.get_inputs()
        self.outputs: list[Any] = self._session.get_outputs()

    def run(self, output: str, inputs: Mapping[str, Floats]) -> Floats:
        """Return one output, float32, of named inputs."""
        return self.run_all([output], inputs)[0]

    def run_all(self, outputs: Sequence[str], inputs: Mapping[str, Floats]) -> list[Floats]:
        """Return several outputs, float32, of named inputs, in their order."""
        found: list[Floats] = self._session.run(list(outputs), dict(inputs))
        return found
