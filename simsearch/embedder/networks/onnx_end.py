"""The end of a model's graph: which tensor is the feature, how it is pooled, and what is left out then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from simsearch.embedder.networks.onnx_plain import OUTPUT
from simsearch.errors import EmbedderError, did_you_mean

Shape = tuple[int | None, ...]  # None: not fixed
POOLINGS = ("mean", "max", "cls")
SHOWN = 4  # tensors inside a model, in a hint
EXPORT_AGAIN = "export it again with opset 18 and plain operators: torch.onnx.export(model, image, FILE, dynamo=True)"


def shape_of(entry: ValueInfoProto) -> Shape:
    """Return the shape of an input or output."""
    dims = entry.type.tensor_type.shape.dim
    return tuple(
        dim.dim_value if dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0 else None for dim in dims
    )


def shape_words(shape: Shape) -> str:
    """Return a shape as people read it: "(?, 3, 224, 224)"."""
    return f"({', '.join('?' if side is None else str(side) for side in shape)})"


def inner_graphs(node: NodeProto) -> list[GraphProto]:
    """Return the graphs inside a node, as the branches of an If."""
    found = []
    for attribute in node.attribute:
        found += [attribute.g] if attribute.HasField("g") else []
        found += attribute.graphs
    return found


def chosen_output(
    shapes: Mapping[str, Shape], outputs: Sequence[str], output: str | None, path: Path
) -> tuple[str, Shape]:
    """Return name and shape of the tensor that is the feature, or is pooled to it.

    `shapes`: of every tensor; `output`: the one that is asked for. Raises EmbedderError where it must be asked for.
    """
    listed = ", ".join(f"{name} {shape_words(shapes[name])}" for name in outputs)
    if output is not None:
        if output not in shapes:
            raise EmbedderError(
                f"{path} has no tensor {output!r}{did_you_mean(output, shapes)}",
                hint=f"its outputs: {listed}; before them: {_last_inside(shapes, outputs)}",
            )
        return output, shapes[output]
    for dimensions in (2, 4, 3):  # a feature; else a map or tokens, if it is the only one
        found = [name for name in outputs if len(shapes[name]) == dimensions]
        if len(found) == 1:
            return found[0], shapes[found[0]]
        if found:
            break
    raise EmbedderError(f"{path}: which output is the feature? Seen {listed}", hint="--set embedder.output=NAME")


def _last_inside(shapes: Mapping[str, Shape], outputs: Sequence[str]) -> str:
    """Return the last tensors inside that could be a feature, in words, the last first."""
    inside = [name for name, shape in shapes.items() if name not in outputs and len(shape) in (2, 3, 4)]
    return ", ".join(f"{name} {shape_words(shapes[name])}" for name in inside[: -SHOWN - 1 : -1]) or "none"


def end_with(proto: ModelProto, name: str, shape: Shape, pooling: str | None, path: Path) -> None:
    """Let the graph end with a tensor, pooled where it is a map or tokens, as its only output: `OUTPUT`, (N, width).

    Raises EmbedderError where `pooling` does not suit its shape.
    """
    legal = {2: (), 3: POOLINGS, 4: ("mean", "max")}.get(len(shape))
    if legal is None:
        raise EmbedderError(
            f"{path}: expected (N, D), (N, tokens, D) or (N, D, H, W) for {name}, seen {shape_words(shape)}",
            hint="--set embedder.output=NAME names another tensor",
        )
    if len(shape) == 4 and shape[2:] == (1, 1) and pooling is None:
        pooling = "mean"  # nothing is left to choose
    if pooling not in (legal or (None,)):
        wanted = f"embedder.pooling {' or '.join(legal)}" if legal else "no embedder.pooling"
        hint = f"--set embedder.pooling={legal[0]}" if legal else "leave embedder.pooling out"
        raise EmbedderError(f"{path}: {name} is {shape_words(shape)}: expected {wanted}, seen {pooling}", hint=hint)
    width = shape[2] if len(shape) == 3 else shape[1]
    if width is None:
        raise EmbedderError(f"{path}: the width of {name} {shape_words(shape)} is not fixed", hint=EXPORT_AGAIN)
    graph = proto.graph
    if pooling == "cls":
        graph.initializer.append(helper.make_tensor(f"{OUTPUT}_at", TensorProto.INT64, (), [0]))
        graph.node.append(helper.make_node("Gather", [name, f"{OUTPUT}_at"], [OUTPUT], axis=1))
    elif pooling is not None:
        axes = [1] if len(shape) == 3 else [2, 3]
        graph.initializer.append(helper.make_tensor(f"{OUTPUT}_axes", TensorProto.INT64, (len(axes),), axes))
        kind = {"mean": "ReduceMean", "max": "ReduceMax"}[pooling]
        graph.node.append(helper.make_node(kind, [name, f"{OUTPUT}_axes"], [OUTPUT], keepdims=0))
    elif name != OUTPUT:
        graph.node.append(helper.make_node("Identity", [name], [OUTPUT]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", width]))
    drop_idle(proto, {OUTPUT})


def drop_idle(proto: ModelProto, outputs: set[str]) -> None:
    """Remove the nodes and weights that the outputs do not need, as a classifier behind the feature."""
    graph, needed, kept = proto.graph, set(outputs), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input) | {name for inner in inner_graphs(node) for name in _names(inner)}
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    held = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(held)
    weights = {tensor.name for tensor in held}
    taken = [entry for entry in graph.input if entry.name in needed and entry.name not in weights]
    del graph.input[:]
    graph.input.extend(taken)


def _names(graph: GraphProto) -> Iterator[str]:
    """Yield the tensors that an inner graph, and those inside it, may take from around them."""
    for node in graph.node:
        yield from node.input
        for inner in inner_graphs(node):
            yield from _names(inner)
    yield from (entry.name for entry in graph.output)


def rename(proto: ModelProto, old: str, new: str) -> None:
    """Rename a tensor, also where graphs inside take it; one that has the new name already gives way."""
    if old != new:
        names = {name for node in _nodes(proto.graph) for name in (*node.input, *node.output)}
        _swap(proto.graph, {old: new, **({new: f"{new}_inside"} if new in names else {})})


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for inner in inner_graphs(node):
            yield from _nodes(inner)


def _swap(graph: GraphProto, swap: Mapping[str, str]) -> None:
    for node in graph.node:
        for field in (node.input, node.output):
            renamed = [swap.get(name, name) for name in field]
            del field[:]
            field.extend(renamed)
        for inner in inner_graphs(node):
            _swap(inner, swap)
    for entry in (*graph.input, *graph.initializer, *graph.output):
        entry.name = swap.get(entry.name, entry.name)
