"""A long recording in windows of one length, cut while it is read."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from onnxtasks.errors import InputError
from onnxtasks.ops.audio import AudioSpec
from onnxtasks.ops.scores import Float

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """A part of one of several recordings."""

    item: int
    """Index of the recording."""
    start: int
    """First sample."""
    samples: Float  # [time]


def cut_windows(blocks: Iterable[Float], window: int, step: int) -> Iterator[tuple[int, Float]]:
    """Cut a recording into windows that together reach from its start to its end.

    All have the same length: the last one ends with the recording and so overlaps its neighbour by
    more than the others do. No more than a window and a block is held.

    Args:
        blocks: The recording in parts, each [time].
        window: Samples of a window.
        step: Samples from the start of a window to that of the next; at most `window`.

    Yields:
        The first sample of a window and its samples; of a recording that is shorter than a window
        the whole, and nothing of one without samples.
    """
    held, first = np.zeros(0, np.float32), 0  # what is kept, and the place of its first sample
    start = 0  # of the next window
    for block in blocks:
        held = np.concatenate([held, block])
        while start + window <= first + len(held):
            yield start, held[start - first : start - first + window]
            start += step
        # From the next window on, and enough for one that ends here.
        keep = max(0, min(start - first, len(held) - window))
        held, first = held[keep:], first + keep
    end = first + len(held)
    covered = start - step + window if start else 0
    if end > covered:
        yield max(first, end - window), held[-window:]


def shared_runs(
    windows: Iterable[T], size: Callable[[T], float], limit: float
) -> Iterator[list[T]]:
    """Neighbours that share a run.

    Args:
        windows: Read as they are needed.
        size: What a window costs a run.
        limit: The largest window's size times their number is at most this; one that is above it
            is alone.

    Yields:
        One window or more.
    """
    run: list[T] = []
    largest = 0.0
    for window in windows:
        own = size(window)
        largest = max(largest, own)
        if run and largest * (len(run) + 1) > limit:
            yield run
            run, largest = [], own
        run.append(window)
    if run:
        yield run


def window_samples(
    window_seconds: float | None, step_seconds: float | None, usual: float, audio: AudioSpec
) -> tuple[int, int]:
    """How long windows are and how far apart they start, in samples.

    Args:
        window_seconds: None takes the usual ones.
        step_seconds: From the start of a window to that of the next; None: a window's length.
        usual: Seconds of a window where nothing is asked for.
        audio: What the model takes.

    Raises:
        InputError: No number, a window that the model does not take, a step that leaves gaps.
    """
    least, most = audio.min_samples / audio.sampling_rate, audio.max_seconds
    if window_seconds is not None and not _is_between(window_seconds, least, most):
        raise InputError(
            f"window_seconds is {window_seconds!r}; it is a number of seconds from {least:g} to "
            f"{most:g}, the most that the model hears at once, or None for {usual:g}"
        )
    longest = usual if window_seconds is None else window_seconds
    if step_seconds is not None and not _is_between(step_seconds, 0, longest, above=True):
        raise InputError(
            f"step_seconds is {step_seconds!r}; it is a number of seconds above 0 and at most "
            f"the {longest:g} of a window, or None for {longest:g}"
        )
    window = int(longest * audio.sampling_rate + 1e-6)
    step = longest if step_seconds is None else step_seconds
    return max(window, audio.min_samples), min(window, max(1, round(step * audio.sampling_rate)))


def _is_between(value: Any, least: float, most: float, *, above: bool = False) -> bool:
    """Whether a value is a number from the least (or above it) to the most."""
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        return False
    return bool(least < value <= most if above else least <= value <= most)
