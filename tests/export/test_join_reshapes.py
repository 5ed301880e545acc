"""Joining Reshapes, on graphs built by hand."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from onnxtasks_export.passes.join_reshapes import join_reshapes

FLOAT = ir.TensorType(ir.DataType.FLOAT)


def reshapes(*steps, output=("batch", 4), drop=None):
    """x [batch, 4] -> Reshapes, each a target and the shape noted for its result -> y = -x.

    Args:
        steps: Pairs of target and shape.
        output: Shape of y.
        drop: Index of a Reshape whose result is an output of the graph too.
    """
    x = ir.Value(name="x", shape=ir.Shape(("batch", 4)), type=FLOAT)
    nodes, weights, value = [], [], x
    for index, (target, shape) in enumerate(steps):
        tensor = ir.tensor(np.array(target, np.int64), name=f"target{index}")
        weights.append(ir.Value(name=f"target{index}", const_value=tensor))
        weights[-1].shape = ir.Shape((len(target),))
        weights[-1].type = ir.TensorType(ir.DataType.INT64)
        nodes.append(ir.node("Reshape", [value, weights[-1]]))
        value = nodes[-1].outputs[0]
        value.name, value.shape, value.type = f"step{index}", ir.Shape(shape), FLOAT
    nodes.append(ir.node("Neg", [value]))
    y = nodes[-1].outputs[0]
    y.name, y.shape, y.type = "y", ir.Shape(output), FLOAT
    outputs = [y] if drop is None else [y, nodes[drop].outputs[0]]
    opsets = {"": 20}
    graph = ir.Graph([x], outputs, nodes=nodes, initializers=weights, opset_imports=opsets)
    return ir.Model(graph, ir_version=10)


def kinds(model):
    return [node.op_type for node in model.graph]


def run(model, path):
    ir.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": np.arange(8, dtype=np.float32).reshape(2, 4)})[0].tolist()


SPLIT, JOINED = ([-1, 2, 2], ("batch", 2, 2)), ([-1, 4], ("batch", 4))


def test_splitting_and_joining_again_is_nothing(tmp_path):
    model = reshapes(SPLIT, JOINED)
    before = run(model, tmp_path / "before.onnx")
    assert join_reshapes(model)
    assert kinds(model) == ["Neg"]
    assert run(model, tmp_path / "after.onnx") == before == [[0, -1, -2, -3], [-4, -5, -6, -7]]


def test_two_in_a_row_become_one(tmp_path):
    model = reshapes(SPLIT, ([-1], ("numbers",)), output=("numbers",))
    before = run(model, tmp_path / "before.onnx")
    assert join_reshapes(model)
    assert kinds(model) == ["Reshape", "Neg"]
    assert run(model, tmp_path / "after.onnx") == before == [0, -1, -2, -3, -4, -5, -6, -7]


@pytest.mark.parametrize(
    "steps",
    [
        [SPLIT],  # it changes the shape
        [([-1, 2, 2], ("batch", 2, 2)), ([0, 4], ("batch", 5))],  # 0: a size of what comes
        [([-1, 4], (None, 4))],  # nobody knows
    ],
    ids=["needed", "sizes-as-they-come", "unknown"],
)
def test_what_is_left_alone(steps):
    model = reshapes(*steps, output=("batch", 2, 2))
    before = kinds(model)
    assert not join_reshapes(model)
    assert kinds(model) == before


def test_an_output_of_the_graph_stays():
    model = reshapes(SPLIT, JOINED, drop=1)
    assert join_reshapes(model)  # the first is skipped
    assert kinds(model) == ["Reshape", "Neg"]
    assert [output.name for output in model.graph.outputs] == ["y", "step1"]
