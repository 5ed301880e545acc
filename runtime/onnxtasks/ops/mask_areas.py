"""How many pixels of a picture lie inside each mask, without the masks at its size.

A cell (`upsampling.Cells`) whose corners all reach the threshold is inside, one without such a
corner is outside; only the cells between these are interpolated.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.ops.scores import Float
from onnxtasks.ops.upsampling import Cells, corners_at, mix, over_corners

Areas: TypeAlias = npt.NDArray[np.int64]

PIXEL_FLOATS = 1 << 16  # held at once


def areas_above(values: Float, threshold: float, grid: tuple[Cells, Cells]) -> Areas:
    """Pixels of each mask that reach the threshold after resizing.

    Args:
        values: [mask, row, column], contiguous.
        threshold: Smallest value that is inside.
        grid: The cells of the rows, and of the columns.

    Returns:
        int64 [mask].
    """
    rows, columns = grid
    above = values >= np.float32(threshold)
    inside = over_corners(np.logical_and, above, rows, columns)
    # Counts up to a row's length are exact in float32, and its matrix products are fast.
    lines = inside.astype(np.float32) @ columns.count.astype(np.float32)
    areas: Areas = lines.astype(np.int64) @ rows.count
    open_cells = over_corners(np.logical_or, above, rows, columns) & ~inside
    between = np.unravel_index(np.flatnonzero(open_cells), open_cells.shape)
    step = max(PIXEL_FLOATS // (len(rows.outputs) * len(columns.outputs)), 32)
    for low in range(0, len(between[0]), step):
        mask, row, column = (places[low : low + step] for places in between)
        pixels = np.empty((len(rows.outputs), len(columns.outputs), len(mask)), np.float32)
        corners = corners_at(values, grid, (row, column), mask)
        weights = rows.weights[:, :, row], columns.weights[:, :, column]
        mix(corners, *weights, out=pixels, spare=np.empty_like(pixels))
        counted = pixels >= np.float32(threshold)
        # The last outputs of shorter cells are repeated; they count once.
        counted &= (np.arange(len(pixels))[:, None] < rows.count[row])[:, None]
        counted &= np.arange(pixels.shape[1])[:, None] < columns.count[column]
        areas += np.bincount(mask, np.count_nonzero(counted, (0, 1)), len(values)).astype(np.int64)
    return areas
