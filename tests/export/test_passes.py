"""Each pass on a graph built by hand."""

import numpy as np
import onnx_ir as ir
import pytest

from onnxtasks_export.passes import AFTER_CAPTURE, BEFORE_QUANTISING
from onnxtasks_export.passes.drop_metadata import drop_metadata
from onnxtasks_export.passes.drop_shapes import drop_shapes
from onnxtasks_export.passes.first_token import first_token
from onnxtasks_export.passes.join_reshapes import join_reshapes
from onnxtasks_export.passes.split_gemm import split_gemm
from onnxtasks_export.precision import count

FLOAT = ir.TensorType(ir.DataType.FLOAT)


def value(name, *shape):
    return ir.Value(name=name, shape=ir.Shape(shape), type=FLOAT)


def weight(name, array):
    return ir.Value(
        name=name, shape=ir.Shape(array.shape), type=FLOAT, const_value=ir.tensor(array, name=name)
    )


def gemm(bias=True, **attributes):
    """y = Gemm(x, w, b), x [1, 2], w [2, 3] (or its transpose)."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    if attributes.get("transB"):
        array = np.ascontiguousarray(array.T)
    x, w, b = value("x", 1, 2), weight("w", array), weight("b", np.ones(3, np.float32))
    inputs = [x, w, b] if bias else [x, w]
    node = ir.node("Gemm", inputs, attributes=attributes)
    y = node.outputs[0]
    y.name, y.shape, y.type = "y", ir.Shape((1, 3)), FLOAT
    graph = ir.Graph([x], [y], nodes=[node], initializers=inputs[1:], opset_imports={"": 20})
    return ir.Model(graph, ir_version=10)


def run(model, x, tmp_path):
    import onnxruntime

    path = tmp_path / "graph.onnx"
    ir.save(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": np.array([x], np.float32)})[0].tolist()


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_becomes_matmul_and_add(transposed, tmp_path):
    model = gemm(transB=transposed)
    assert split_gemm(model)
    assert [node.op_type for node in model.graph] == ["MatMul", "Add"]
    assert len(model.graph.initializers) == 2  # the untransposed weight is gone
    # [1, 2] x [[0, 1, 2], [3, 4, 5]] + 1
    assert run(model, [1, 2], tmp_path) == [[7, 10, 13]]


def test_gemm_without_bias_becomes_matmul(tmp_path):
    model = gemm(bias=False)
    assert split_gemm(model)
    assert [node.op_type for node in model.graph] == ["MatMul"]
    assert run(model, [1, 2], tmp_path) == [[6, 9, 12]]


@pytest.mark.parametrize("attributes", [{"alpha": 2.0}, {"beta": 0.5}, {"transA": 1}])
def test_a_gemm_that_is_more_than_a_product_stays(attributes):
    model = gemm(**attributes)
    assert not split_gemm(model)
    assert count(model, "Gemm") == 1


def test_metadata_is_dropped():
    model = gemm()
    node = next(iter(model.graph))
    node.metadata_props["pkg.torch.onnx.stack_trace"] = "/home/me/model.py"
    node.outputs[0].metadata_props["name"] = "y"
    model.graph.doc_string = "made on my machine"
    assert drop_metadata(model)
    assert b"machine" not in ir.to_proto(model).SerializeToString()
    assert b"/home/me" not in ir.to_proto(model).SerializeToString()
    assert not drop_metadata(model)


def test_shapes_inside_are_dropped_and_those_of_the_border_stay():
    model = gemm()
    split_gemm(model)
    product = next(iter(model.graph)).outputs[0]
    product.shape, product.type = ir.Shape((9, 9)), FLOAT
    assert drop_shapes(model)
    assert (product.shape, product.type) == (None, None)
    assert (model.graph.inputs[0].shape, model.graph.outputs[0].shape) == ((1, 2), (1, 3))
    assert not drop_shapes(model)


def test_the_lists_are_what_is_tested():  # two of them in files of their own
    tested = {drop_metadata, drop_shapes, first_token, join_reshapes, split_gemm}
    assert {*AFTER_CAPTURE, *BEFORE_QUANTISING} == tested
