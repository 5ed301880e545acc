"""Log-mel features, as Whisper hears them.

The numbers of `WhisperFeatureExtractor` of transformers 5.23 (and of openai/whisper's `audio.py`):
Hann-windowed frames around every hop, their power in Slaney's bands, its logarithm to base 10, at
most 8 below the loudest of the recording, and all of it moved into about -1 to 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.ops.scores import Float
from onnxtasks.speech.pieces import Pieces
from onnxtasks.speech.whisper_spec import MelSpec

Wide: TypeAlias = npt.NDArray[np.float64]

LINEAR = 3 / 200  # mels of a hertz, below the break
BREAK = 1000.0  # hertz, where Slaney's scale becomes logarithmic
RATIO = float(np.log(6.4)) / 27  # of frequencies a mel apart, above the break
HIGHEST = 8000.0  # hertz
FLOOR = np.float32(1e-10)  # power
SILENCE = np.float32(-10)  # its logarithm
RANGE = np.float32(8)  # below the loudest, powers of ten
TO_BASE_10 = np.float32(1 / np.log(10))
BLOCK = 128  # frames at a time: what is computed of them stays in the processor's cache
GROUP = 16
"""Bands that are multiplied together, with the frequencies that they cover only. Products of this
size stay on one thread: the engine's threads have the others."""


@dataclass(frozen=True, slots=True)
class Band:
    """Some neighbouring bands."""

    bands: slice
    frequencies: slice
    """Those that one of the bands covers."""
    weights: Float
    """[band, frequency]."""


