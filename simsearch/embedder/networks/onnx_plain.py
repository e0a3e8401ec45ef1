"""What a bundle is held to, ours and one that somebody brings: one opset, plain operators, nothing of a machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx import AttributeProto, ModelProto, NodeProto

OPSET = 18
INPUT, OUTPUT = "image", "feature"
PLAIN_DOMAINS = ("", "ai.onnx")


def messages(message: Any) -> Iterator[Any]:
    """Yield a message and all that it holds; what is cleared in one while it is looked at is not gone into."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from messages(inner)


def strange_operators(proto: ModelProto) -> list[str]:
    """Return the operators of a model, those of inner graphs too, that are not plain ONNX, by name."""
    nodes = (message for message in messages(proto) if isinstance(message, NodeProto))
    return sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in PLAIN_DOMAINS})


def strip(proto: ModelProto) -> None:
    """Remove documentation and metadata from `proto` in place: the exporter puts local paths (stack traces) there."""
    for message in messages(proto):
        for name in ("doc_string", "metadata_props"):
            if hasattr(message, name):
                message.ClearField(name)
        if isinstance(message, AttributeProto):
            message.doc_string = ""  # not left out, so that the same graph has the same bytes in all versions
