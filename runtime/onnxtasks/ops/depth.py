"""Depth maps: resized to the picture they are of, and as a grey picture. Pure functions."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from onnxtasks.ops.scores import Float

SHARPNESS = -0.75  # of the cubic kernel; torch's
BLOCK = 64
"""Rows or columns made by one matrix product. More multiplies more zeros, less calls more often."""


def resize_bicubic(values: Float, height: int, width: int) -> Float:
    """Resize a map as torch's bicubic interpolation does, without antialiasing.

    Source: `torch.nn.functional.interpolate(mode="bicubic", align_corners=False)`, whose kernel is
    Keys' cubic convolution. Equal up to the rounding of sums of 16 products.

    Args:
        values: float32 [height, width], of any size.
        height: Of the result.
        width: Of the result.

    Returns:
        float32 [height, width]; the very values where the size stays.
    """
    return np.ascontiguousarray(_resize_rows(_resize_rows(values.T, width).T, height))


def cubic_taps(size: int, target: int) -> tuple[npt.NDArray[np.intp], Float]:
    """Where each value of a resized axis comes from.

    Args:
        size: Length of the axis.
        target: Length after resizing.

    Returns:
        Indices [target, 4] into the axis, ascending, the edges repeated; and their weights
        [target, 4], float32 from places in float32, as torch computes them.
    """
    scale = np.float64(np.float32(size) / np.float32(target))
    # In float64, and rounded once: the processor's fused multiply-add.
    places = ((np.arange(target) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(places)
    after = places - first  # from the second tap, 0 to 1
    distances = np.stack([after + 1, after, 1 - after, 2 - after], -1)
    indices = first.astype(np.intp)[:, None] + np.arange(-1, 3)
    return np.clip(indices, 0, size - 1), _cubic(distances)


def grey_picture(depth: Float) -> Image.Image:
    """The smallest depth black, the largest white; a constant map is black.

    Source: transformers' `DepthEstimationPipeline.postprocess`, which divides by zero there.

    Args:
        depth: float32 [height, width].

    Returns:
        A Pillow image of mode "L".
    """
    low, high = depth.min(), depth.max()
    if not high > low:
        return Image.new("L", depth.shape[::-1], 0)
    shares = depth - low
    shares /= high - low
    shares *= 255
    return Image.fromarray(shares.astype(np.uint8))


def _cubic(distances: Float) -> Float:
    near = ((SHARPNESS + 2) * distances - (SHARPNESS + 3)) * distances**2 + 1
    far = ((SHARPNESS * distances - 5 * SHARPNESS) * distances + 8 * SHARPNESS) * distances
    weights: Float = np.where(distances <= 1, near, far - 4 * SHARPNESS)
    return weights


def _resize_rows(values: Float, target: int) -> Float:
    """[row, column] -> [target, column].

    Each block of rows is the product of a small matrix of weights, mostly zeros, with the rows it
    needs: several times faster than gathering four rows for each.
    """
    if target == len(values):
        return values
    indices, weights = cubic_taps(len(values), target)
    resized = np.empty((target, values.shape[1]), np.float32)
    for start in range(0, target, BLOCK):
        taken, weight = indices[start : start + BLOCK], weights[start : start + BLOCK]
        first, last = taken[0, 0], taken[-1, -1] + 1
        rows = np.arange(len(taken))
        matrix = np.zeros((len(taken), last - first), np.float32)
        for tap in range(4):  # at the edges several taps are one row
            matrix[rows, taken[:, tap] - first] += weight[:, tap]
        np.matmul(matrix, values[first:last], out=resized[start : start + BLOCK])
    return resized
