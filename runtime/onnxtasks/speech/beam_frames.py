"""Which symbols of each frame a beam search looks at."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.speech.lexicon import Doubles

LOWEST = float(np.log(1e-15))
"""No log-probability counts as less (pyctcdecode's MIN_TOKEN_CLIP_P)."""
BLOCK = 1 << 18
"""Scores that are looked at at once: as many as stay in a processor's cache."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of a search: a frame, or several with the same single symbol."""

    starts: list[int]
    """First frame of each step."""
    ends: list[int]
    """One past its last frame."""
    bounds: list[int]
    """Where its symbols start in `symbols`; one more at the end."""
    symbols: npt.NDArray[np.int64]
    log_probs: Doubles
    """Of its first frame."""
    repeated: list[float]
    """Sum of the log-probabilities of its other frames."""


def steps_of(log_probs: npt.NDArray[np.floating], token_min_logp: float, first: int) -> Steps:
    """Take the symbols that are likely enough, and always the likeliest.

    Where a frame has a single symbol and the one before had the same, all hypotheses end in it
    already: nothing happens but that all scores change by as much.

    Args:
        log_probs: [frame, symbol], as `checked` gives them.
        token_min_logp: The least log-probability.
        first: Number of the first frame.
    """
    blocks = max(1, BLOCK // max(1, log_probs.shape[1]))
    found = [
        _likely(log_probs[start : start + blocks], token_min_logp, start)
        for start in range(0, len(log_probs), blocks)
    ]
    if not found:
        return Steps([], [], [0], np.zeros(0, np.int64), np.zeros(0), [])
    frames, symbols, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    counts = np.bincount(frames, minlength=len(log_probs))
    bounds = np.concatenate([[0], np.cumsum(counts)])
    single = counts == 1
    leading = symbols[bounds[:-1]]
    again = np.zeros(len(counts), np.bool_)
    again[1:] = single[1:] & single[:-1] & (leading[1:] == leading[:-1])
    starts = np.flatnonzero(~again)
    ends = np.append(starts[1:], len(counts))
    all_scores = np.where(again, scores[bounds[:-1]], 0.0)
    kept = np.repeat(~again, counts)
    return Steps(
        starts=(starts + first).tolist(),
        ends=(ends + first).tolist(),
        bounds=[0, *np.cumsum(counts[starts]).tolist()],
        symbols=symbols[kept],
        log_probs=scores[kept],
        repeated=np.add.reduceat(all_scores, starts).tolist(),
    )


def checked(log_probs: npt.ArrayLike, symbols: int) -> npt.NDArray[np.floating]:
    """The scores of a recording's frames as an array.

    Raises:
        InputError: They are not [frame, symbol] of floating point, or probabilities.
    """
    values = np.asarray(log_probs)
    if values.ndim != 2 or values.shape[1] != symbols:
        raise InputError(
            f"log-probabilities are [frame, symbol] with {symbols} symbols, not of shape "
            f"{list(values.shape)}"
        )
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    if values.dtype not in (np.float32, np.float64):
        raise InputError(f"log-probabilities are of floating point, not {values.dtype}")
    if len(values) and values.min() >= 0 and np.allclose(values.sum(1), 1, atol=1e-3):
        raise InputError("these are probabilities: take their logarithm")
    return values


def _likely(
    values: npt.NDArray[np.floating], least: float, first: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Doubles]:
    """Frames, symbols and log-probabilities of the likely symbols."""
    best = values.argmax(1)
    highest = values[np.arange(len(values)), best][:, None]
    if not np.isfinite(highest).all():
        frame = first + int(np.isfinite(highest[:, 0]).argmin())
        raise InputError(f"frame {frame} has NaN or infinite log-probabilities, or no other")
    shifted = values - highest
    total = np.log(np.exp(shifted).sum(1, keepdims=True))
    # Below the floor all are equal, so that a threshold there keeps everything.
    kept = shifted >= (total + least if least > LOWEST else -np.inf)
    kept[np.arange(len(values)), best] = True
    places = np.flatnonzero(kept)
    frames, symbols = np.divmod(places, values.shape[1])
    scores = (shifted.ravel()[places] - total[frames, 0]).astype(np.float64)
    return frames + first, symbols, np.clip(scores, LOWEST, 0)
