"""Weights in blocks of 8 or 4 bits, each block with its own scale; activations stay fp32.

For decoding, where a run has few rows and its time is that of reading the weights once. The
embedding table and the head, where they are one matrix, stay one: `GatherBlockQuantized` looks rows
up in the bytes that `MatMulNBits` multiplies with.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

CONTRIB = "com.microsoft"
INT8_PRODUCTS = 4
"""`accuracy_level` of MatMulNBits: activations are quantised a block at a time, as they come."""
BLOCKS = {8: (128, 64, 32, 16), 4: (32, 16)}
"""Bits -> block sizes, the best first; the first that divides a row is taken."""
SMALLEST_TABLE = 256
"""Rows of a table that is also multiplied with; tables of positions or types are small."""
SMALLEST_LOOKUP = 4096
"""Rows of a table that is only looked up: words, and no positions."""


@dataclass(frozen=True)
class Blocks:
    """A matrix [row, column] in blocks along its columns."""

    packed: npt.NDArray[np.uint8]
    """[row, block, byte]; two columns a byte with 4 bits, the first in the low half."""
    scales: npt.NDArray[np.float32]
    """[row, block]."""
    bits: int
    size: int
    """Columns of a block."""


def in_blocks(matrix: npt.NDArray[np.float32], bits: int, size: int) -> Blocks:
    """Quantise symmetrically around the middle of the range, which stands for 0.

    Args:
        matrix: [row, column]; the last block is filled up with zeros.
        bits: 8 or 4.
        size: Columns of a block.
    """
    rows, columns = matrix.shape
    count = -(-columns // size)
    padded = np.zeros((rows, count * size), np.float32)
    padded[:, :columns] = matrix
    blocks = padded.reshape(rows, count, size)
    middle = 2 ** (bits - 1)
    # The value that is farthest from 0 takes the end of the range that has one step more.
    places = np.abs(blocks).argmax(-1)[..., None]
    scales = np.take_along_axis(blocks, places, -1) / -middle
    steps = np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales != 0)
    codes = np.clip(np.rint(steps) + middle, 0, 2 * middle - 1).astype(np.uint8)
    if bits == 4:
        codes = codes[..., 0::2] | (codes[..., 1::2] << 4)
    return Blocks(codes, scales[..., 0], bits, size)


def block_size(columns: int, bits: int) -> int:
    """The block size for rows of so many columns."""
    fitting = [size for size in BLOCKS[bits] if columns % size == 0]
    return fitting[0] if fitting else BLOCKS[bits][-1]


def use_block_weights(model: ir.Model, bits: int, *, only_tables: bool = False) -> int:
    """Replace products over constant weights, and look-ups in the tables that they share.

    Args:
        model: Edited in place; products are MatMul, the weight a constant or its Transpose.
        bits: 8 or 4.
        only_tables: Replace only products over a matrix that is also looked up: a head whose
            weights are the embedding table. For this the head may still be a Gemm.

    Returns:
        How many products were replaced.
    """
    graph = model.graph
    model.opset_imports.setdefault(CONTRIB, 1)
    products = [(node, *found) for node in graph if (found := _weight_of(node)) is not None]
    lookups = {id(node.inputs[0]): node for node in graph if _is_table(node)}
    count = 0
    for node, weight, transposed in products:
        table = lookups.get(id(weight)) if transposed else None  # else its rows are no blocks
        if only_tables and table is None:
            continue
        matrix = np.ascontiguousarray(_array(weight) if transposed else _array(weight).T)
        blocks = in_blocks(matrix, bits, block_size(matrix.shape[1], bits))
        name = f"{weight.name}_blocks" if transposed else f"{weight.name}_column_blocks"
        packed = _initializer(graph, name, blocks.packed)
        _replace_product(graph, node, packed, blocks, matrix.shape)
        if table is not None and table.graph is not None and matrix.shape[1] % blocks.size == 0:
            _replace_lookup(graph, table, packed, blocks, matrix.shape[1])
        count += 1
    _drop_unused(graph)
    return count


def use_block_lookups(model: ir.Model, bits: int) -> int:
    """Replace look-ups in large tables; call it behind `use_block_weights`.

    An encoder's table is then the same bytes as its decoder's.

    Args:
        model: Edited in place.
        bits: 8 or 4.

    Returns:
        How many look-ups were replaced.
    """
    graph = model.graph
    count = 0
    for node in [node for node in graph if _is_table(node)]:
        table = node.inputs[0]
        if table is None or len(_array(table)) < SMALLEST_LOOKUP:
            continue
        matrix = _array(table)
        size = block_size(matrix.shape[1], bits)
        if matrix.shape[1] % size:
            continue
        blocks = in_blocks(matrix, bits, size)
        packed = _initializer(graph, f"{table.name}_blocks", blocks.packed)
        _replace_lookup(graph, node, packed, blocks, matrix.shape[1])
        count += 1
    _drop_unused(graph)
    return count


def _weight_of(node: ir.Node) -> tuple[ir.Value, bool] | None:
    """The constant 2-D weight of a product, and whether it is [column, row] in the file."""
    value = node.inputs[1] if node.op_type in ("MatMul", "Gemm") else None
    if value is None:
        return None
    if node.op_type == "Gemm":  # others are MatMul and Add by now
        plain = len(node.inputs) == 2 and _attribute(node, "alpha") == _attribute(node, "beta") == 1
        turned = plain and _attribute(node, "transB") == 1 and _attribute(node, "transA") == 0
        return (value, True) if turned and _is_matrix(value) else None
    before = value.producer()
    if before is not None and before.op_type == "Transpose":
        value = before.inputs[0]
        return (value, True) if value is not None and _is_matrix(value) else None
    return (value, False) if _is_matrix(value) else None


def _attribute(node: ir.Node, name: str) -> float:
    attribute = node.attributes.get(name)
    return (name in ("alpha", "beta")) if attribute is None else float(attribute.value)


def _is_matrix(value: ir.Value) -> bool:
    return value.const_value is not None and value.is_initializer() and len(value.shape or ()) == 2


def _is_table(node: ir.Node) -> bool:
    if node.op_type != "Gather" or node.inputs[0] is None or not _is_matrix(node.inputs[0]):
        return False
    return _attribute(node, "axis") == 0 and len(_array(node.inputs[0])) >= SMALLEST_TABLE


def _array(value: ir.Value) -> npt.NDArray[np.float32]:
    if value.const_value is None:
        raise TypeError(f"{value.name} is not a constant")
    array: npt.NDArray[np.float32] = value.const_value.numpy()
    return array


def _initializer(graph: ir.Graph, name: str, array: npt.NDArray[np.generic]) -> ir.Value:
    known = graph.initializers.get(name)
    if known is not None:  # of another product over the same weight, or another look-up in it
        return known
    value = ir.Value(
        name=name, const_value=ir.tensor(array, name=name), shape=ir.Shape(array.shape)
    )
    value.dtype = ir.DataType.from_numpy(array.dtype)
    graph.register_initializer(value)
    return value


def _replace_product(
    graph: ir.Graph, node: ir.Node, packed: ir.Value, blocks: Blocks, shape: tuple[int, ...]
) -> None:
    rows, columns = shape
    scales = _initializer(graph, f"{packed.name}_scales", blocks.scales)
    made = ir.node(
        "MatMulNBits",
        [node.inputs[0], packed, scales],
        {
            "K": columns,
            "N": rows,
            "bits": blocks.bits,
            "block_size": blocks.size,
            "accuracy_level": INT8_PRODUCTS,
        },
        domain=CONTRIB,
    )
    _swap(graph, node, made, made.outputs[0])


def _replace_lookup(
    graph: ir.Graph, node: ir.Node, packed: ir.Value, blocks: Blocks, columns: int
) -> None:
    """Rows of bytes -> [..., block, column] -> [..., column]."""
    scales = _initializer(graph, f"{packed.name}_row_scales", blocks.scales[..., None])
    found = ir.node(
        "GatherBlockQuantized",
        [packed, node.inputs[1], scales],
        {
            "gather_axis": 0,
            "quantize_axis": 2,
            "block_size": blocks.size,
            "bits": blocks.bits,
        },
        domain=CONTRIB,
    )
    shape = _initializer(graph, f"{packed.name}_shape", np.array([0, 0, columns], np.int64))
    whole = ir.node("Reshape", [found.outputs[0], shape])
    graph.insert_before(node, found)
    _swap(graph, node, whole, whole.outputs[0])


def _swap(graph: ir.Graph, old: ir.Node, new: ir.Node, output: ir.Value) -> None:
    was = old.outputs[0]
    output.name, output.shape, output.type = was.name, was.shape, was.type
    graph.insert_before(old, new)
    ir.convenience.replace_all_uses_with(was, output, replace_graph_outputs=True)
    graph.remove(old, safe=True)


def _drop_unused(graph: ir.Graph) -> None:
    for node in [node for node in graph if node.op_type == "Transpose"]:
        if not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
            graph.remove(node, safe=True)
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        del graph.initializers[name]
