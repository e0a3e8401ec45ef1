"""One checkpoint in a folder: after a kill or a power cut the previous one or the new one is there, never a mixture.

`checkpoint.json` names the tensor file, its sha256 and the state; it is written last. A tensor file carries its step
and the start of its sha256 in its name, so writing a new one never touches the one that the JSON still names.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as format_tensors
from torch import Tensor

from simsearch.durable import write_durably

NAME = "checkpoint.json"


def save(folder: Path, *, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write `tensors` (on the CPU) and `state` (JSON values, `step` among them) as the folder's only checkpoint.

    Raises OSError when the disk refuses.
    """
    data = format_tensors({name: tensor.contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    file = f"checkpoint-{int(state['step']):09d}-{digest[:16]}.safetensors"
    write_durably(folder / file, data)
    body = {"file": file, "sha256": digest, "state": state}
    text = json.dumps({**body, "body_sha256": _digest(body)}, indent=1, sort_keys=True)
    write_durably(folder / NAME, text.encode())
    for old in folder.glob("*checkpoint-*"):  # and what a kill left of one, which begins with a dot
        if old.name != file:
            old.unlink(missing_ok=True)


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return (tensors, state) of the folder's checkpoint; None when there is none or it is damaged in any way."""
    try:
        body = json.loads((folder / NAME).read_bytes())
        if body.pop("body_sha256") != _digest(body):
            return None
        data = (folder / Path(body["file"]).name).read_bytes()
        if hashlib.sha256(data).hexdigest() != body["sha256"]:
            return None
        return parse_tensors(data), dict(body["state"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
