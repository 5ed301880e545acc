"""A window's tokens -> its segments, and where the next window begins.

A reimplementation of `_retrieve_segment` of transformers (models/whisper/generation_whisper.py),
which is the same as in openai/whisper (transcribe.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxtasks.speech.whisper_spec import WhisperSpec

FRAMES = 2
"""Frames of a position of the encoder."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A segment of a window."""

    start: float
    """Seconds from the start of the recording."""
    end: float
    first: int
    """Index of its first token in the window's text."""
    stop: int
    """Index after its last one."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A window, cut into segments."""

    slices: tuple[Slice, ...]
    advance: int
    """Frames from its start to that of the next window."""
    unfinished: bool
    """Whether the window ends inside a segment: the next one begins at the last timestamp."""


def cut(tokens: Sequence[int], spec: WhisperSpec, *, seek: int, frames: int) -> Cut:
    """Cut a window's text at its pairs of timestamps.

    Text after the last pair is left to the next window, which begins there.

    Args:
        tokens: What was written, without the end token.
        spec: Of the bundle.
        seek: First frame of the window.
        frames: How many of its frames are the recording's.
    """
    begin, precision = spec.timestamp_begin, spec.time_precision
    offset = seek * precision / FRAMES
    times = [token >= begin for token in tokens]
    stops = [place + 1 for place in range(len(times) - 1) if times[place] and times[place + 1]]
    if not stops:
        end = offset + _last(tokens, times, spec, frames) * precision
        return Cut((Slice(offset, end, 0, len(tokens)),), frames, unfinished=False)
    closed = times[-2:] == [False, True]  # one timestamp at the end: nothing is said after it
    if closed:
        stops.append(len(tokens))
    else:
        stops[-1] += 1  # the second of the pair stays with the last segment
    slices = []
    first = 0
    for stop in stops:
        last = tokens[stop - 1] if stop < stops[-1] or closed else tokens[stop - 2]
        start, end = ((token - begin) * precision for token in (tokens[first], last))
        slices.append(Slice(offset + start, offset + end, first, stop))
        first = stop
    if closed:
        return Cut(tuple(slices), frames, unfinished=False)
    return Cut(tuple(slices), (tokens[first - 2] - begin) * FRAMES, unfinished=True)


def _last(tokens: Sequence[int], times: Sequence[bool], spec: WhisperSpec, frames: int) -> int:
    """The position where a text of one segment ends: its last timestamp, or the window's end."""
    if any(times):
        last = max(place for place, is_time in enumerate(times) if is_time)
        if tokens[last] != spec.timestamp_begin:
            return tokens[last] - spec.timestamp_begin
    # In float32, as the reference: one position less than half of some odd lengths.
    step = np.float32(spec.mel.hop_length / spec.mel.sampling_rate)
    return int(np.float32(frames) * step / np.float32(spec.time_precision))


def rest(tokens: Sequence[int], found: Cut, spec: WhisperSpec, *, seek: int, frames: int) -> Cut:
    """The same with the text after the last pair as a segment, where no other window reads it.

    Args:
        tokens: As in `cut`.
        found: What it gave.
        spec: Of the bundle.
        seek: First frame of the window.
        frames: How many of its frames are the recording's.
    """
    first = found.slices[-1].stop - 1  # the timestamp that begins what is left
    if not found.unfinished or first + 1 == len(tokens):
        return Cut(found.slices, frames, unfinished=False)
    offset = seek * spec.time_precision / FRAMES
    start = offset + (tokens[first] - spec.timestamp_begin) * spec.time_precision
    end = max(start, offset + frames / FRAMES * spec.time_precision)
    last = found.slices[-1]
    closed = Slice(last.start, last.end, last.first, first)
    return Cut(
        (*found.slices[:-1], closed, Slice(start, end, first, len(tokens))),
        frames,
        unfinished=False,
    )
