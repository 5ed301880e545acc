"""Class labels with scores: the answer of every classification task."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from onnxtasks.errors import InputError
from onnxtasks.ops.scores import Float, sigmoid, softmax

Function: TypeAlias = Literal["softmax", "sigmoid", "none"]
FUNCTIONS = ("softmax", "sigmoid", "none")


@dataclass(frozen=True, slots=True)
class Label:
    """One class and how sure the model is of it."""

    label: str
    score: float
    """Probability, or the bare logit where no function is applied."""
    index: int
    """Class id."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of a transformers pipeline."""
        return {"label": self.label, "score": self.score}


def check_top_k(top_k: int | None) -> None:
    """Refuse what is neither None nor a number of at least 1."""
    if top_k is None or (isinstance(top_k, int) and not isinstance(top_k, bool) and top_k >= 1):
        return
    raise InputError(f"top_k is {top_k!r}; it is a number of at least 1, or None for all")


def check_function(function: Function | None) -> None:
    """Refuse what is neither None nor a known function."""
    if function is not None and function not in FUNCTIONS:
        raise InputError(f"function_to_apply is {function!r}; it is one of {', '.join(FUNCTIONS)}")


def apply_function(logits: Float, function: Function) -> Float:
    """Turn logits into scores; any shape, over the last axis."""
    if function == "softmax":
        return softmax(logits)
    return sigmoid(logits) if function == "sigmoid" else logits


def classify(
    logits: Float, labels: tuple[str, ...], function: Function, top_k: int | None
) -> list[list[Label]]:
    """The best classes of each row of logits [batch, class]; the rest as `best_labels`."""
    return [best_labels(row, labels, top_k) for row in apply_function(logits, function)]


def best_labels(scores: Float, labels: tuple[str, ...], top_k: int | None) -> list[Label]:
    """The best classes, best first; equal scores keep the order of their ids.

    Args:
        scores: [class].
        labels: The name of each class id.
        top_k: How many; None for all.
    """
    order = np.argsort(-scores, kind="stable")[:top_k]
    return [Label(labels[index], float(scores[index]), int(index)) for index in order]
