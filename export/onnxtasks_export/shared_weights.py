"""Weights that several graphs of a bundle hold alike, stored once.

An encoder and a decoder share their embedding table, and variants share what they leave alone. Each
graph names the file and the place of every weight, so one can point into another's file.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnxtasks_export.capture import write_in_pieces

SMALLEST = 64 * 2**10
"""Bytes of a weight that is worth looking for."""
ALIGNMENT = 4096
"""A page: what begins there can be mapped by itself."""


@dataclass(frozen=True)
class Place:
    """Where a weight's bytes are."""

    file: str
    offset: int
    length: int


def share_weights(graphs: Sequence[Path]) -> int:
    """Let later graphs point at weights that earlier ones hold; rewrites their weight files.

    Args:
        graphs: ONNX files of one folder, each with its weights in `<name>.data`.

    Returns:
        Bytes that were saved.
    """
    known: dict[bytes, Place] = {}
    return sum(_share(path, known) for path in graphs)


def _share(path: Path, known: dict[bytes, Place]) -> int:
    weights = path.with_suffix(".data")
    model = onnx.load(path, load_external_data=False)
    tensors = [one for one in model.graph.initializer if one.external_data]
    digests = {one.name: _digest(weights, place(one)) for one in tensors}
    doubles = {name for name, digest in digests.items() if digest in known}
    saved = sum(place(one).length for one in tensors if one.name in doubles)
    if doubles:
        pieces: list[tuple[int, Place]] = []
        end = 0
        for one in tensors:
            if one.name in doubles:
                _point(one, known[digests[one.name]])
                continue
            old = place(one)
            start = end if old.length < SMALLEST else -(-end // ALIGNMENT) * ALIGNMENT
            pieces.append((start, old))
            _point(one, Place(weights.name, start, old.length))
            end = start + old.length
        _rewrite(weights, pieces)
        onnx.save(model, path)
    for one in tensors:
        if digests[one.name] and one.name not in doubles:
            known[digests[one.name]] = place(one)
    return saved


def place(tensor: onnx.TensorProto) -> Place:
    """Where a weight is, relative to its graph's folder."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    return Place(said["location"], int(said.get("offset", 0)), int(said["length"]))


def _digest(weights: Path, where: Place) -> bytes:
    """Of a weight's bytes; empty for one that is too small to share."""
    if where.length < SMALLEST or where.file != weights.name:
        return b""
    with weights.open("rb") as file:
        file.seek(where.offset)
        return hashlib.sha256(file.read(where.length)).digest()


def _point(tensor: onnx.TensorProto, where: Place) -> None:
    del tensor.external_data[:]
    said = {"location": where.file, "offset": str(where.offset), "length": str(where.length)}
    for key, value in said.items():
        tensor.external_data.add(key=key, value=value)


def _rewrite(weights: Path, pieces: Sequence[tuple[int, Place]]) -> None:
    """Write a weight file anew: each piece from its old place at its new start."""
    made = weights.with_suffix(".shared")
    with weights.open("rb") as source, made.open("wb") as target:
        for start, old in pieces:
            source.seek(old.offset)
            target.seek(start)
            target.write(source.read(old.length))
    made.replace(weights)
    write_in_pieces(weights)
