"""Drop the shapes noted for values inside a graph; the engine infers them again."""

import onnx_ir as ir


def drop_shapes(model: ir.Model) -> bool:
    """Clear type and shape of every value that is neither input, output nor weight.

    The quantiser and the engine's optimiser replace nodes and keep what was noted for the values
    around them, which may then be wrong: the quantiser fails on such a graph.
    """
    changed = False
    for graph in model.graphs():
        kept = {id(value) for value in (*graph.inputs, *graph.outputs)}
        for node in graph:
            for value in node.outputs:
                if id(value) in kept or (value.shape is None and value.type is None):
                    continue
                value.shape, value.type = None, None
                changed = True
    return changed
