"""The best class of each pixel of a picture, without the scores of all classes at its size.

Each pixel of a cell (`upsampling.Cells`) is a convex mix of the cell's corners. So a class that
leads at all corners wins the whole cell, and a class whose best corner is worse than the worst
corner of another class wins nowhere in it. Only cells without such a leader are interpolated, and
only for the classes that are left.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.ops.scores import Float
from onnxtasks.ops.upsampling import (
    Axis,
    Cells,
    Indices,
    bands,
    cells,
    corners_at,
    mix,
    over_corners,
)

ClassMap: TypeAlias = npt.NDArray[np.int32]
Bool: TypeAlias = npt.NDArray[np.bool_]
Grid: TypeAlias = tuple[Cells, Cells]  # of the rows and of the columns
Places: TypeAlias = tuple[Indices, Indices]  # of cells in these two, [cell] each

# Floats held at once: enough for numpy's long loops, few enough for the processor's cache.
BAND_FLOATS = 1 << 20
CORNER_FLOATS = 1 << 18
PIXEL_FLOATS = 1 << 16
MANY = 6  # candidates of a cell, from where on it pays to look closer at them
RIVALS = 8  # classes that each candidate is compared with


def best_classes(values: Float, rows: Axis, columns: Axis) -> ClassMap:
    """The class of the largest value at each pixel after resizing.

    Of classes that are equal at all corners of a cell the first wins; of classes that are equal at
    one pixel alone, one of them.

    Args:
        values: [class, row, column].
        rows: How the rows are resized.
        columns: How the columns are resized.

    Returns:
        int32 [height, width].
    """
    best = np.empty((len(rows.start), len(columns.start)), np.int32)
    grid = cells(columns)
    for outputs, inputs, band in bands(rows, BAND_FLOATS // (len(values) * values.shape[2])):
        part = np.ascontiguousarray(values[:, inputs])
        write_best_classes(best[outputs], part, (cells(band), grid))
    return best


def write_best_classes(best: ClassMap, values: Float, grid: Grid) -> None:
    """Write one band of `best_classes`.

    Args:
        best: [height, width], contiguous; all of it is written.
        values: [class, row, column].
        grid: The cells of the band's rows, and of its columns.
    """
    leads = over_corners(np.logical_and, values == values.max(0), *grid)
    # The first class has the largest number, and 0 says that none leads.
    numbers = np.arange(len(values), 0, -1, dtype=np.int32)
    leader = np.multiply(leads, numbers[:, None, None], dtype=np.int32).max(0)
    lines = np.repeat(len(values) - leader, grid[1].count, axis=1)
    np.take(lines, np.repeat(np.arange(len(leader)), grid[0].count), axis=0, out=best)
    at_row, at_column = np.nonzero(leader == 0)
    step = max(CORNER_FLOATS // (len(values) * grid[0].taps * grid[1].taps), 1)
    cell: list[Indices] = []
    classes: list[Indices] = []
    for low in range(0, len(at_row), step):
        part = (at_row[low : low + step], at_column[low : low + step])
        found = np.nonzero(candidates(corners_at(values, grid, part)).T)
        cell.append(found[0] + low)
        classes.append(found[1])
    if cell:
        pairs = np.concatenate(cell), np.concatenate(classes)
        _write_contested(best, values, grid, (at_row, at_column), pairs)


def candidates(corners: Float) -> Bool:
    """Which classes may win somewhere in a cell: [corner, class, cell] -> [class, cell]."""
    bound = corners.min(0).max(0)  # [cell]: one class is nowhere below this
    possible: Bool = ~(corners.max(0) < bound)  # every class, where the model gave NaN
    if np.count_nonzero(possible) <= MANY * len(bound):
        return possible
    # As in noise. Leave out what one of the classes with large sums beats at all corners.
    sums = corners.sum(0)
    numbers = np.arange(1, len(sums) + 1, dtype=np.int32)[:, None]
    cell = np.arange(len(bound))
    for _ in range(min(RIVALS, len(sums))):
        rival = np.multiply(sums == sums.max(0), numbers, dtype=np.int32).max(0) - 1
        possible &= ~(corners < corners[:, rival, cell][:, None]).all(0)
        sums[rival, cell] = -np.inf
    return possible


def _write_contested(
    best: ClassMap, values: Float, grid: Grid, at: Places, pairs: tuple[Indices, Indices]
) -> None:
    """Interpolate cells where several classes may win, given the pairs of cell and class."""
    count = np.bincount(pairs[0], minlength=len(at[0]))
    start = np.cumsum(count) - count
    order = np.argsort(count, kind="stable")  # cells with about as many candidates go together
    step = max(PIXEL_FLOATS // (len(grid[0].outputs) * len(grid[1].outputs)), 32)
    low = 0
    while low < len(order):
        chosen = order[low : low + step]
        chosen = chosen[count[chosen] <= 1.25 * count[chosen[0]] + 1]
        low += len(chosen)
        # Cells with fewer candidates repeat their last one, which changes nothing.
        steps = np.minimum(np.arange(count[chosen[-1]])[:, None], count[chosen] - 1)
        classes = pairs[1][start[chosen] + steps]  # [candidate, cell]
        _write_cells(best, values, grid, (at[0][chosen], at[1][chosen]), classes)


def _write_cells(best: ClassMap, values: Float, grid: Grid, at: Places, classes: Indices) -> None:
    """Write cells that have these candidates, [candidate, cell]."""
    rows, columns = grid
    weights = rows.weights[:, :, at[0]], columns.weights[:, :, at[1]]
    shape = (len(rows.outputs), len(columns.outputs), len(at[0]))
    highest, mixed, spare = (np.empty(shape, np.float32) for _ in range(3))
    higher, winner = np.empty(shape, np.bool_), np.empty(shape, np.int32)
    winner[:] = classes[0]
    mix(corners_at(values, grid, at, classes[0]), *weights, out=highest, spare=spare)
    for one in classes[1:]:
        mix(corners_at(values, grid, at, one), *weights, out=mixed, spare=spare)
        np.greater(mixed, highest, out=higher)
        np.copyto(winner, one, where=higher, casting="same_kind")
        np.maximum(highest, mixed, out=highest)
    lines, places = rows.outputs[:, at[0]], columns.outputs[:, at[1]]
    best.reshape(-1)[lines[:, None] * best.shape[1] + places] = winner
