"""int8 with fixed ranges: for the families whose time goes into convolutions.

Dynamic quantisation leaves convolutions alone. Here the ranges of their inputs and outputs are
fixed, as they were on real inputs (`calibration.py`), and QuantizeLinear and DequantizeLinear stand
around them, which the engine joins into integer operators that hand bytes to each other. Products
over weights may still take their ranges as they come: more precise, for it fits every input.
"""

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from onnxtasks.errors import ExportError
from onnxtasks_export.calibration import Ranges, check_ranges
from onnxtasks_export.capture import save
from onnxtasks_export.passes import BEFORE_QUANTISING, run_passes
from onnxtasks_export.precision import count, optimise, quantise_products
from onnxtasks_export.quiet import quiet

WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm")
"""Operators with weights; of those only such are quantised whose weights are constants."""
INTEGER = (
    *("QLinearConv", "QLinearMatMul", "QGemm"),
    *("DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat"),
)
"""What the engine makes of them."""
AROUND = ("Add", "Relu", "MaxPool")
"""What stands between convolutions, and would otherwise turn bytes into floats and back."""


@dataclass(frozen=True)
class Recipe:
    """What of a family's graph runs in 8 bits; found by measuring (docs/quantisation.md)."""

    fixed: tuple[str, ...]
    """Operators whose ranges are fixed."""
    taken: tuple[str, ...] = ("MatMul",)
    """Operators whose ranges are taken as they come, where they are not fixed."""


RECIPES: dict[str, Recipe] = {
    "conditional_detr": Recipe(("Conv", *AROUND)),
    "detr": Recipe(("Conv", *AROUND)),
    "glpn": Recipe(("Conv", *AROUND)),
    "hubert": Recipe(("Conv",)),
    "mask2former": Recipe(("Conv",)),
    "resnet": Recipe(("Conv", "MatMul", *AROUND)),
    "rt_detr": Recipe(("Conv", *AROUND)),
    "rt_detr_v2": Recipe(("Conv", *AROUND)),
    "segformer": Recipe(("Conv", *AROUND)),
    "table-transformer": Recipe(("Conv", *AROUND)),
    "wav2vec2": Recipe(("Conv",)),
    "wavlm": Recipe(("Conv",)),
}
"""Model type -> recipe; of every other family only products are quantised, as they come."""


@dataclass(frozen=True)
class Part:
    """What a search may leave in fp32: a node with weights, and what follows it."""

    label: str
    """For people: the checkpoint's name of its weights, where it has some."""
    nodes: tuple[str, ...]
    """Names in the prepared graph, the node with weights first."""
    fixed: bool
    """Whether its ranges are fixed."""


def prepare(source: Path, target: Path) -> None:
    """Write a captured graph as the quantisers should see it, every node with a name of its own."""
    model = ir.load(source)
    run_passes(model, BEFORE_QUANTISING)
    for index, node in enumerate(model.graph):
        node.name = f"{index}_{node.op_type}"
    save(model, target)


def find_parts(prepared: Path, recipe: Recipe) -> list[Part]:
    """The parts of a prepared graph that a recipe quantises, in the graph's order.

    Operators without weights belong to the part before them, and only where all that they read are
    results of fixed ranges: the additions of a transformer stay as they are.
    """
    graph = onnx.load(prepared, load_external_data=False).graph
    constants = {one.name for one in graph.initializer}
    labels = _labels(graph, constants)
    nodes: list[list[str]] = []
    fixed: list[bool] = []
    made: dict[str, int] = {}  # tensor -> the part whose ranges are fixed that gives it
    for node in graph.node:
        part = None
        if node.op_type in WEIGHTED:
            if node.input[1] in constants and node.op_type in (*recipe.fixed, *recipe.taken):
                nodes.append([node.name])
                fixed.append(node.op_type in recipe.fixed)
                part = len(nodes) - 1
        elif node.op_type in recipe.fixed:
            read = {made.get(name, -1) for name in node.input if name and name not in constants}
            if read and min(read) >= 0:
                part = max(read)
                nodes[part].append(node.name)
        if part is not None and fixed[part]:
            made |= dict.fromkeys(node.output, part)
    return [
        Part(labels[names[0]], tuple(names), how) for names, how in zip(nodes, fixed, strict=True)
    ]


def watched_tensors(prepared: Path, parts: Collection[Part]) -> set[str]:
    """The tensors whose ranges are needed: inputs and outputs of the parts that are fixed."""
    graph = onnx.load(prepared, load_external_data=False).graph
    constants = {one.name for one in graph.initializer}
    names = {name for part in parts if part.fixed for name in part.nodes}
    chosen = [node for node in graph.node if node.name in names]
    return {name for node in chosen for name in (*node.input, *node.output)} - constants - {""}


def to_static_int8(prepared: Path, target: Path, parts: Sequence[Part], ranges: Ranges) -> None:
    """Write the form of a prepared graph in which these parts run in 8 bits.

    Args:
        prepared: See `prepare`.
        target: The ONNX file to write.
        parts: What is quantised; what a search found to be sensitive is not among them.
        ranges: Of the inputs and outputs of those that are fixed.

    Raises:
        ExportError: A range is no number.
    """
    check_ranges(ranges)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder, quiet():
        step = prepared
        fixed = [name for part in parts if part.fixed for name in part.nodes]
        if fixed:
            step = _fix(step, Path(folder) / "fixed.onnx", fixed, ranges)
        taken = [name for part in parts if not part.fixed for name in part.nodes]
        if taken:
            step = quantise_products(step, Path(folder) / "quantised.onnx", taken)
        optimise(step, target)


def check_integer(path: Path) -> None:
    """Refuse a graph that computes nothing in 8 bits; quantisers can silently do nothing.

    Raises:
        ExportError: It does not.
    """
    if not count(ir.load(path), *INTEGER):
        raise ExportError("nothing to quantise: no convolution and no product could run in 8 bits")


def _fix(source: Path, target: Path, nodes: Sequence[str], ranges: Ranges) -> Path:
    """Put QuantizeLinear and DequantizeLinear around nodes."""
    model = onnx.load(source)
    operators = {node.name: node.op_type for node in model.graph.node}
    found = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    quantiser = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, found),
        nodes_to_quantize=list(nodes),
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({operators[name] for name in nodes}),
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    quantiser.quantize_model()
    quantiser.model.save_model_to_file(str(target), use_external_data_format=True)
    return target


def _labels(graph: onnx.GraphProto, constants: set[str]) -> dict[str, str]:
    """Nodes with weights -> the checkpoint's name of these, or the node's own."""
    biases: dict[str, list[str]] = {}  # of products that were split from their additions
    for node in graph.node:
        if node.op_type == "Add":
            for name in node.input:
                biases.setdefault(name, []).extend(sorted(set(node.input) & constants))
    labels: dict[str, str] = {}
    for node in graph.node:
        if node.op_type not in WEIGHTED:
            continue
        labels[node.name] = node.name
        for name in (*biases.get(node.output[0], ()), *reversed(node.input[1:])):
            stem, _, end = name.removesuffix("_transposed").rpartition(".")
            if end in ("weight", "bias"):
                labels[node.name] = stem.removeprefix("model.")  # of our module around it
    return labels
