"""Ranges of a graph's values, on a graph built by hand."""

import numpy as np
import onnx_ir as ir
import pytest

from onnxtasks.errors import ExportError
from onnxtasks_export.calibration import Watched, check_ranges, spread_out

FLOAT = ir.TensorType(ir.DataType.FLOAT)


@pytest.fixture
def graph(tmp_path):
    """y = relu(x), s = the shape of x."""
    x = ir.Value(name="x", shape=ir.Shape(("n",)), type=FLOAT)
    relu, shape = ir.node("Relu", [x]), ir.node("Shape", [x])
    y, s = relu.outputs[0], shape.outputs[0]
    y.name, y.shape, y.type = "y", x.shape, FLOAT
    s.name, s.shape, s.type = "s", ir.Shape((1,)), ir.TensorType(ir.DataType.INT64)
    made = ir.Graph([x], [y, s], nodes=[relu, shape], opset_imports={"": 20})
    path = tmp_path / "graph.onnx"
    ir.save(ir.Model(made, ir_version=10), path)
    return path


def run(watched, *numbers):
    return watched.run({"x": np.array(numbers, np.float32)})


def test_ranges_are_those_of_all_runs(graph):
    watched = Watched(graph, ["x", "y"])
    run(watched, -1, 3)
    run(watched, -2, 1, 2)
    watched.close()
    assert watched.ranges == {"x": (-2.0, 3.0), "y": (0.0, 3.0)}


def test_answers_are_those_of_the_graph(graph):
    watched = Watched(graph, ["x"])
    found = run(watched, -1, 3)
    assert {name: array.tolist() for name, array in found.items()} == {"y": [0, 3], "s": [2]}
    assert list(watched.run({"x": np.zeros(1, np.float32)}, ["y"])) == ["y"]


def test_whole_numbers_are_not_watched(graph):
    watched = Watched(graph, ["y", "s"])
    run(watched, 4)
    assert watched.ranges == {"y": (4.0, 4.0)}


def test_nothing_is_left_beside_the_graph(graph):
    Watched(graph, ["y"]).close()
    assert [path.name for path in graph.parent.iterdir()] == ["graph.onnx"]


@pytest.mark.parametrize(
    ("count", "most", "places"),
    [(0, 3, []), (2, 3, [0, 1]), (3, 3, [0, 1, 2]), (10, 3, [0, 3, 6]), (5, 4, [0, 1, 2, 3])],
)
def test_a_part_of_the_inputs_is_spread_over_all(count, most, places):
    assert spread_out(range(count), most) == places


@pytest.mark.parametrize("wrong", [(float("-inf"), 0.0), (0.0, float("nan"))])
def test_a_range_that_is_no_number_is_refused(wrong):
    with pytest.raises(ExportError, match="calibration: 'y' reaches from"):
        check_ranges({"x": (0.0, 1.0), "y": wrong})
