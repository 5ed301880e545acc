"""Drop what the exporter notes about the Python source: stack traces with paths of this machine."""

import onnx_ir as ir


def drop_metadata(model: ir.Model) -> bool:
    """Clear metadata and documentation of the model, its graphs, nodes and values."""
    changed = _clear(model)
    for graph in model.graphs():
        changed |= _clear(graph)
        for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
            changed |= _clear(value)
        for node in graph:
            changed |= _clear(node)
            for value in node.outputs:
                changed |= _clear(value)
    return changed


def _clear(thing: ir.Model | ir.Graph | ir.Node | ir.Value) -> bool:
    changed = bool(thing.metadata_props) or bool(thing.doc_string)
    thing.metadata_props.clear()
    thing.doc_string = None
    return changed
