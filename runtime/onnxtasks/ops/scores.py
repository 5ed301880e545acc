"""Scores from logits. Pure functions over the last axis."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Float: TypeAlias = npt.NDArray[np.float32]


def softmax(logits: Float) -> Float:
    """Probabilities that sum to 1 over the last axis; any shape."""
    exp: Float = np.exp(logits - logits.max(-1, keepdims=True))  # the shift prevents overflow
    probabilities: Float = exp / exp.sum(-1, keepdims=True)
    return probabilities


def log_softmax(scores: Float) -> Float:
    """Log-probabilities over the last axis; a row of -inf only stays what it is."""
    highest = scores.max(-1, keepdims=True)
    with np.errstate(divide="ignore", over="ignore"):
        shifted: Float = scores - np.where(np.isfinite(highest), highest, 0)
        totals = np.log(np.exp(shifted).sum(-1, keepdims=True))
    shifted -= np.where(np.isfinite(totals), totals, 0)
    return shifted


def sigmoid(logits: Float) -> Float:
    """Independent probabilities; any shape. Large negative logits give 0 without a warning."""
    # 1 / (1 + exp(-x)) overflows below -88; exp(-|x|) never does.
    small = np.exp(-np.abs(logits))
    probabilities: Float = np.where(logits >= 0, 1, small) / (1 + small)
    return probabilities
