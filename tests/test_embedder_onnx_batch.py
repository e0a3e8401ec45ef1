"""Models as exporters write them by default: one batch size in their reshapes, operators newer than the bundle's."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_embedder_onnx_files import SIDE, WIDTH, model, noise, written

from simsearch.embedder.bundle.export import write_brought
from simsearch.embedder.bundle.runtime import Runtime
from simsearch.embedder.networks.onnx_files import strict
from simsearch.embedder.networks.session import Session
from simsearch.errors import EmbedderError, RecipeError
from simsearch.recipe.files import find_recipe


def shaped(name, *sides):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(sides, np.int64)))


def bundle(tmp_path, proto, *, output=None):
    """The bundle as a build makes it, and which way it was made last: True for one image at a time."""
    path, out, tried = written(tmp_path, proto), tmp_path / "bundle.onnx", []

    def write(place, alone):
        tried.append(alone)
        place.write_bytes(strict(path, SIDE, output, None, alone=alone).SerializeToString())

    write_brought(write, out, "onnx:model.onnx")
    return Runtime(out, threads=1), tried[-1]


def one_by_one(tmp_path, proto, images, output):
    """What the file as it was brought gives for each image alone."""
    session = Session(written(tmp_path, proto, "as_it_is.onnx"), threads=1)
    return np.concatenate([session.run(output, {"x": image[None]}) for image in images])


@pytest.mark.parametrize("zero_is_a_length", [0, 1])
def test_reshapes_to_the_batch_of_the_export_are_opened(tmp_path, zero_is_a_length):
    """As torch writes `flatten` for its example of one image."""
    flat = [shaped("to", 1, WIDTH), helper.make_node("Reshape", ["pooled", "to"], ["y"], allowzero=zero_is_a_length)]
    proto = model(batch=1, more=flat, outputs=("y",))
    network, alone = bundle(tmp_path, proto)
    assert not alone
    assert np.allclose(network.features(noise()), one_by_one(tmp_path, proto, noise(), "y"), rtol=1e-5)


def test_what_cannot_be_opened_is_run_image_by_image(tmp_path):
    """As a vision transformer: one class token, expanded for the batch of the export, before the others."""
    token = numpy_helper.from_array(np.full((1, 1, WIDTH), 3, np.float32))
    more = [
        helper.make_node("Constant", [], ["token"], value=token),
        helper.make_node("Concat", ["token", "tokens"], ["all"], axis=1),
        shaped("middle", 1),
        helper.make_node("ReduceMean", ["all", "middle"], ["y"], keepdims=0),
    ]
    proto = model(batch=1, more=more, outputs=("y",))
    network, alone = bundle(tmp_path, proto)
    assert alone
    assert np.allclose(network.features(noise()), one_by_one(tmp_path, proto, noise(), "y"), rtol=1e-5)
    assert network.features(noise()[:0]).shape == (0, WIDTH)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_written_as_what_it_is_made_of(tmp_path, approximate):
    """It is an operator from opset 20 on, which torch writes by default; bundles have 18."""
    more = [helper.make_node("Gelu", ["pooled"], ["gelu"], approximate=approximate)]
    more += [helper.make_node("Gelu", ["gelu"], ["y"], approximate=approximate)]
    proto = model(opset=20, more=more, outputs=("y",))
    network, alone = bundle(tmp_path, proto)
    assert not alone
    assert np.allclose(network.features(noise()), one_by_one(tmp_path, proto, noise(), "y"), rtol=1e-4, atol=1e-6)


def test_open_channels_are_three(tmp_path):
    proto = model()
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "num_channels"
    assert bundle(tmp_path, proto)[0].input_shape == (3, SIDE, SIDE)


@pytest.mark.parametrize("name", ["feature", "image"])
@pytest.mark.parametrize("output", [None, "hidden"])
def test_tensors_that_are_called_as_those_of_a_bundle(tmp_path, name, output):
    doubled = [helper.make_node("Add", ["pooled", "pooled"], [name]), helper.make_node("Relu", [name], ["y"])]
    proto = model(more=doubled, outputs=("y",))
    wanted = one_by_one(tmp_path, proto, noise(), "y")
    network, _ = bundle(tmp_path, proto, output=None if output is None else name)
    assert np.allclose(network.features(noise()), wanted, rtol=1e-5)  # pooled after Relu is never below 0


def test_a_map_of_one_pixel_leaves_nothing_to_choose(tmp_path):
    more = [helper.make_node("GlobalAveragePool", ["map"], ["y"])]
    network, _ = bundle(tmp_path, model(more=more, outputs=("y",)))
    assert network.dim == WIDTH


def test_the_input_is_renamed_inside_of_branches(tmp_path):
    def branch(name):
        inner = [helper.make_node("ReduceMean", ["x", "axes"], [name], keepdims=0)]
        return helper.make_graph(inner, name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])])

    yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    more = [yes, helper.make_node("If", ["yes"], ["y"], then_branch=branch("a"), else_branch=branch("image"))]
    network, _ = bundle(tmp_path, model(more=more, outputs=("y",)))
    assert np.allclose(network.features(noise()), noise().mean((2, 3)), atol=1e-6)


def test_a_second_file_that_is_cut_short(tmp_path):
    proto = model()
    tensor = next(tensor for tensor in proto.graph.initializer if tensor.name == "weight")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "model.onnx.data"), ("offset", "0"), ("length", "540")):
        tensor.external_data.add(key=key, value=value)
    (tmp_path / "model.onnx.data").write_bytes(b"\0" * 100)
    with pytest.raises(EmbedderError, match="do not hold its tensors"):
        strict(written(tmp_path, proto), SIDE, None, None)


def test_a_function_that_calls_itself(tmp_path):
    proto = model(more=[helper.make_node("Loop1", ["pooled"], ["y"], domain="own")], outputs=("y",))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    body = [helper.make_node("Loop1", ["a"], ["b"], domain="own")]
    proto.functions.append(helper.make_function("own", "Loop1", ["a"], ["b"], body, opsets))
    with pytest.raises(EmbedderError, match=r"cannot be written out|not plain ONNX"):
        strict(written(tmp_path, proto), SIDE, None, None)


def test_an_open_side_may_be_given(tmp_path):
    path = written(tmp_path, model(side="h"))
    keys = [f"embedder.backbone=onnx:{path}", "images.mean=[0.5,0.5,0.5]", "images.std=[0.5,0.5,0.5]"]
    (tmp_path / "photos").mkdir()
    with pytest.raises(RecipeError, match=r"\[images\] size: no file beside"):
        find_recipe(str(tmp_path / "photos"), keys).recipe.resolve()
    assert find_recipe(str(tmp_path / "photos"), [*keys, "images.size=8"]).recipe.resolve().images.size == 8
