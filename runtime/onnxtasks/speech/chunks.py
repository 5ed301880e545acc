"""Long recordings in windows that overlap: what is cut, and what of each window's answer stays.

As transformers' AutomaticSpeechRecognitionPipeline with `chunk_length_s` and `stride_length_s`
(preprocess, chunk_iter, rescale_stride): windows are multiples of the model's frame step, so the
frames that stay follow each other without a gap and without a repeat.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from onnxtasks.errors import InputError
from onnxtasks.ops.scores import Float


@dataclass(frozen=True, slots=True)
class Chunking:
    """How a recording is cut; everything in samples."""

    window: int
    left: int
    """At the start of every window but the first: heard, and not answered for."""
    right: int
    """At the end of every window but the last."""

    @property
    def step(self) -> int:
        """From the start of one window to the next."""
        return self.window - self.left - self.right


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a recording."""

    samples: Float
    """[time], the strides included."""
    left: int
    """Samples at its start that another window answers for."""
    right: int
    """The same at its end."""


def chunking(
    chunk_seconds: float,
    stride_seconds: float | tuple[float, float] | None,
    rate: int,
    align_to: int = 1,
) -> Chunking:
    """How to cut, in samples.

    Args:
        chunk_seconds: Length of a window.
        stride_seconds: Of each side, or (left, right); None takes a sixth of the window.
        rate: Samples per second.
        align_to: Samples from one frame of the model to the next; everything is rounded to it.

    Raises:
        InputError: No lengths of time, or strides that leave nothing of a window.
    """
    if not _is_time(chunk_seconds) or chunk_seconds == 0:
        raise InputError(
            f"chunk_seconds is {chunk_seconds!r}; it is a number of seconds above 0, or None"
        )
    if stride_seconds is None:
        stride_seconds = chunk_seconds / 6
    both = stride_seconds if isinstance(stride_seconds, tuple) else (stride_seconds,) * 2
    if len(both) != 2 or not all(map(_is_time, both)):
        raise InputError(
            f"stride_seconds is {stride_seconds!r}; it is a number of seconds of at least 0, or "
            "two: (left, right)"
        )
    window, left, right = (
        round(seconds * rate / align_to) * align_to for seconds in (chunk_seconds, *both)
    )
    if window <= left + right:
        raise InputError(
            f"chunk_seconds is {chunk_seconds:g} and stride_seconds {both[0]:g} and {both[1]:g}: "
            "the strides leave nothing of a chunk; make it longer, or them shorter"
        )
    return Chunking(window, left, right)


def cut(blocks: Iterable[Float], how: Chunking) -> Iterator[Window]:
    """Cut samples as they come; at most a window and a block of them is held.

    Args:
        blocks: Each [time]; a window is given once a sample beyond it is there.
        how: Windows and strides.

    Yields:
        Windows, `how.step` apart; the last one ends with the samples, and may be shorter. Nothing
        before the first and behind the last is another's, so they have no stride there.
    """
    held = np.zeros(0, np.float32)
    left = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > how.window:
            yield Window(held[: how.window], left, how.right)
            held, left = held[how.step :], how.left
    if len(held):
        yield Window(held, left, 0)


def whole_or_cut(
    blocks: Iterator[Float], longest: int, how: Callable[[], Chunking]
) -> Iterator[Window]:
    """One window of the whole recording; one that is longer than the model takes is cut.

    Args:
        blocks: Each [time]; the header of a file may be wrong, so they decide.
        longest: Samples that the model takes at once.
        how: Tells windows and strides of a longer one.
    """
    held: list[Float] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += len(block)
        if size > longest:
            yield from cut(chain(held, blocks), how())
            return
    if size:
        yield Window(np.concatenate(held), 0, 0)


def kept_frames(window: Window, frames: int, align_to: int) -> slice:
    """The frames of a window that stay.

    As the pipeline's rescale_stride, of the window's own frames (the pipeline keeps one of the
    padding's where it batches windows of different lengths).

    Args:
        window: It was cut with the same `align_to`.
        frames: How many the model makes of its samples.
        align_to: Samples from one frame to the next.
    """
    stop = frames
    if window.right:  # then its length is a multiple of the step
        stop = (len(window.samples) - window.right) // align_to
    return slice(window.left // align_to, stop)


def _is_time(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 <= value < math.inf
