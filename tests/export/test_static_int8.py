"""int8 with fixed ranges, on a graph built by hand."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from onnxtasks.errors import ExportError
from onnxtasks_export.calibration import Watched
from onnxtasks_export.capture import save
from onnxtasks_export.precision import count
from onnxtasks_export.static_int8 import (
    Recipe,
    check_integer,
    find_parts,
    prepare,
    to_static_int8,
    watched_tensors,
)

FLOAT = ir.TensorType(ir.DataType.FLOAT)
CONVOLUTIONS = Recipe(("Conv", "Relu"))
RNG = np.random.default_rng(0)


def weight(name, *shape):
    array = RNG.normal(size=shape).astype(np.float32)
    return ir.Value(
        name=name, shape=ir.Shape(shape), type=FLOAT, const_value=ir.tensor(array, name=name)
    )


def name(value, text):
    value.name, value.type = text, FLOAT
    return value


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """y = Gemm(mean(conv(relu(conv(x)))), as a captured graph has it; and prepared."""
    folder = tmp_path_factory.mktemp("graph")
    x = ir.Value(name="x", shape=ir.Shape((1, 3, "height", "width")), type=FLOAT)
    first, second = weight("model.stem.weight", 8, 3, 3, 3), weight("model.body.weight", 8, 8, 3, 3)
    bias = weight("model.body.bias", 8)
    head, add = weight("head.weight", 4, 8), weight("head.bias", 4)
    nodes = [ir.node("Conv", [x, first])]
    nodes.append(ir.node("Relu", [name(nodes[-1].outputs[0], "a")]))
    nodes.append(ir.node("Conv", [name(nodes[-1].outputs[0], "b"), second, bias]))
    nodes.append(ir.node("GlobalAveragePool", [name(nodes[-1].outputs[0], "c")]))
    nodes.append(ir.node("Flatten", [name(nodes[-1].outputs[0], "d")]))
    nodes.append(ir.node("Gemm", [name(nodes[-1].outputs[0], "e"), head, add], {"transB": 1}))
    y = name(nodes[-1].outputs[0], "y")
    y.shape = ir.Shape((1, 4))
    graph = ir.Graph(
        [x], [y], nodes=nodes, initializers=[first, second, bias, head, add],
        opset_imports={"": 20},
    )  # fmt: skip
    save(ir.Model(graph, ir_version=10), folder / "captured.onnx")
    prepare(folder / "captured.onnx", folder / "prepared.onnx")
    return folder / "prepared.onnx"


def pictures(*sizes):
    rng = np.random.default_rng(1)
    return [rng.normal(size=(1, 3, *size)).astype(np.float32) for size in sizes]


def quantised(prepared, target, recipe, parts=None):
    parts = find_parts(prepared, recipe) if parts is None else parts
    watched = Watched(prepared, watched_tensors(prepared, parts))
    for picture in pictures((9, 9), (12, 7)):
        watched.run({"x": picture})
    watched.close()
    to_static_int8(prepared, target, parts, watched.ranges)
    return ir.load(target)


def run(path, picture):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": picture})[0]


def test_parts_carry_the_names_of_their_weights(prepared):
    found = [(part.label, part.nodes, part.fixed) for part in find_parts(prepared, CONVOLUTIONS)]
    assert found == [
        ("stem", ("0_Conv", "1_Relu"), True),
        ("body", ("2_Conv",), True),
        ("head", ("5_MatMul",), False),
    ]
    fixed = Recipe(("Conv",), taken=())
    assert [part.label for part in find_parts(prepared, fixed)] == ["stem", "body"]


def test_what_is_fixed_is_watched(prepared):
    parts = find_parts(prepared, CONVOLUTIONS)
    assert watched_tensors(prepared, parts) == {"x", "a", "b", "c"}


@pytest.mark.parametrize(
    ("recipe", "convolutions", "dynamic", "fixed"),
    [
        (CONVOLUTIONS, 2, 1, 0),
        (Recipe(("Conv",), taken=()), 2, 0, 0),
        (Recipe(("Conv", "MatMul")), 2, 0, 1),
    ],
)
def test_operators_become_integer_ones(prepared, tmp_path, recipe, convolutions, dynamic, fixed):
    model = quantised(prepared, tmp_path / "q.onnx", recipe)
    assert count(model, "QLinearConv") == convolutions
    assert count(model, "Conv") == 2 - convolutions
    assert count(model, "DynamicQuantizeMatMul") == dynamic
    assert count(model, "QLinearMatMul", "QGemm", "MatMulIntegerToFloat") == fixed


@pytest.mark.parametrize("size", [(9, 9), (20, 15)])
def test_answers_are_near_at_any_size(prepared, tmp_path, size):
    quantised(prepared, tmp_path / "q.onnx", CONVOLUTIONS)
    picture = pictures(size)[0]
    wanted, found = run(prepared, picture), run(tmp_path / "q.onnx", picture)
    assert 0 < np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()


def test_weights_have_a_scale_for_each_channel(prepared, tmp_path):
    quantised(prepared, tmp_path / "q.onnx", CONVOLUTIONS)
    scales = [
        one for one in onnx.load(tmp_path / "q.onnx").graph.initializer if list(one.dims) == [8]
    ]
    assert any(one.name.startswith("model.stem.weight") for one in scales)


def test_what_is_left_out_stays_in_fp32(prepared, tmp_path):
    parts = [part for part in find_parts(prepared, CONVOLUTIONS) if part.label != "stem"]
    model = quantised(prepared, tmp_path / "q.onnx", CONVOLUTIONS, parts)
    assert (count(model, "QLinearConv"), count(model, "Conv", "FusedConv")) == (1, 1)


def test_the_same_inputs_give_the_same_bytes(prepared, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        quantised(prepared, tmp_path / folder / "q.onnx", CONVOLUTIONS)
    for file in ("q.onnx", "q.data"):
        one, two = (tmp_path / folder / file for folder in ("one", "two"))
        assert not one.exists() or one.read_bytes() == two.read_bytes()
    assert (tmp_path / "one/q.onnx").exists()


def test_a_graph_with_nothing_in_8_bits_is_refused(prepared, tmp_path):
    quantised(prepared, tmp_path / "q.onnx", CONVOLUTIONS)
    check_integer(tmp_path / "q.onnx")
    quantised(prepared, tmp_path / "q.onnx", CONVOLUTIONS, [])
    with pytest.raises(ExportError, match="nothing to quantise: no convolution and no product"):
        check_integer(tmp_path / "q.onnx")
