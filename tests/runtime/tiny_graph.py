"""Few-byte ONNX graphs and bundles for tests that need a real session, without the onnx package.

The field numbers are those of onnx.proto (IR version 8, opset 17).
"""

import struct
from pathlib import Path

import numpy as np

from onnxtasks.bundle import (
    SCHEMA_VERSION,
    Manifest,
    Variant,
    default_variants,
    record_files,
    write_manifest,
)
from onnxtasks.parity import Parity, VariantParity, write_parity
from onnxtasks.reference import Case, write_reference

FLOAT = 1


def tiny_graph(path: Path, factor: float = 2.0, external: str | None = None) -> Path:
    """Write a graph ``y = x * factor``; x and y are float32 [n].

    Args:
        path: The file to write; its folder exists.
        factor: The graph's only weight.
        external: Keep the weight in external data at this location; written beside the graph.
    """
    weight = struct.pack("<f", factor)
    tensor = _number(1, 1) + _number(2, FLOAT) + _text(8, "factor")
    if external is None:
        tensor += _bytes(9, weight)
    else:
        tensor += _bytes(13, _text(1, "location") + _text(2, external)) + _number(14, 1)
        (path.parent / external).write_bytes(weight)
    node = _text(1, "x") + _text(1, "factor") + _text(2, "y") + _text(4, "Mul")
    graph = _bytes(1, node) + _text(2, "tiny") + _bytes(5, tensor)
    graph += _bytes(11, _value("x")) + _bytes(12, _value("y"))
    model = _number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, 17))
    path.write_bytes(model)
    return path


def tiny_bundle(
    folder: Path,
    factors: dict[str, float],
    task: str = "text-classification",
    outputs: tuple[float, ...] = (2.0, -4.0),
    tolerance: float = 1e-4,
) -> Path:
    """Write a bundle whose variants multiply by their factor; the original multiplies by 2.

    Args:
        folder: The bundle's folder; made here.
        factors: Variant name -> its factor.
        task: The manifest's task.
        outputs: What the original answers to the feeds (1, -2).
        tolerance: Reference tolerance of every variant.
    """
    (folder / "graphs").mkdir(parents=True)
    variants: dict[str, Variant] = {}
    for name, factor in factors.items():
        file = f"graphs/{name}.model.onnx"
        tiny_graph(folder / file, factor)
        device, precision = name.split("-")
        variants[name] = Variant(device=device, precision=precision, graphs={"model": file})  # type: ignore[arg-type]
    feeds = {"x": np.array([1, -2], np.float32)}
    write_reference(folder, [Case(feeds, {"y": np.array(outputs, np.float32)})])
    row = VariantParity(
        compared=64,
        same=1.0,
        max_difference=2e-6,
        divergence=5e-7,
        tolerance=1e-4,
        reference_difference=1e-6,
        reference_tolerance=tolerance,
        batch_sizes=(1, 2, 5),
        sizes=("n=2", "n=7"),
        seconds=1.5,
        spread=0.0,
    )
    write_parity(folder, Parity(variants=dict.fromkeys(factors, row)))
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        task=task,
        architecture="TinyModel",
        variants=variants,
        default_variant=default_variants(variants),
        files=record_files(folder),
        spec={"labels": ["negative", "positive"], "max_tokens": 64},
        source={"checkpoint": "tiny", "transformers": "5.23.0"},
    )
    write_manifest(folder, manifest)
    return folder


def _value(name: str) -> bytes:
    shape = _bytes(1, _text(2, "n"))
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low]) if not rest else bytes([low | 128]) + _varint(rest)
