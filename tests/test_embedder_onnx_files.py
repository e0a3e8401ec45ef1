"""simsearch/embedder/networks/onnx_files.py and onnx_end.py: models that people bring, made strict or refused."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from simsearch.embedder.bundle.export import check_answers, check_bundle
from simsearch.embedder.bundle.runtime import Runtime
from simsearch.embedder.networks.onnx_files import describe, files_of, strict
from simsearch.embedder.networks.onnx_plain import OPSET
from simsearch.errors import EmbedderError
from simsearch.recipe.recipe import make_recipe

WIDTH, SIDE = 5, 8


def model(
    *, batch="n", side=SIDE, channels=3, opset=18, outputs=("pooled",), kind=TensorProto.FLOAT, more=(), taken="x"
):
    """A convolution, its map, tokens of it, and the mean: (N, C, S, S) to map (N, 5, S, S), pooled (N, 5)."""
    random = np.random.default_rng(0)
    weights = {"weight": random.normal(0, 1, (WIDTH, channels, 3, 3)).astype(np.float32)}
    weights |= {"flat": np.array([0, WIDTH, -1], np.int64), "axes": np.array([2, 3], np.int64)}
    weights |= {"table": random.normal(0, 1, (WIDTH, 7)).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", [taken, "weight"], ["before"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["before"], ["map"]),
        helper.make_node("Reshape", ["map", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["tokens"], perm=[0, 2, 1]),
        helper.make_node("ReduceMean", ["map", "axes"], ["pooled"], keepdims=0)
        if opset >= 18
        else helper.make_node("ReduceMean", ["map"], ["pooled"], keepdims=0, axes=[2, 3]),
        helper.make_node("MatMul", ["pooled", "table"], ["logits"]),
        *more,
    ]
    shape = [batch, channels, side, side]
    graph = helper.make_graph(
        nodes,
        "brought",
        [helper.make_tensor_value_info(taken, kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    domains = {"", *(node.domain for node in nodes)}
    opsets = [helper.make_opsetid(domain, opset if not domain else 1) for domain in sorted(domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def written(tmp_path, proto, name="model.onnx"):
    path = tmp_path / name
    path.write_bytes(proto.SerializeToString())
    return path


def features(tmp_path, path, images, *, side=SIDE, output=None, pooling=None):
    out = written(tmp_path, strict(path, side, output, pooling), "strict.onnx")
    check_bundle(out)
    return Runtime(out, threads=1).features(images)


def noise(count=3, channels=3, side=SIDE):
    return np.random.default_rng(1).normal(0, 1, (count, channels, side, side)).astype(np.float32)


def maps_of(images, path):
    """What the convolution gives, by a plain loop."""
    weight = numpy_helper.to_array(next(t for t in onnx.load(path).graph.initializer if t.name == "weight"))
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(images), WIDTH, *images.shape[2:]))
    for n, d, y, x in np.ndindex(out.shape):
        out[n, d, y, x] = max(0, (padded[n, :, y : y + 3, x : x + 3] * weight[d]).sum())
    return out


@pytest.mark.parametrize(
    ("output", "pooling", "wanted"),
    [
        (None, None, lambda maps: maps.mean(axis=(2, 3))),
        ("map", "mean", lambda maps: maps.mean(axis=(2, 3))),
        ("map", "max", lambda maps: maps.max(axis=(2, 3))),
        ("tokens", "cls", lambda maps: maps[:, :, 0, 0]),
        ("tokens", "mean", lambda maps: maps.mean(axis=(2, 3))),
        ("tokens", "max", lambda maps: maps.max(axis=(2, 3))),
    ],
)
def test_outputs_inside_and_their_pooling(tmp_path, output, pooling, wanted):
    path = written(tmp_path, model())
    seen = features(tmp_path, path, noise(), output=output, pooling=pooling)
    assert seen == pytest.approx(wanted(maps_of(noise(), path)), abs=1e-5)


def test_what_the_feature_does_not_need_is_left_out(tmp_path):
    made = strict(written(tmp_path, model(outputs=("logits",))), SIDE, "map", "mean")
    assert "MatMul" not in {node.op_type for node in made.graph.node}
    assert "table" not in {tensor.name for tensor in made.graph.initializer}
    assert [entry.name for entry in (*made.graph.input, *made.graph.output)] == ["image", "feature"]


def test_nothing_about_the_machine_that_exported_it_is_kept(tmp_path):
    proto = model()
    proto.graph.node[0].metadata_props.add(key="stack_trace", value="/home/somebody/train.py")
    proto.graph.node[1].doc_string = "/home/somebody/model.py"
    assert b"somebody" not in strict(written(tmp_path, proto), SIDE, None, None).SerializeToString()


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
def test_every_opset_becomes_the_one_of_bundles(tmp_path, opset):
    path = written(tmp_path, model(opset=opset))
    made = strict(path, SIDE, None, None)
    assert [entry.version for entry in made.opset_import] == [OPSET]
    assert features(tmp_path, path, noise()) == pytest.approx(maps_of(noise(), path).mean(axis=(2, 3)), abs=1e-5)


@pytest.mark.parametrize("sides", ["side", "other"])
def test_an_open_side_is_set(tmp_path, sides):
    proto = model(side="side")
    proto.graph.input[0].type.tensor_type.shape.dim[3].dim_param = sides
    path = written(tmp_path, proto)
    assert describe(path).side is None
    for side in (8, 12):
        assert features(tmp_path, path, noise(side=side), side=side).shape == (3, WIDTH)


def test_tensors_in_a_second_file(tmp_path):
    whole = written(tmp_path, model(), "whole.onnx")
    proto = model()
    external_data_helper.convert_model_to_external_data(proto, location="two.onnx.data", size_threshold=0)
    path = tmp_path / "two.onnx"
    onnx.save(proto, path)
    assert (tmp_path / "two.onnx.data").is_file()
    assert [found.name for found in files_of(path)] == ["two.onnx", "two.onnx.data"]
    assert (features(tmp_path, path, noise()) == features(tmp_path, whole, noise())).all()

    (tmp_path / "two.onnx.data").rename(tmp_path / "moved.data")
    with pytest.raises(EmbedderError, match=r"two\.onnx\.data, which is not beside it"):
        strict(path, SIDE, None, None)
    (tmp_path / "two.onnx.data").symlink_to(tmp_path / "moved.data")
    with pytest.raises(EmbedderError, match="seen a link"):
        strict(path, SIDE, None, None)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/b", "..", "", "a\\b"])
def test_a_tensor_elsewhere_is_refused(tmp_path, location):
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_bytes(bytes(10_000))
    proto = model()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    with pytest.raises(EmbedderError, match="expected the plain name of a file beside it"):
        files_of(written(tmp_path / "model", proto))


@pytest.mark.parametrize(
    ("proto", "words"),
    [
        (model(outputs=("pooled", "logits")), r"which output is the feature\? Seen pooled \(.*5\), logits"),
        (model(outputs=("map",)), "expected embedder.pooling mean or max, seen None"),
        (
            model(more=[helper.make_node("Fancy", ["pooled"], ["y"], domain="com.acme")], outputs=("y",)),
            "com.acme.Fancy",
        ),
        (model(kind=TensorProto.UINT8), "expected an input of float32, seen uint8"),
        (model(kind=127), "expected an input of float32, seen type 127"),
        (model(channels=4), r"expected one input, images .*seen x \(\?, 4, 8, 8\)"),
        (model(opset=99), "opset 99"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path, proto, words):
    with pytest.raises(EmbedderError, match=words) as seen:
        strict(written(tmp_path, proto), SIDE, None, None)
    assert seen.value.hint
    assert str(tmp_path) in seen.value.message


def test_a_side_or_a_name_that_it_has_not(tmp_path):
    path = written(tmp_path, model())
    with pytest.raises(EmbedderError, match="no tensor 'poold'; did you mean 'pooled'"):
        strict(path, SIDE, "poold", None)
    with pytest.raises(EmbedderError, match=r"expected no embedder\.pooling, seen mean"):
        strict(path, SIDE, None, "mean")


def test_hostile_files(tmp_path):
    for data in (b"", b"not a model", bytes(range(256)) * 9, model().SerializeToString()[:200]):
        path = tmp_path / "bad.onnx"
        path.write_bytes(data)
        with pytest.raises(EmbedderError, match=r"bad\.onnx"):
            describe(path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(EmbedderError, match=r"pipe\.onnx"):
        describe(tmp_path / "pipe.onnx")


def test_an_input_that_is_called_as_a_tensor_inside(tmp_path):
    proto = model(more=[helper.make_node("Identity", ["pooled"], ["image"])], outputs=("image",))
    path = written(tmp_path, proto)
    assert features(tmp_path, path, noise()) == pytest.approx(maps_of(noise(), path).mean(axis=(2, 3)), abs=1e-5)


def constant(values):
    return helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(values, np.float32)))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([constant([np.nan]), helper.make_node("Add", ["pooled", "c"], ["y"])], "NaN or infinite"),
        ([constant([0]), helper.make_node("Mul", ["pooled", "c"], ["y"])], "the same feature"),
        (
            [constant([0]), helper.make_node("ReduceMean", ["pooled"], ["m"], keepdims=0, noop_with_empty_axes=0),
             helper.make_node("Add", ["pooled", "m"], ["y"])],
            "two images at once",
        ),
    ],
    ids=["nan", "constant", "across the batch"],
)  # fmt: skip
def test_features_that_are_none_are_refused(tmp_path, more, words):
    path = written(tmp_path, strict(written(tmp_path, model(more=more, outputs=("y",))), SIDE, None, None), "s.onnx")
    with pytest.raises(EmbedderError, match=words):
        check_answers(path)


def test_a_sound_model_tells_its_width(tmp_path):
    assert check_answers(written(tmp_path, strict(written(tmp_path, model()), SIDE, None, None), "s.onnx")) == WIDTH


@pytest.mark.parametrize("side", [SIDE, "side"])
def test_a_recipe_that_says_all_of_the_pixels_needs_no_file_beside(tmp_path, side):
    """The hint of a file that cannot be read says so."""
    path = written(tmp_path, model(side=side))
    (tmp_path / "preprocessor_config.json").write_text('{"do_resize": NaN}')
    said = {"size": SIDE, "resize": "squash", "interpolation": "bicubic", "mean": [0.4] * 3, "std": [0.2] * 3}
    tables = {"dataset": {"source": "folder:photos"}, "embedder": {"backbone": f"onnx:{path}"}}
    found = make_recipe({**tables, "images": said}, "it").resolve().images
    assert (found.size, found.resize, found.interpolation) == (SIDE, "squash", "bicubic")
    for key in said:
        less = {name: value for name, value in said.items() if name != key}
        with pytest.raises(EmbedderError, match="NaN is no number") as seen:
            make_recipe({**tables, "images": less}, "it").resolve()
        assert "--set images.size, resize, interpolation, mean and std" in seen.value.hint


def test_what_cannot_be_decoded_is_one_line(tmp_path):
    short = model()
    next(tensor for tensor in short.graph.initializer if tensor.name == "flat").raw_data = b"\0" * 11
    data = model().SerializeToString()
    for file in (short.SerializeToString(), data.replace(b"before", b"bef\x93re")):
        path = tmp_path / "model.onnx"
        path.write_bytes(file)
        with pytest.raises(EmbedderError, match=r"model\.onnx( is no sound ONNX model|: )") as caught:
            strict(path, SIDE, None, None)
        assert "\n" not in caught.value.message
