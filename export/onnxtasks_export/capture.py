"""Module -> ONNX file: the only caller of the exporter."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch

from onnxtasks.devices import available_threads, resolve
from onnxtasks.errors import ExportError
from onnxtasks.session import Array, OrtSession, Outputs
from onnxtasks_export.graphs.base import Axes, Graph
from onnxtasks_export.passes import AFTER_CAPTURE, run_passes
from onnxtasks_export.quiet import quiet

# 20 has Gelu as one operator, which ONNX Runtime fuses with its bias; from 23 on the standard
# Attention operator appears, which its contrib fusions do not know.
OPSET = 20
TOLERANCE = 1e-4
"""Largest difference from the module at any checked size, relative where values exceed 1."""
SEED = 20


def capture(graph: Graph, path: Path) -> None:
    """Export a graph, write it with its weights in `<name>.data` beside it, and check it.

    Args:
        graph: What to capture.
        path: The ONNX file to write, in an existing folder.

    Raises:
        ExportError: The exporter failed, or the file differs from the module at some size.
    """
    rng = np.random.default_rng(SEED)
    feeds = graph.feeds(graph.sizes[0], rng)
    arguments = tuple(torch.from_numpy(feeds[name]) for name in graph.inputs)
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                graph.module,
                arguments,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=tuple(_dynamic(axes) for axes in graph.inputs.values()),
                verbose=False,
            )
    except Exception as error:  # the exporter's errors have no common base
        raise ExportError(f"the exporter cannot capture the graph: {_summary(error)}") from error
    model = program.model
    name_axes(model, graph)
    run_passes(model, AFTER_CAPTURE)
    save(model, path)
    check_sizes(graph, path)


def save(model: ir.Model, path: Path) -> None:
    """Write a model and, beside it, its weights."""
    weights = path.with_suffix(".data")
    ir.save(model, path, external_data=weights.name)
    if weights.exists():
        write_in_pieces(weights)


def write_in_pieces(path: Path) -> None:
    """Write a file again in pieces of 128 KiB.

    A file written in one go stays in the page cache in pieces of megabytes; looking up a few rows
    of a mapped embedding table then maps all of it (BERT-base: 36 to 68 MB more resident memory).
    """
    whole = path.with_suffix(".whole")
    path.rename(whole)
    with whole.open("rb") as source, path.open("wb", buffering=0) as target:
        while piece := source.read(128 * 2**10):
            target.write(piece)
    whole.unlink()


def name_axes(model: ir.Model, graph: Graph) -> None:
    """Give the graph's inputs and outputs the axis names of their declaration."""
    declared = {**graph.inputs, **graph.outputs}
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.shape = ir.Shape(declared[str(value.name)])


def check_sizes(graph: Graph, path: Path) -> None:
    """Compare the file with the module at every size; an export that succeeds can be wrong there.

    Raises:
        ExportError: It fails or differs at some size.
    """
    session = OrtSession(path, resolve("cpu", ("CPUExecutionProvider",)), available_threads())
    rng = np.random.default_rng(SEED)
    for sizes in graph.sizes:
        feeds = graph.feeds(sizes, rng)
        expected, got = module_outputs(graph, feeds), session.run(feeds)
        for name, array in expected.items():
            if got[name].shape != array.shape:
                raise ExportError(
                    f"{path.name} at {dict(sizes)}: {name} is {got[name].shape}, "
                    f"the module gives {array.shape}"
                )
            far = float(np.abs(got[name] - array).max() / max(1.0, np.abs(array).max()))
            if not far <= TOLERANCE:  # also catches NaN
                raise ExportError(
                    f"{path.name} at {dict(sizes)}: {name} is {far:.2g} away from the module"
                )
    session.close()


def module_outputs(graph: Graph, feeds: dict[str, Array]) -> Outputs:
    """Run the module itself."""
    with quiet(), torch.no_grad():
        values = graph.module(*(torch.from_numpy(feeds[name]) for name in graph.inputs))
    tensors = values if isinstance(values, tuple) else (values,)
    return {name: t.numpy() for name, t in zip(graph.outputs, tensors, strict=True)}


def _dynamic(axes: Axes) -> dict[int, str]:
    return {index: axis for index, axis in enumerate(axes) if isinstance(axis, str)}


def _summary(error: Exception) -> str:
    """The exporter's report is a page with advice to its developers; this is its cause."""
    cause = str(error).partition("## Exception summary")[2].strip() or str(error).strip()
    return cause.splitlines()[0] if cause else type(error).__name__