class LogMel:
    """Samples -> features; made once, safe to use from several threads."""

    def __init__(self, spec: MelSpec) -> None:
        """Compute the window and the filters; `spec` says how."""
        self.spec = spec
        turns = np.arange(spec.n_fft) / spec.n_fft
        self._window: Float = (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)
        self._groups = band_groups(mel_filters(spec).astype(np.float32))

    def __call__(self, samples: Float) -> Float:
        """Features of one window.

        Args:
            samples: [time]; cut after `chunk_seconds`, or silent to there.

        Returns:
            [band, frame], float32.
        """
        return scaled(self._window_of(samples[: self.spec.samples]))

    def whole(self, samples: Float) -> Float:
        """Features of a recording; the loudest sound of all of it is what the others are held to.

        Args:
            samples: [time]. At most a window of them is padded to one, as transformers' pipeline
                does.

        Returns:
            [band, frame], float32: all whole frames of a longer recording, without padding.
        """
        if len(samples) <= self.spec.samples:
            return self(samples)
        found = self.read([samples])
        return found.cut(0, found.frames)

    def read(self, blocks: Iterable[Float]) -> "Features":
        """Features of a recording that comes in blocks; equal to `whole` of all samples.

        Args:
            blocks: Samples [time] each, of any lengths.
        """
        spec, half = self.spec, self.spec.n_fft // 2
        pieces = Pieces()
        waiting = np.zeros(0, np.float32)  # what the next frame begins with
        tail = np.zeros(0, np.float32)  # mirrored at the end
        count = made = 0
        for block in blocks:
            count += len(block)
            tail = np.concatenate([tail, block[-half - 1 :]])[-half - 1 :]
            waiting = np.concatenate([waiting, block])
            if not pieces and count <= spec.samples:
                continue  # perhaps all is one window
            if not pieces:
                waiting = np.concatenate([waiting[half:0:-1], waiting])
            ready = (len(waiting) - spec.n_fft) // spec.hop_length + 1
            if ready > 0:
                pieces.add(self._piece(waiting, ready))
                waiting = waiting[ready * spec.hop_length :]
                made += ready
        if not pieces:
            pieces.add(self._window_of(waiting))
            return Features(spec, count, pieces)
        left = count // spec.hop_length - made
        if left > 0:
            pieces.add(self._piece(np.concatenate([waiting, tail[-2::-1]]), left))
        return Features(spec, count, pieces)

    def _window_of(self, samples: Float) -> Float:
        """Logarithms of a window's power; frames behind all sound are silence, and not computed."""
        spec, half = self.spec, self.spec.n_fft // 2
        padded = np.zeros(spec.samples + 2 * half, np.float32)
        window = padded[half : half + spec.samples]
        window[: len(samples)] = samples
        padded[:half] = window[half:0:-1]
        padded[half + spec.samples :] = window[-2 : -half - 2 : -1]
        sounding = min(spec.frames, -(-(len(samples) + half) // spec.hop_length))
        logarithms = np.full((spec.n_mels, spec.frames), SILENCE, np.float32)
        self._measure(padded, logarithms[:, :sounding])
        return logarithms

    def _piece(self, samples: Float, frames: int) -> Float:
        logarithms = np.empty((self.spec.n_mels, frames), np.float32)
        self._measure(samples, logarithms)
        return logarithms

    def _measure(self, samples: Float, logarithms: Float) -> None:
        """Write the logarithms of the bands' power.

        Args:
            samples: [time], the first frame's first.
            logarithms: [band, frame]: written.
        """
        size, hop = self.spec.n_fft, self.spec.hop_length
        frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
        for start in range(0, logarithms.shape[1], BLOCK):
            found = logarithms[:, start : start + BLOCK]
            weighed = frames[start : start + found.shape[1]] * self._window
            spectrum = np.fft.rfft(weighed, axis=1)
            power = np.square(spectrum.real)
            power += np.square(spectrum.imag)
            for group in self._groups:
                part = power[:, group.frequencies]
                np.matmul(group.weights, part.T, out=found[group.bands])
            np.maximum(found, FLOOR, out=found)
            np.log(found, out=found)
            found *= TO_BASE_10


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a recording of any length, before they are held to its loudest sound."""

    spec: MelSpec
    samples: int
    """Of the recording."""
    pieces: Pieces
    """Logarithms of power [band, frame]."""

    @property
    def loudest(self) -> float:
        """The largest logarithm of all."""
        return self.pieces.loudest

    @property
    def frames(self) -> int:
        """All of them."""
        return self.pieces.frames

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.samples / self.spec.sampling_rate

    def cut(self, start: int, count: int) -> Float:
        """Some frames, held to the loudest sound of the recording.

        Args:
            start: The first frame.
            count: How many, at most; there are fewer at the end.

        Returns:
            [band, frame], float32.
        """
        return scaled(self.pieces.cut(start, count), self.loudest)

    def window(self, start: int, frames: int | None = None) -> Float:
        """One window of the recording; behind its last frame are zeros.

        As `_get_input_segment` of transformers' `WhisperGenerationMixin` (5.23) fills up the last.

        Args:
            start: The first frame.
            frames: How many belong to it; None for all that it has room for.

        Returns:
            [band, frame], float32, as many frames as a window has.
        """
        room = self.spec.frames
        found = self.cut(start, room if frames is None else min(frames, room))
        return np.pad(found, ((0, 0), (0, room - found.shape[1])))


def scaled(logarithms: Float, loudest: float | None = None) -> Float:
    """Hold logarithms of power to the loudest, and move them into about -1 to 1; in place.

    Args:
        logarithms: [band, frame]: changed.
        loudest: The largest of the recording; None for that of `logarithms`.

    Returns:
        The same array.
    """
    most = np.float32(logarithms.max() if loudest is None else loudest)
    np.maximum(logarithms, most - RANGE, out=logarithms)
    logarithms += np.float32(4)
    logarithms *= np.float32(0.25)
    return logarithms


def mel_filters(spec: MelSpec) -> Wide:
    """Slaney's triangular filters, each of the same area (Auditory Toolbox, 1998).

    As `mel_filter_bank(norm="slaney", mel_scale="slaney")` of transformers, librosa and others.

    Returns:
        [band, frequency].
    """
    frequencies = np.linspace(0, spec.sampling_rate // 2, spec.n_fft // 2 + 1)
    edges = hertz(np.linspace(0, mels(HIGHEST), spec.n_mels + 2))
    widths = np.diff(edges)
    away = edges[:, None] - frequencies  # [edge, frequency]
    rising, falling = -away[:-2] / widths[:-1, None], away[2:] / widths[1:, None]
    areas = (edges[2:] - edges[:-2]) / 2
    filters: Wide = np.maximum(0, np.minimum(rising, falling)) / areas[:, None]
    return filters


def mels(frequency: float) -> float:
    """Slaney's scale: linear up to 1000 Hz (15 mels), logarithmic above."""
    if frequency < BREAK:
        return frequency * LINEAR
    return BREAK * LINEAR + float(np.log(frequency / BREAK)) / RATIO


def hertz(places: Wide) -> Wide:
    """The inverse of `mels`, of each of an array."""
    above = np.maximum(places - BREAK * LINEAR, 0)
    return np.where(above > 0, BREAK * np.exp(RATIO * above), places / LINEAR)


def band_groups(filters: Float) -> tuple[Band, ...]:
    """Cut filters [band, frequency] into groups of neighbours, without most of their zeros."""
    groups = []
    for start in range(0, len(filters), GROUP):
        bands = slice(start, min(start + GROUP, len(filters)))
        covered = np.flatnonzero(filters[bands].any(axis=0))
        first, last = (covered[0], covered[-1] + 1) if len(covered) else (0, 1)
        frequencies = slice(int(first), int(last))
        weights = np.ascontiguousarray(filters[bands, frequencies])
        groups.append(Band(bands, frequencies, weights))
    return tuple(groups)
