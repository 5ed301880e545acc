"""The best of many candidates."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.ops.scores import Float

Index: TypeAlias = npt.NDArray[np.intp]


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
    least = np.partition(scores, -count)[-count]
    candidates = np.flatnonzero(scores >= least)  # more than `count` where some are equal
    order = np.argsort(-scores[candidates], kind="stable")[:count]
    return candidates[order]
