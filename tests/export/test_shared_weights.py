"""Weights that two graphs hold alike are stored once, and both still find theirs."""

import numpy as np
import onnx_ir as ir

from onnxtasks.devices import resolve
from onnxtasks.external_data import external_locations
from onnxtasks.session import OrtSession
from onnxtasks_export.capture import save
from onnxtasks_export.shared_weights import share_weights

FLOAT = ir.TensorType(ir.DataType.FLOAT)
RNG = np.random.default_rng(0)
BOTH, ONE, OTHER = (RNG.normal(size=(128, 128)).astype(np.float32) for _ in range(3))
SMALL = np.ones((128, 2), np.float32)


def write(path, *matrices):
    """x -> x times each matrix, [128, 128] weights and a small one."""
    x = ir.Value(name="x", shape=ir.Shape(["batch", 128]), type=FLOAT)
    value, nodes, constants = x, [], []
    for index, matrix in enumerate(matrices):
        tensor = ir.tensor(matrix, name=f"w{index}")
        constants.append(
            ir.Value(name=f"w{index}", const_value=tensor, shape=ir.Shape(matrix.shape), type=FLOAT)
        )
        nodes.append(ir.node("MatMul", [value, constants[-1]]))
        value = nodes[-1].outputs[0]
    value.name, value.type = "y", FLOAT
    graph = ir.Graph(
        [x], [value], nodes=nodes, initializers=constants, opset_imports={"": 20}, name="products"
    )
    save(ir.Model(graph, ir_version=10), path)


def run(path, x):
    session = OrtSession(path, resolve("cpu", ("CPUExecutionProvider",)), 1)
    return session.run({"x": x})["y"]


def test_a_weight_of_two_graphs_is_stored_once(tmp_path):
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    write(first, ONE, BOTH, SMALL)
    write(second, BOTH, OTHER, SMALL)
    assert share_weights([first, second]) == BOTH.nbytes
    assert second.with_suffix(".data").stat().st_size < BOTH.nbytes + 2 * SMALL.nbytes + 8192
    assert external_locations(second) >= {"first.data", "second.data"}
    x = RNG.normal(size=(3, 128)).astype(np.float32)
    np.testing.assert_allclose(run(first, x), x @ ONE @ BOTH @ SMALL, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(run(second, x), x @ BOTH @ OTHER @ SMALL, rtol=1e-4, atol=1e-2)


def test_nothing_in_common_leaves_the_files_alone(tmp_path):
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    write(first, ONE, SMALL)
    write(second, OTHER, SMALL)
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert share_weights([first, second]) == 0
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == before
