"""Gemm -> MatMul + Add: dynamic quantisers see MatMul wholly and Gemm only in part."""

import numpy as np
import onnx_ir as ir


def split_gemm(model: ir.Model) -> bool:
    """Replace every Gemm over constant weights with alpha = beta = 1 and an untransposed input."""
    changed = False
    for graph in model.graphs():
        for node in [node for node in graph if node.op_type == "Gemm" and node.domain == ""]:
            changed |= _split(graph, node)
    return changed


def _split(graph: ir.Graph, node: ir.Node) -> bool:
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    weight = node.inputs[1]
    plain = attributes.get("alpha", 1.0) == 1.0 and attributes.get("beta", 1.0) == 1.0
    if not plain or attributes.get("transA", 0) or weight is None or weight.const_value is None:
        return False
    given = weight  # replaced below where it must be transposed
    if attributes.get("transB", 0):
        weight = _transposed(graph, f"{weight.name}_transposed", weight.const_value)
    product = ir.node("MatMul", [node.inputs[0], weight])
    nodes = [product]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None:
        nodes.append(ir.node("Add", [product.outputs[0], bias]))
    result = nodes[-1].outputs[0]
    old = node.outputs[0]
    result.name, result.shape, result.type = old.name, old.shape, old.type
    graph.insert_before(node, nodes)
    old.replace_all_uses_with(result, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if given.name is not None and not given.uses():
        graph.initializers.pop(given.name)
    return True


def _transposed(graph: ir.Graph, name: str, weight: ir.TensorProtocol) -> ir.Value:
    if name in graph.initializers:
        return graph.initializers[name]
    array = np.ascontiguousarray(weight.numpy().T)
    value = ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(weight.dtype),
        const_value=ir.tensor(array, name=name),
    )
    graph.register_initializer(value)
    return value
