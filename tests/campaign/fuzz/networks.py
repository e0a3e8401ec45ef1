"""Networks that somebody brings: weights as safetensors and .pth, and models as ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from campaign.fuzz.files import Files
from campaign.fuzz.mutating import EDGES, TEXTS, changed, value
from campaign.fuzz.parser import Input, Parser, Wrong

WORDS = ("image", "weight", "table", "map", "y", "Conv", "Reshape", "Loop", "If", "Scan", "Resize", "Upsample", "com.x")
BACKBONE, DIM, SIDE = "mnist_cnn", 8, 12


def make_weights(folder: Path) -> None:
    """Write the weights of a small network, as safetensors and as torch's own files."""
    import torch

    from simsearch.embedder.networks.embedder import build_embedder
    from simsearch.embedder.networks.saving import save_weights

    network = build_embedder(BACKBONE, DIM, seed=1)
    save_weights(network, folder / "ours.safetensors", mean=(0.5,), std=(0.25,))
    torch.save(network.state_dict(), folder / "state.pth")
    torch.save({"model": network.state_dict()}, folder / "old.pt", _use_new_zipfile_serialization=False)


def make_models(folder: Path) -> None:
    """Write small models: two sizes of their batch, an older opset, and a function of their own."""
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(3)
    weights = [
        numpy_helper.from_array(draw.standard_normal((4, 3, 3, 3)).astype(np.float32), "weight"),
        numpy_helper.from_array(draw.standard_normal((4, 6)).astype(np.float32), "table"),
        numpy_helper.from_array(np.array([2, 3], dtype=np.int64), "axes"),
    ]
    for name, opset, batch in (("open", 18, "n"), ("fixed", 18, 1), ("older", 13, "n"), ("oldest", 11, 2)):
        pooled = {"axes": [2, 3]} if opset < 18 else {}
        nodes = [
            helper.make_node("Conv", ["image", "weight"], ["before"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["before"], ["map"]),
            helper.make_node("ReduceMean", ["map"] if pooled else ["map", "axes"], ["pooled"], keepdims=0, **pooled),
            helper.make_node("MatMul", ["pooled", "table"], ["y"]),
        ]
        if name == "fixed":
            flat = numpy_helper.from_array(np.array([1, 6], dtype=np.int64), "flat")
            nodes[-1].output[0] = "before_y"
            nodes.append(helper.make_node("Reshape", ["before_y", "flat"], ["y"]))
            weights = [*weights, flat]
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], weights,
        )  # fmt: skip
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        (folder / f"{name}.onnx").write_bytes(proto.SerializeToString())


class Weights(Files):
    """Loads weights into a network; each of its numbers is finite, and its shapes are its own."""

    def changed(self, chosen: Random) -> Input:
        name = chosen.choice(list(self.files))
        data = self.files[name]
        if name.endswith(".safetensors") and chosen.random() < 0.6:
            length = int.from_bytes(data[:8], "little")
            text = json.dumps(value(chosen, json.loads(data[8 : 8 + length]))).encode()
            return Input(name, len(text).to_bytes(8, "little") + text + data[8 + length :])
        return Input(name, changed(chosen, data, [data]))

    def answer(self, path: Path) -> Any:
        from simsearch.embedder.networks.embedder import build_embedder
        from simsearch.embedder.networks.weights import weights_preprocessing

        said = weights_preprocessing(path, BACKBONE)
        network = build_embedder(BACKBONE, DIM, weights=path)
        tensors = network.state_dict()
        if any(tensor.is_floating_point() and not bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise Wrong("a number that is not finite")
        return said, [(name, tensor.numpy().tobytes()) for name, tensor in tensors.items()]


class Models(Files):
    """Makes a bundle of a model and runs it: features of the width that was said."""

    def changed(self, chosen: Random) -> Input:
        name = chosen.choice(list(self.files))
        if chosen.random() < 0.35:
            return Input(name, changed(chosen, self.files[name], list(self.files.values())))
        import onnx

        proto = onnx.load_from_string(self.files[name])
        for _ in range(1 + int(chosen.expovariate(1))):
            _change_a_field(chosen, proto)
        return Input(name, proto.SerializeToString())

    def answer(self, path: Path) -> Any:
        from simsearch.embedder.bundle.runtime import Runtime
        from simsearch.embedder.networks.families import find_backbone

        spec = find_backbone(f"onnx:{path}")
        side = spec.size or SIDE
        width = spec.width(side)
        assert spec.brought is not None
        out = path.with_suffix(".bundle")
        from functools import partial

        from simsearch.embedder.bundle.export import write_brought

        if write_brought(partial(spec.brought.write, side), out, spec.shown) != width:
            raise Wrong("a bundle of another width than was said")
        spec.brought.files()
        if side > 256:
            return [side, width]
        found = Runtime(out, threads=1).features(np.ones((2, spec.channels, side, side), dtype=np.float32))
        if found.shape != (2, width) or found.dtype != np.float32:
            raise Wrong(f"features {found.dtype} {found.shape}, of a width {width}")
        return found.tobytes()


def _change_a_field(chosen: Random, message: Any) -> None:
    """Change, take away or double a field somewhere below a message of protobuf."""
    while True:
        fields = [field for field, _ in message.ListFields()]
        if not fields:
            return
        field = chosen.choice(fields)
        held = getattr(message, field.name)
        many = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        deeper = field.type == field.TYPE_MESSAGE
        if deeper and chosen.random() < 0.85:
            message = chosen.choice(held) if many else held
            continue
        break
    how = chosen.random()
    if how < 0.15:
        message.ClearField(field.name)
    elif many and (how < 0.4 or deeper):
        at = chosen.randrange(len(held))
        kept = list(held)
        if how < 0.3:
            del held[at]
        elif deeper:
            held.add().CopyFrom(kept[at])
        else:
            held.append(kept[at])
    elif deeper:
        message.ClearField(field.name)
    else:
        at = chosen.randrange(len(held)) if many else None
        old = held if at is None else held[at]
        new = _scalar(chosen, old)
        try:
            if at is None:
                setattr(message, field.name, new)
            else:
                held[at] = new
        except (ValueError, TypeError, OverflowError):  # a field that takes no such number
            message.ClearField(field.name)


def _scalar(chosen: Random, old: Any) -> Any:
    if isinstance(old, str):
        return chosen.choice((*WORDS, *(text for text in TEXTS if text != "\ud800")))
    if isinstance(old, bytes):
        return changed(chosen, old)
    if isinstance(old, float):
        return chosen.choice((0.0, -1.0, 1e38, float("nan"), float("inf")))
    return chosen.choice((old + 1, old - 1, -old, *EDGES, -1, -(2**31), 2**20))


PARSERS = (
    Parser("weights", make_weights, Weights, megabytes=512),
    Parser("ONNX", make_models, Models, megabytes=1024),
)
