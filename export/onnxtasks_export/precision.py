"""The same graph at another precision."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir
import onnxruntime
from onnx import TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic

from onnxtasks.errors import ExportError
from onnxtasks_export.block_weights import use_block_lookups, use_block_weights
from onnxtasks_export.capture import save
from onnxtasks_export.passes import AFTER_CAPTURE, BEFORE_QUANTISING, run_passes
from onnxtasks_export.quiet import quiet

# Convolutions stay fp32: ConvInteger is slow or missing.
QUANTISED = ["MatMul"]
# On some machines slower than the LayerNormalization and Add that it replaces.
SLOW_FUSIONS = ["SkipLayerNormFusion"]
# The tanh form of GELU; changes values, so it is no part of fp32.
APPROXIMATE_GELU = ("optimization.enable_gelu_approximation", "1")
WEIGHT_ONLY = {"w8": 8, "w4": 4}
"""Precision -> bits of a weight."""


def convert(source: Path, target: Path, precision: str, role: str) -> None:
    """Write a captured fp32 graph at another precision.

    Args:
        source: A captured fp32 graph.
        target: The ONNX file to write.
        precision: "int8", "w8" or "w4".
        role: Of the graph. A "decoder" reads few tokens a run: its embedding table and head share
            their weights in every form. An "encoder" reads whole texts and takes int8 instead of a
            weight-only form, which is slower there than fp32.

    Raises:
        ExportError: The graph holds no product over constant weights.
    """
    if precision in WEIGHT_ONLY and role == "decoder":
        to_weight_only(source, target, WEIGHT_ONLY[precision])
    else:
        to_int8(source, target, tables=role in ("decoder", "encoder"))


def to_weight_only(source: Path, target: Path, bits: int) -> None:
    """Write a graph with its weights in blocks of 8 or 4 bits, and fp32 activations.

    Raises:
        ExportError: The graph holds no product over constant weights.
    """
    model = ir.load(source)
    tables = use_block_weights(model, bits, only_tables=True)  # splitting a Gemm copies its weight
    run_passes(model, BEFORE_QUANTISING)
    products = use_block_weights(model, bits) + tables
    use_block_lookups(model, bits)
    if not products:
        raise ExportError("nothing to quantise: the graph has no matrix product over weights")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "blocks.onnx"
        save(model, made)
        optimise(made, target)


def to_int8(source: Path, target: Path, *, tables: bool = False) -> None:
    """Write the cpu-int8 form of a captured fp32 graph.

    Args:
        source: A captured fp32 graph.
        target: The ONNX file to write.
        tables: Whether embedding tables are quantised too; one that is also multiplied with stays
            one matrix.

    Raises:
        ExportError: The graph holds no product over constant weights.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        quantised = Path(folder) / "quantised.onnx"
        quantise(source, quantised, tables=tables)
        optimise(quantised, target)
    if not count(ir.load(target), "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat"):
        raise ExportError("nothing to quantise: the graph has no matrix product over weights")


def quantise(source: Path, target: Path, *, tables: bool = False) -> None:
    """Quantise the weights of matrix products to 8 bits, activations as they come at run time."""
    model = ir.load(source)
    if tables:
        use_block_weights(model, 8, only_tables=True)
        use_block_lookups(model, 8)
    run_passes(model, BEFORE_QUANTISING)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        split = Path(folder) / "split.onnx"
        save(model, split)
        quantise_products(split, target)


def quantise_products(source: Path, target: Path, nodes: Sequence[str] = ()) -> Path:
    """Quantise products over constant weights as `quantise` does, in a graph without Gemm.

    Args:
        source: The graph.
        target: The ONNX file to write.
        nodes: Names of the products; none stands for all.

    Returns:
        The target.
    """
    with quiet():
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=QUANTISED,
            nodes_to_quantize=list(nodes),
            weight_type=QuantType.QInt8,
            per_channel=True,
            use_external_data_format=True,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
    return target


def optimise(source: Path, target: Path) -> None:
    """Run the engine's optimiser as far as is portable (level "extended"), and write the result.

    The result needs none of the session settings that the fast form takes.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    options.add_session_config_entry(*APPROXIMATE_GELU)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        optimised = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(optimised)
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", "optimised.data"
        )
        onnxruntime.InferenceSession(
            str(source),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=SLOW_FUSIONS,
        )
        model = ir.load(optimised)
        run_passes(model, AFTER_CAPTURE)
        save(model, target)


def count(model: ir.Model, *operators: str) -> int:
    """How many nodes of these operators the model holds; a quantiser may silently do nothing."""
    return sum(node.op_type in operators for graph in model.graphs() for node in graph)
