"""Bilinear resizing of score maps, with torch's arithmetic and in any order that suits.

Source: torch 2.13, `interpolate(align_corners=False, antialias=False)`: ATen/native/UpSample.h,
`area_pixel_compute_source_index` and `nearest_idx`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from onnxtasks.ops.scores import Float

Indices: TypeAlias = npt.NDArray[np.intp]
Scalar = TypeVar("Scalar", bound=np.generic)

FEW = 8  # runs of indices, up to which copying runs is faster than copying elements
LONGEST = 16  # outputs of a cell on one axis: longer ones are cut, which bounds memory


@dataclass(frozen=True, slots=True)
class Axis:
    """What the outputs of one axis are mixed from: output o is weights[o] @ inputs[start[o] : ].

    Resizing rows and columns one after the other resizes a map.
    """

    start: Indices  # [output]; never falls
    weights: Float  # [output, tap]; each row sums to 1, none is negative

    @property
    def taps(self) -> int:
        """How many neighbouring inputs each output is mixed from."""
        return int(self.weights.shape[1])

    def part(self, outputs: slice, base: int) -> "Axis":
        """Some of the outputs; their inputs are counted from `base`."""
        return Axis(self.start[outputs] - base, self.weights[outputs])


def bilinear(size: int, new_size: int) -> Axis:
    """Resize an axis of one size to another: half-pixel centres, clamped at both ends."""
    if size == 1:
        return identity_of(np.zeros(new_size, np.intp))
    # torch rounds once, to float32 (a fused multiply-add). Rounding otherwise moves the position
    # of pixel 1000 by up to 1e-4 pixels.
    scale = np.float64(np.float32(size) / np.float32(new_size))
    exact = scale * (np.arange(new_size) + 0.5) - 0.5
    position = np.maximum(exact.astype(np.float32), np.float32(0))
    lower = np.minimum(position.astype(np.intp), size - 1)
    start = np.minimum(lower, size - 2)
    share = np.where(lower > start, np.float32(1), position - lower.astype(np.float32))
    return Axis(start, np.stack([1 - share, share], axis=1).astype(np.float32))


def identity_of(inputs: Indices) -> Axis:
    """Each output is one input: [output]."""
    return Axis(inputs, np.ones((len(inputs), 1), np.float32))


def through(first: Axis, second: Axis) -> Axis:
    """Both resizings, one after the other, as one."""
    size = int(first.start[-1]) + first.taps
    low = first.start[second.start]
    high = first.start[second.start + second.taps - 1] + first.taps
    taps = int((high - low).max())
    start = np.minimum(low, size - taps)
    weights = np.zeros((len(start), taps), np.float32)
    outputs = np.arange(len(start))
    for outer in range(second.taps):
        middle = second.start + outer
        for inner in range(first.taps):
            tap = first.start[middle] + inner - start
            weights[outputs, tap] += second.weights[:, outer] * first.weights[middle, inner]
    return Axis(start, weights)


def resized(lengths: Sequence[int]) -> Axis:
    """Resize an axis bilinearly from length to length, as one: at least two lengths."""
    steps = [bilinear(old, new) for old, new in pairwise(lengths)]
    return reduce(through, steps)


def nearest(size: int, new_size: int) -> Indices:
    """The input that each output takes in nearest-neighbour resizing: [output]."""
    scale = np.float32(size) / np.float32(new_size)
    position = np.arange(new_size, dtype=np.float32) * scale
    return np.minimum(position.astype(np.intp), size - 1)


def bands(axis: Axis, input_rows: int) -> Iterator[tuple[slice, slice, Axis]]:
    """Cut an axis into bands of outputs that need at most so many inputs, or one output's.

    Yields:
        The outputs, the inputs that they need, and the axis between these two.
    """
    low = 0
    while low < len(axis.start):
        base = int(axis.start[low])
        last = base + max(input_rows - axis.taps, 0)
        high = int(np.searchsorted(axis.start, last, side="right"))
        outputs = slice(low, high)
        yield outputs, slice(base, int(axis.start[high - 1]) + axis.taps), axis.part(outputs, base)
        low = high


def resize_rows(values: Float, axis: Axis) -> Float:
    """Resize [..., row, column] to [..., output, column]."""
    total: Float = np.take(values, axis.start, axis=-2)
    total *= axis.weights[:, :1]
    for tap in range(1, axis.taps):
        part = np.take(values, axis.start + tap, axis=-2)
        part *= axis.weights[:, tap : tap + 1]
        total += part
    return total


def resize_columns(values: Float, axis: Axis) -> Float:
    """Resize [..., row, column] to [..., row, output]."""
    total: Float = np.take(values, axis.start, axis=-1)
    total *= axis.weights[:, 0]
    for tap in range(1, axis.taps):
        part = np.take(values, axis.start + tap, axis=-1)
        part *= axis.weights[:, tap]
        total += part
    return total


@dataclass(frozen=True, slots=True)
class Cells:
    """The outputs of one axis in runs that are mixed from the same inputs.

    Two axes make a grid of cells. Each pixel of a cell is a convex mix of the cell's corners, so
    the corners alone answer most questions about it.
    """

    first: Indices  # [cell]: its first input
    count: Indices  # [cell]: how many outputs it has
    outputs: Indices  # [step, cell]; the last one is repeated in shorter cells
    weights: Float  # [step, tap, cell]

    @property
    def taps(self) -> int:
        """How many neighbouring inputs each cell is mixed from."""
        return int(self.weights.shape[1])


def cells(axis: Axis) -> Cells:
    """Cut the outputs of an axis into cells."""
    outputs = np.arange(len(axis.start))
    runs = np.flatnonzero(np.diff(axis.start, prepend=-1))
    count = np.diff(runs, append=len(outputs))
    # Clamping makes the first and the last run longer than the others: cut these too, as all
    # cells take the room of the longest.
    longest = min(int(count[1:-1].max(initial=1)), LONGEST) if len(runs) > 2 else LONGEST
    starts = np.flatnonzero((outputs - np.repeat(runs, count)) % longest == 0)
    count = np.diff(starts, append=len(outputs))
    places = starts + np.minimum(np.arange(count.max())[:, None], count - 1)
    weights = np.ascontiguousarray(axis.weights[places].transpose(0, 2, 1))
    return Cells(axis.start[starts], count, places, weights)


def over_corners(
    join: np.ufunc, values: npt.NDArray[Scalar], rows: Cells, columns: Cells
) -> npt.NDArray[Scalar]:
    """Join the corners of each cell: [..., row, column] -> [..., cell row, cell column]."""
    low, high = int(rows.first[0]), int(rows.first[-1]) + 1
    lines = values[..., low:high, :]
    for tap in range(1, rows.taps):
        lines = join(lines, values[..., low + tap : high + tap, :])
    left, right = int(columns.first[0]), int(columns.first[-1]) + 1
    joined = lines[..., left:right]
    for tap in range(1, columns.taps):
        joined = join(joined, lines[..., left + tap : right + tap])
    return _take(_take(joined, rows.first - low, -2), columns.first - left, -1)


def corners_at(
    values: Float,
    grid: tuple[Cells, Cells],
    at: tuple[Indices, Indices],
    classes: Indices | None = None,
) -> Float:
    """The corners of some cells.

    Args:
        values: [class, row, column].
        grid: The cells of the rows, and of the columns.
        at: The cells' places in these, [cell] each.
        classes: The class wanted of each cell, [cell]; None for all.

    Returns:
        float32 [row tap, column tap, cell], or [corner, class, cell] for all classes.
    """
    (rows, columns), (count, height, width) = grid, values.shape
    place = rows.first[at[0]] * width + columns.first[at[1]]
    steps = [row * width + column for row in range(rows.taps) for column in range(columns.taps)]
    if classes is None:
        corners = np.empty((len(steps), count, len(place)), np.float32)
        for step, corner in zip(steps, corners, strict=True):
            np.take(values.reshape(count, -1), place + step, axis=1, out=corner, mode="clip")
        return corners
    indices = np.array(steps)[:, None] + (classes * (height * width) + place)
    wanted: Float = values.reshape(-1)[indices]
    return wanted.reshape(rows.taps, columns.taps, -1)


def mix(
    corners: Float, row_weights: Float, column_weights: Float, out: Float, spare: Float
) -> None:
    """Write the pixels of cells, from their corners.

    The cells come last, so that each operation runs over long stretches of memory.

    Args:
        corners: [row tap, column tap, cell].
        row_weights: [row, row tap, cell].
        column_weights: [column, column tap, cell].
        out: [row, column, cell]; all of it is written.
        spare: Of the same shape; overwritten where there are more than two column taps.
    """
    lines = corners[0, :, None] * row_weights[:, 0]  # [column tap, row, cell]
    for tap in range(1, len(corners)):
        lines += corners[tap, :, None] * row_weights[:, tap]
    if len(lines) == 1:
        out[:] = lines[0, :, None]
        return
    # The weights sum to 1: differences from the first corner spare one product of this size.
    lines[1:] -= lines[0]
    np.multiply(lines[1, :, None], column_weights[:, 1], out=out)
    for tap in range(2, len(lines)):
        np.multiply(lines[tap, :, None], column_weights[:, tap], out=spare)
        out += spare
    out += lines[0, :, None]


def _take(values: npt.NDArray[Scalar], indices: Indices, axis: int) -> npt.NDArray[Scalar]:
    """`np.take`, as few long copies where most indices follow each other, or none."""
    ends = [*np.flatnonzero(np.diff(indices) != 1) + 1, len(indices)]
    if len(ends) > FEW:
        return np.take(values, indices, axis=axis)
    starts = [0, *ends[:-1]]
    spans: list[Any] = [
        slice(int(indices[start]), int(indices[end - 1]) + 1)
        for start, end in zip(starts, ends, strict=True)
    ]
    parts = [values[..., span] if axis == -1 else values[..., span, :] for span in spans]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)
