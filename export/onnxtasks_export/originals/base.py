"""What is compared: an original's answer and the bundle's, in one form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxtasks.tasks.base import Task


@dataclass(frozen=True)
class Answer:
    """One answer, in the form in which two are compared."""

    key: str
    """What a user acts on: the best label, the text."""
    scores: npt.NDArray[np.float32]
    """All scores behind it, in an order that does not depend on them."""
    margin: float
    """How far the best candidate is ahead of the second, at the closest decision; where this is
    below 1e-5 in the original, another key is a tie and not a difference."""


@dataclass(frozen=True)
class Comparison:
    """How a task's original is asked, and how the bundle is."""

    samples: Callable[[np.random.Generator], Sequence[Any]]
    """Inputs of many sizes, as a user would give them."""
    original: Callable[[Any], Answer]
    """Asks the original, one item at a time."""
    bundle: Callable[[Task[Any, Any], Sequence[Any]], list[Answer]]
    """Asks the bundle's task, all items at once."""
