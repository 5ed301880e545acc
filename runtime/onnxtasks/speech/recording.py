"""Recordings of any length: mono samples at the model's rate, read in blocks."""

import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from onnxtasks.errors import InputError
from onnxtasks.ops.audio import AudioSpec, check_enough, to_mono
from onnxtasks.ops.audio_files import (
    ESTIMATES,
    UNKNOWN_FRAMES,
    AudioLike,
    SoundSource,
    check_finite,
    check_samples,
    is_cut_wav,
    open_source,
    recording_name,
    unreadable,
)
from onnxtasks.ops.media import MediaError, MediaFile, open_media
from onnxtasks.ops.scores import Float

READ_VALUES = 2**18
"""Values that are decoded at a time, all channels together: 1 MiB."""
SALVAGE_FRAMES = 512
"""Samples that are decoded at a time where a file is damaged; at most so many are lost."""
CUT_OGG = "Last page lacks an end-of-stream bit"  # from libsndfile's log
ESTIMATE_SLACK = 0.9
"""Where a header only estimates the length, less than this part of it counts as damage."""


class Recording:
    """An opened recording; close it, or use it as a context manager."""

    def __init__(self, item: AudioLike, spec: AudioSpec) -> None:
        """Open it; see `open_recording`."""
        self.name = recording_name(item)
        """What messages call it."""
        self.seconds: float | None
        """Its length by the header (an estimate for MP3 and media); None where that is silent."""
        self.damage: str | None = None
        """What is wrong with the file and from which second on, once that has been read."""
        self._spec = spec
        self._sound: Any = None
        if isinstance(item, tuple):
            samples, self._rate = check_samples(item)
            self._samples: Any = samples
            self.seconds = len(samples) / self._rate
            if len(samples):
                _check_start(self.name, len(samples), self._rate, spec)
            return
        self._item = item
        self._sound = open_source(item)
        if self._sound.frames >= UNKNOWN_FRAMES and self._sound.format == "FLAC":
            self._sound = _reopened(self._sound, item, self.name)
        self._rate = float(self._sound.samplerate)
        frames = self._sound.frames
        self.seconds = None if frames >= UNKNOWN_FRAMES else frames / self._rate

    def blocks(self, seconds: float = 30.0) -> Iterator[Float]:
        """Read it from its start to its end; once.

        A damaged file is read as far as it can be decoded; then `damage` says so.

        Args:
            seconds: Length of each block but the last; what is held at a time.

        Yields:
            [time], mono, at the model's rate.

        Raises:
            InputError: No samples at all, one that is NaN or infinite, or too few of them; a file
                of which nothing can be decoded.
        """
        rate = self._spec.sampling_rate
        total = 0
        mono = self._mono()
        for block in regroup(resampled(mono, self._rate, rate), max(1, round(seconds * rate))):
            total += len(block)
            yield block
        if total == 0:
            raise InputError(self.damage or f"{self.name} holds no samples")
        if self.damage and total < self._spec.min_samples:
            raise InputError(f"{self.damage}, and what is before is too short")
        check_enough(self.name, total, self._spec)

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        if self._sound is not None:
            self._sound.__exit__(None, None, None)
            self._sound = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _mono(self) -> Iterator[Float]:
        for block in self._samples_blocks() if self._sound is None else self._file_blocks():
            mono = to_mono(block)
            check_finite(self.name, mono)
            yield mono

    def _samples_blocks(self) -> Iterator[Any]:
        for start in range(0, len(self._samples), READ_VALUES):
            yield self._samples[start : start + READ_VALUES]

    def _file_blocks(self) -> Iterator[Float]:
        sound: SoundSource = self._sound
        step, done = max(1, READ_VALUES // sound.channels), 0
        try:
            while len(block := sound.read(step, dtype="float32", always_2d=True)):
                done += len(block)
                yield block
        except (soundfile.LibsndfileError, MediaError) as error:
            for block in _salvaged(self._item, done):
                done += len(block)
                yield block
            self.damage = self._damaged(done, unreadable(self.name, error))
            return
        if is_cut_wav(sound.extra_info) or CUT_OGG in sound.extra_info:
            self.damage = self._damaged(done, "its end is missing")
        elif sound.frames < UNKNOWN_FRAMES:
            slack = ESTIMATE_SLACK if sound.format in ESTIMATES else 1.0
            if done < slack * sound.frames:
                self.damage = self._damaged(done, f"of {sound.frames} samples {done} are there")

    def _damaged(self, done: int, reason: str) -> str:
        if not done:
            return reason
        return f"{self.name} is damaged after {done / self._rate:.2f} s ({reason})"


def open_recording(item: AudioLike, spec: AudioSpec) -> Recording:
    """Open a recording for reading in blocks; no sample is decoded yet.

    Args:
        item: See `AudioLike`; files as soundfile reads them, others through PyAV.
        spec: Rate and shortest recording. Its longest one is not looked at.

    Raises:
        InputError: Not a recording, or an array that is too short.
    """
    return Recording(item, spec)


def recording_seconds(item: AudioLike, spec: AudioSpec) -> float:
    """How long a recording is, by its header; infinite where it does not say.

    Raises:
        InputError: Not a recording.
    """
    with open_recording(item, spec) as recording:
        return math.inf if recording.seconds is None else recording.seconds


def resampled(blocks: Iterable[Float], rate: float, target: float) -> Iterator[Float]:
    """Change the rate of blocks that follow each other, as if they were one array.

    Args:
        blocks: Each [time], at `rate`.
        rate: Samples per second.
        target: The wanted ones.

    Yields:
        [time], at `target`; equal to soxr's resampling of the whole (quality HQ).
    """
    if rate == target:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, target, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(np.ascontiguousarray(block))
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def live_blocks(blocks: Iterable[npt.NDArray[Any]], rate: float, target: float) -> Iterator[Float]:
    """Check, mix and resample sound that arrives in parts.

    Args:
        blocks: Each [time] or [time, channel]; they may be empty.
        rate: Their samples per second.
        target: The wanted ones.

    Yields:
        [time], mono.

    Raises:
        InputError: A block that is no sound.
    """

    def mono() -> Iterator[Float]:
        for block in blocks:
            samples = to_mono(check_samples((block, rate))[0])
            check_finite("the live sound", samples)
            yield samples

    return resampled(mono(), rate, target)


def regroup(blocks: Iterable[Float], count: int) -> Iterator[Float]:
    """Cut blocks of any lengths into blocks of one.

    Args:
        blocks: Each [time].
        count: Samples of a block.

    Yields:
        [count]; the last may be shorter, and is never empty.
    """
    held: list[Float] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += len(block)
        if size < count:
            continue
        whole = np.concatenate(held)
        full = size // count * count
        for start in range(0, full, count):
            yield whole[start : start + count]
        held, size = [whole[full:]], size - full
    if size:
        yield np.concatenate(held)


def _check_start(name: str, count: int, rate: float, spec: AudioSpec) -> None:
    # Before anything is resampled: soxr refuses rates that are far from each other.
    check_enough(name, round(count * spec.sampling_rate / rate), spec)


def _reopened(sound: Any, item: str | Path | bytes, name: str) -> MediaFile:
    """With PyAV: libsndfile cannot read FLAC whose header does not say how long it is."""
    sound.close()
    media = open_media(io.BytesIO(item) if isinstance(item, bytes) else str(item))
    if isinstance(media, str):
        raise InputError(
            f"{name} does not say in its header how long it is; write it again, or read it with "
            "PyAV: `pip install 'onnxtasks[media]'`"
        )
    return media


def _salvaged(item: str | Path | bytes, done: int) -> Iterator[Float]:
    """What can be decoded before the damage: small pieces from the last good sample on."""
    # Opened again: after an error libsndfile does not find its place.
    with open_source(item) as sound:
        if sound.format == "MEDIA":  # PyAV gives what it decoded before it fails
            return
        try:
            sound.seek(done)
            while len(block := sound.read(SALVAGE_FRAMES, dtype="float32", always_2d=True)):
                yield block
        except soundfile.LibsndfileError:
            return
