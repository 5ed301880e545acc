"""Where only the first token is read at the end, compute only that in the last layer.

Classifiers read one position ([CLS]) of the last layer's output. Its queries, its output
projection and its feed-forward part, 10 of the 12 products of a layer, are then needed for that
position alone; keys and values still for all. Exact: the same operators, on fewer rows.
"""

import numpy as np
import onnx_ir as ir

ROWWISE = ("Erf", "Gelu", "Identity", "LayerNormalization", "Relu", "Sigmoid", "Softmax", "Tanh")
"""Operators whose every row of the token axis depends on that row alone (over the last axis)."""
ELEMENTWISE = ("Add", "Div", "Mul", "Pow", "Sub")

Use = tuple[ir.Node, int]
"""A node, and which of its inputs."""


def first_token(model: ir.Model) -> bool:
    """Move the choice of the first token up, as far as nothing else reads the other tokens.

    Needs the shapes that the exporter noted.
    """
    reduced: list[ir.Node] = []
    wanted: dict[ir.Value, tuple[int, set[Use]]] = {}  # value -> its token axis, uses that need one
    for node in reversed(list(model.graph)):
        if _takes_first(node):
            _want(wanted, node, 0, 1)
            continue
        value = node.outputs[0]
        if value not in wanted or not _only(value, wanted[value][1]):
            continue
        needs = _needs(node, wanted[value][0])
        if needs is not None:
            reduced.append(node)
            for index, axis in needs:
                _want(wanted, node, index, axis)
    if not reduced:
        return False
    made = {node.outputs[0] for node in reduced}
    for value, (axis, uses) in wanted.items():
        inside = [use for use in uses if use[0] in reduced]
        if value not in made and inside:
            _cut(model.graph, value, axis, inside)
    for node in reduced:
        if node.op_type == "Reshape":
            _reshape_one(model.graph, node)
    return True


def _takes_first(node: ir.Node) -> bool:
    if node.op_type != "Gather" or node.attributes["axis"].value != 1:
        return False
    data, index = node.inputs
    if data is None or data.shape is None or len(data.shape) != 3 or index is None:
        return False
    chosen = None if index.const_value is None else index.const_value.numpy()
    return chosen is not None and chosen.ndim == 0 and int(chosen) == 0


def _needs(node: ir.Node, axis: int) -> list[tuple[int, int]] | None:
    """Which inputs must give one row, and on which axis; None where the node is not known."""
    shape = node.outputs[0].shape
    if shape is None:
        return None
    rank = len(shape)
    if node.op_type in ROWWISE and axis < rank - 1:
        along = node.attributes.get("axis")
        return [(0, axis)] if along is None or along.value in (-1, rank - 1) else None
    if node.op_type in ELEMENTWISE:
        return _broadcast(node, axis, rank)
    if node.op_type == "MatMul" and axis == rank - 2:
        left = node.inputs[0]
        return None if left is None or left.shape is None else [(0, len(left.shape) - 2)]
    if node.op_type == "Transpose":
        return [(0, node.attributes["perm"].value[axis])]
    if node.op_type == "Reshape" and axis == 1:
        return [(0, 1)] if _keeps_tokens(node) else None
    return None


def _broadcast(node: ir.Node, axis: int, rank: int) -> list[tuple[int, int]] | None:
    needs = []
    for index, value in enumerate(node.inputs):
        if value is None or value.shape is None:
            return None
        at = axis - (rank - len(value.shape))
        if at >= 0 and value.shape[at] != 1:
            needs.append((index, at))
    return needs


def _keeps_tokens(node: ir.Node) -> bool:
    """Whether a Reshape only splits or joins heads: [batch, token, ...] on both sides."""
    before, after = node.inputs[0], node.outputs[0]
    if before is None or before.shape is None or after.shape is None:
        return False
    rest = after.shape[2:]
    return before.shape[:2] == after.shape[:2] and all(isinstance(size, int) for size in rest)


def _want(
    wanted: dict[ir.Value, tuple[int, set[Use]]], node: ir.Node, index: int, axis: int
) -> None:
    value = node.inputs[index]
    if value is not None:
        known, uses = wanted.setdefault(value, (axis, set()))
        if known == axis:  # a use with another axis stays out, so the value is not reduced
            uses.add((node, index))


def _only(value: ir.Value, uses: set[Use]) -> bool:
    found = {(use.node, use.idx) for use in value.uses()}
    return not value.is_graph_output() and found == uses


def _cut(graph: ir.Graph, value: ir.Value, axis: int, uses: list[Use]) -> None:
    """Give these uses the first row of the value."""
    bounds = (
        _constant(graph, f"{value.name}_{name}", [number])
        for name, number in (("first", 0), ("end", 1), ("axis", axis))
    )
    cut = ir.node("Slice", [value, *bounds])
    cut.outputs[0].name = f"{value.name}_first_token"
    for node, index in uses:
        node.replace_input_with(index, cut.outputs[0])
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], cut)
    else:
        graph.insert_after(producer, cut)


def _reshape_one(graph: ir.Graph, node: ir.Node) -> None:
    shape = node.outputs[0].shape
    sizes = [0, 1, *(size for size in (shape or ())[2:] if isinstance(size, int))]
    value = _constant(graph, f"{node.outputs[0].name}_shape", sizes)
    node.replace_input_with(1, value)
    node.attributes["allowzero"] = ir.AttrInt64("allowzero", 0)  # 0: the size as it comes


def _constant(graph: ir.Graph, name: str, numbers: list[int]) -> ir.Value:
    tensor = ir.tensor(np.array(numbers, np.int64), name=name)
    value = ir.Value(
        name=name,
        shape=ir.Shape([len(numbers)]),
        type=ir.TensorType(ir.DataType.INT64),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value
