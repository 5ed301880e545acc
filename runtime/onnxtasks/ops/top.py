"""The best of many candidates."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.ops.scores import Float

Index: TypeAlias = npt.NDArray[np.intp]

BLOCK = 96
"""Most candidates that share one maximum."""
BLOCKS = 4
"""Blocks for each one that is wanted: their best maxima are then seldom far below the scores."""


def best(scores: Float, count: int | None) -> Index:
    """Indices of the highest scores, highest first; equal scores keep the lower index first.

    Sorts only what can be among them: a vocabulary has up to a quarter of a million candidates.

    Args:
        scores: [candidate].
        count: How many; None, or more than there are, for all.

    Returns:
        [count].
    """
    if count is None or count >= len(scores):
        return np.argsort(-scores, kind="stable")
    candidates = np.flatnonzero(scores >= _bounds(scores[None], count)[0])
    order = np.argsort(-scores[candidates], kind="stable")[:count]
    return candidates[order]


def around_the_best(scores: Float, count: int) -> list[Index]:
    """Of each row, few indices among which are those of its `count` highest scores, ascending.

    All that equal the `count`-th highest are among them, -inf never is. To find which they are
    takes sorting a few, which is faster for all rows at once.

    Args:
        scores: [row, candidate].
        count: At least 1.
    """
    if count >= scores.shape[1]:
        return [np.flatnonzero(row > -np.inf) for row in scores]
    bounds = _bounds(scores, count).tolist()
    return [
        np.flatnonzero(row >= bound if bound > -np.inf else row > bound)
        for row, bound in zip(scores, bounds, strict=True)
    ]


def _bounds(scores: Float, count: int) -> Float:
    """A number that at least `count` scores of each row reach, and few more: [row].

    The `count`-th highest of the maxima of blocks: as many blocks hold a score that reaches it. A
    block takes every n-th candidate, so that maxima of neighbours are computed side by side.

    Args:
        scores: [row, candidate], more than `count` candidates.
        count: At least 1.
    """
    rows, candidates = scores.shape
    size = min(BLOCK, candidates // (BLOCKS * count))
    if size < 2:
        bounds: Float = np.partition(scores, -count, axis=1)[:, -count]
        return bounds
    blocks = candidates // size  # what is left over can only be more that reach it
    maxima = scores[:, : size * blocks].reshape(rows, size, blocks).max(1)
    bounds = np.partition(maxima, -count, axis=1)[:, -count]
    return bounds
