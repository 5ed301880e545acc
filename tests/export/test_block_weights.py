"""Weights in blocks: what the bytes stand for, and which nodes are replaced."""

import numpy as np
import onnx_ir as ir
import pytest

from onnxtasks.devices import resolve
from onnxtasks.errors import ExportError
from onnxtasks.session import OrtSession
from onnxtasks_export import block_weights
from onnxtasks_export.block_weights import (
    block_size,
    in_blocks,
    use_block_lookups,
    use_block_weights,
)
from onnxtasks_export.capture import save
from onnxtasks_export.precision import convert, count

ROWS, COLUMNS = 300, 32


def tied(head: str) -> ir.Model:
    """ids -> rows of a table -> scores by the same table, as Gemm or as MatMul of its Transpose."""
    rng = np.random.default_rng(0)
    table = ir.tensor(rng.normal(size=(ROWS, COLUMNS)).astype(np.float32), name="table")
    value = ir.Value(
        name="table",
        const_value=table,
        shape=ir.Shape([ROWS, COLUMNS]),
        type=ir.TensorType(ir.DataType.FLOAT),
    )
    ids = ir.Value(
        name="ids", shape=ir.Shape(["batch", "row"]), type=ir.TensorType(ir.DataType.INT64)
    )
    found = ir.node("Gather", [value, ids])
    nodes = [found]
    if head == "Gemm":
        flat = ir.tensor(np.array([-1, COLUMNS]), name="flat")
        shape = ir.Value(name="flat", const_value=flat, type=ir.TensorType(ir.DataType.INT64))
        rows = ir.node("Reshape", [found.outputs[0], shape])
        nodes += [rows, ir.node("Gemm", [rows.outputs[0], value], {"transB": 1})]
        constants = [value, shape]
    else:
        turned = ir.node("Transpose", [value], {"perm": [1, 0]})
        nodes += [turned, ir.node("MatMul", [found.outputs[0], turned.outputs[0]])]
        constants = [value]
    nodes[-1].outputs[0].name = "logits"
    nodes[-1].outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        [ids],
        nodes[-1].outputs,
        nodes=nodes,
        initializers=constants,
        opset_imports={"": 20},
        name="tied",
    )
    return ir.Model(graph, ir_version=10)


def outputs(path):
    session = OrtSession(path, resolve("cpu", ("CPUExecutionProvider",)), 1)
    return session.run({"ids": np.array([[0, 1, 299], [7, 7, 8]])})["logits"].reshape(6, ROWS)


def test_8_bits_around_the_middle():
    blocks = in_blocks(np.array([[-1.0, 0.0, 0.5, 127 / 128]], np.float32), 8, 4)
    assert blocks.packed.tolist() == [[[0, 128, 192, 255]]]
    assert blocks.scales.tolist() == [[1 / 128]]


def test_4_bits_two_a_byte_the_first_in_the_low_half():
    blocks = in_blocks(np.array([[8.0, -7.0, 0.0, 1.0]], np.float32), 4, 4)
    assert blocks.scales.tolist() == [[-1.0]]  # the farthest from 0 takes the longer side
    assert blocks.packed.tolist() == [[[0 | 15 << 4, 8 | 7 << 4]]]


def test_a_last_block_is_filled_up_and_zeros_stay_zeros():
    blocks = in_blocks(np.array([[0.0, 0.0, 2.0]], np.float32), 8, 2)
    assert blocks.packed.tolist() == [[[128, 128], [0, 128]]]
    assert blocks.scales.tolist() == [[0.0, -2 / 128]]


def test_the_largest_block_that_divides_a_row():
    assert [block_size(n, 8) for n in (768, 96, 48, 50)] == [128, 32, 16, 16]
    assert block_size(64, 4) == 32


@pytest.mark.parametrize("head", ["Gemm", "MatMul"])
@pytest.mark.parametrize(("precision", "near"), [("w8", 0.02), ("w4", 0.3), ("int8", 0.02)])
def test_a_head_that_is_the_table_stays_one_matrix(head, precision, near, tmp_path):
    save(tied(head), tmp_path / "fp32.onnx")
    if precision == "int8":  # nothing else to quantise is left
        model = tied(head)
        assert use_block_weights(model, 8, only_tables=True) == 1
        save(model, tmp_path / "made.onnx")
    else:
        convert(tmp_path / "fp32.onnx", tmp_path / "made.onnx", precision, "decoder")
    made = ir.load(tmp_path / "made.onnx")
    assert count(made, "MatMulNBits", "GatherBlockQuantized") == 2
    assert count(made, "MatMul", "Gemm", "Gather") == 0
    bits = {"w8": 8, "int8": 8, "w4": 4}[precision]
    size = (tmp_path / "made.data").stat().st_size
    scales = 2 * 4 * ROWS * COLUMNS // block_size(COLUMNS, bits)
    assert size < ROWS * COLUMNS * bits / 8 + scales + 8192  # once; external data is aligned
    expected, got = outputs(tmp_path / "fp32.onnx"), outputs(tmp_path / "made.onnx")
    assert 0 < np.abs(got - expected).max() < near * np.abs(expected).max()


def test_two_products_over_one_matrix_share_its_blocks(tmp_path):
    model = tied("MatMul")
    turned, scores = model.graph[1].outputs[0], model.graph[2].outputs[0]
    again = ir.node("MatMul", [model.graph[0].outputs[0], turned])
    both = ir.node("Add", [scores, again.outputs[0]])
    both.outputs[0].name, scores.name = "logits", "first"
    both.outputs[0].type = scores.type
    model.graph.extend([again, both])
    model.graph.outputs[0] = both.outputs[0]
    save(model, tmp_path / "fp32.onnx")
    assert use_block_weights(model, 8) == 2
    save(model, tmp_path / "made.onnx")
    assert count(model, "MatMulNBits") == 2
    assert [name for name in model.graph.initializers if name.endswith("_blocks")] == [
        "table_blocks"
    ]
    expected, got = outputs(tmp_path / "fp32.onnx"), outputs(tmp_path / "made.onnx")
    assert 0 < np.abs(got - expected).max() < 0.02 * np.abs(expected).max()


def test_a_graph_without_weights_is_an_error(tmp_path):
    ids = ir.Value(name="ids", shape=ir.Shape(["batch"]), type=ir.TensorType(ir.DataType.INT64))
    same = ir.node("Identity", [ids])
    same.outputs[0].name, same.outputs[0].type = "y", ids.type
    graph = ir.Graph([ids], same.outputs, nodes=[same], opset_imports={"": 20}, name="same")
    save(ir.Model(graph, ir_version=10), tmp_path / "fp32.onnx")
    with pytest.raises(ExportError, match="nothing to quantise"):
        convert(tmp_path / "fp32.onnx", tmp_path / "made.onnx", "w8", "decoder")


def test_a_table_that_is_only_looked_up(tmp_path, monkeypatch):
    model = tied("MatMul")
    save(model, tmp_path / "fp32.onnx")
    assert use_block_lookups(model, 8) == 0  # small: positions stay as they are
    monkeypatch.setattr(block_weights, "SMALLEST_LOOKUP", ROWS)
    assert use_block_lookups(model, 8) == 1
    assert count(model, "GatherBlockQuantized") == count(model, "MatMul") == 1
    save(model, tmp_path / "made.onnx")
    expected, got = outputs(tmp_path / "fp32.onnx"), outputs(tmp_path / "made.onnx")
    assert 0 < np.abs(got - expected).max() < 0.02 * np.abs(expected).max()
