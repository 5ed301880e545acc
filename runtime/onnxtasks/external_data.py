"""Which files an ONNX graph reads its weights from, without the onnx package.

ONNX Runtime opens the files that a graph names; a bundle must know them before that. This walks
the protobuf wire format (https://protobuf.dev/programming-guides/encoding) along the fields of
onnx.proto that can lead to a tensor, and skips everything else by its length.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from onnxtasks.errors import BundleError

# message -> field number -> the message inside it; field numbers of onnx.proto (IR version 13)
_FIELDS: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
    "Entry": {1: "key", 2: "value"},
}  # fmt: skip


def external_locations(path: Path) -> set[str]:
    """Return every external-data location that the graph file names.

    Raises:
        BundleError: The file is not a protobuf message.
    """
    if path.stat().st_size == 0:
        raise BundleError(f"{path} is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return set(_locations(data, 0, len(data), "Model"))
        except (IndexError, UnicodeDecodeError, RecursionError) as error:
            raise BundleError(f"{path} is not an ONNX graph: {error}") from None


def _locations(data: mmap.mmap, start: int, end: int, message: str) -> Iterator[str]:
    for field, low, high in _messages(data, start, end):
        inner = _FIELDS[message].get(field)
        if inner == "Entry":
            pair = {f: data[a:b].decode() for f, a, b in _messages(data, low, high)}
            if pair.get(1) == "location":
                yield pair.get(2, "")
        elif inner is not None:
            yield from _locations(data, low, high, inner)


def _messages(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (field number, first byte, end) of the length-delimited fields of one message."""
    at = start
    while at < end:
        tag, at = _varint(data, at)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            _, at = _varint(data, at)
        elif wire == 1:
            at += 8
        elif wire == 5:
            at += 4
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise IndexError(f"a field at byte {at} is longer than its message")
            yield field, at, at + length
            at += length
        else:
            raise IndexError(f"unknown wire type {wire} at byte {at}")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError(f"a number at byte {at} is too long")
