"""What is compared: an original's answer and the bundle's, in one form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import ParityError
from onnxtasks.ops.labels import Label
from onnxtasks.tasks.base import Task


@dataclass(frozen=True)
class Answer:
    """One answer, in the form in which two are compared."""

    key: str
    """What a user acts on: the best label, the text."""
    scores: npt.NDArray[np.float32]
    """All scores behind it, [decision, candidate], in an order that does not depend on them: one
    decision for a classification, one a frame for speech."""
    margin: float
    """How far the best candidate is ahead of the second, at the closest decision; where this is
    below 1e-5 in the original, another key is a tie and not a difference."""
    detail: Any = None
    """What else `Comparison.far` needs, such as a map of the picture's pixels."""


def largest_difference(one: Answer, other: Answer) -> float:
    """How far two answers' scores are apart, at most."""
    if one.scores.shape != other.scores.shape:
        raise ParityError(
            f"scores of shape {other.scores.shape}, the original's {one.scores.shape}"
        )
    return float(np.abs(one.scores - other.scores).max(initial=0.0))


def total_variation(one: Answer, other: Answer) -> float:
    """The share of probability that moved, the mean over an answer's decisions; 0 to 1."""
    return float(np.abs(one.scores - other.scores).sum(-1).mean() / 2)


@dataclass(frozen=True)
class Comparison:
    """How a task's original is asked, and how the bundle is."""

    samples: Callable[[np.random.Generator], Sequence[Any]]
    """Inputs of many sizes, as a user would give them."""
    original: Callable[[Any], Answer]
    """Asks the original, one item at a time."""
    bundle: Callable[[Task[Any, Any], Sequence[Any]], list[Answer]]
    """Asks the bundle's task, all items at once."""
    moved: Callable[[Answer, Answer], float] = total_variation
    """How far a variant that is not exact moved an answer, 0 to 1."""
    far: Callable[[Answer, Answer], float] = largest_difference
    """(original's or alone, bundle's or in a batch) -> what `SCORE_TOLERANCE` limits at fp32."""


def label_answer(scores: Sequence[float]) -> Answer:
    """The answer of a classifier, from its scores in the order of class ids."""
    array = np.array(scores, np.float32)
    best = np.sort(array)[::-1]
    margin = float(best[0] - best[1]) if len(best) > 1 else float("inf")
    return Answer(key=str(int(array.argmax())), scores=array[None], margin=margin)


def ask_classifier(task: Task[Any, list[Label]], items: Sequence[Any]) -> list[Answer]:
    """Ask a bundle's classifier for all its labels."""
    answers = task.predict(items, top_k=None)  # type: ignore[call-arg]  # the task's own option
    by_index = [sorted(labels, key=lambda label: label.index) for labels in answers]
    return [label_answer([label.score for label in labels]) for labels in by_index]
