"""Sound in, samples out: reading, mixing, resampling, normalising and padding recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import soxr

from onnxtasks.errors import InputError
from onnxtasks.ops.audio_files import (
    ESTIMATES,
    AudioLike,
    SoundSource,
    check_finite,
    check_samples,
    is_cut_wav,
    known_frames,
    opened,
    recording_name,
)
from onnxtasks.ops.scores import Float

__all__ = [
    "AudioLike",
    "AudioSpec",
    "audio_seconds",
    "check_enough",
    "normalise",
    "pad",
    "read_audio",
    "to_mono",
]

Int: TypeAlias = npt.NDArray[np.int64]
BLOCK_VALUES = 2**20  # decoded at a time, so that only the mono samples are held whole


class AudioSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model wants to hear."""

    sampling_rate: int
    """Samples per second."""
    normalize: bool
    """Shift and scale every recording to zero mean and unit variance."""
    padding_value: float
    """Fills shorter recordings of a batch, after normalising."""
    min_samples: int
    """The fewest samples that the model makes an answer of: its receptive field."""
    max_seconds: float = 120.0
    """Attention over a whole recording grows with the square of its length."""

    def __post_init__(self) -> None:
        """Refuse what no recording could meet."""
        if self.sampling_rate < 1:
            raise ValueError(f"sampling_rate is {self.sampling_rate}; it is at least 1")
        if self.min_samples < 1:
            raise ValueError(f"min_samples is {self.min_samples}; it is at least 1")
        if not self.max_seconds * self.sampling_rate >= self.min_samples:
            raise ValueError(f"max_seconds is {self.max_seconds}, less than min_samples take")


def read_audio(item: AudioLike, spec: AudioSpec) -> Float:
    """Read a recording as one channel at the model's rate.

    Channels are averaged, as transformers' speech pipeline does for arrays of one or two channels
    (it refuses more) and ffmpeg, which it calls for files, for two. Where the rates differ, soxr
    resamples (quality HQ); the pipeline's own resampling differs in the last digits, so equal
    answers are claimed at the model's own rate only.

    Args:
        item: See `AudioLike`; files as soundfile reads them (WAV, FLAC, OGG, MP3 and more), others
            through PyAV where it is installed (`onnxtasks[media]`).
        spec: Rate, shortest and longest recording.

    Returns:
        [time], not normalised.

    Raises:
        InputError: Not a recording, damaged, empty, with NaN or infinite samples, too short or
            too long. The length is taken from the header before anything is decoded, except for
            MP3 and what PyAV reads, whose headers estimate it: there decoding stops at the limit.
    """
    name = recording_name(item)
    if isinstance(item, tuple):
        samples, rate = check_samples(item)
        _check_length(name, len(samples) / rate, spec.max_seconds)
        mono = to_mono(samples)
    else:
        mono, rate = _decode(item, spec.max_seconds)
    if not len(mono):
        raise InputError(f"{name} holds no samples")
    check_finite(name, mono)
    check_enough(name, round(len(mono) * spec.sampling_rate / rate), spec)
    if rate != spec.sampling_rate:
        mono = soxr.resample(mono, rate, spec.sampling_rate, quality="HQ")
        check_enough(name, len(mono), spec)
    return mono


def audio_seconds(item: AudioLike) -> float:
    """How long a recording is, from its header alone; an estimate for MP3.

    Raises:
        InputError: Not a recording, or a header that does not say.
    """
    if isinstance(item, tuple):
        samples, rate = check_samples(item)
        return len(samples) / rate
    with opened(item) as sound:
        return float(known_frames(recording_name(item), sound) / sound.samplerate)


def to_mono(samples: npt.NDArray[Any]) -> Float:
    """Average the channels.

    Args:
        samples: [time] or [time, channel], floats or int16.

    Returns:
        [time]; int16 divided by 32768. What float32 cannot hold becomes infinite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        values: Float = samples.astype(np.float32, copy=False)
        if samples.dtype == np.int16:
            values = values / np.float32(32768)
        mono: Float = values if values.ndim == 1 else values.mean(axis=1)
    return mono


def normalise(samples: Float) -> Float:
    """Shift and scale a recording to zero mean and unit variance; silence stays zero.

    The same arithmetic as transformers' Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm.

    Args:
        samples: [time].
    """
    normalised: Float = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    return normalised


def pad(waves: Sequence[Float], padding_value: float) -> tuple[Float, Int]:
    """Put recordings into one array, shorter ones padded at their end.

    Args:
        waves: At least one, each [time].
        padding_value: Fills the rest.

    Returns:
        The samples [batch, samples], and the mask [batch, samples]: 1 for samples, 0 for padding.
    """
    lengths = np.array([len(wave) for wave in waves])
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    values: Float = np.full(mask.shape, padding_value, np.float32)
    for row, wave in zip(values, waves, strict=True):
        row[: len(wave)] = wave
    return values, mask


def _decode(item: str | Path | bytes, max_seconds: float) -> tuple[Float, int]:
    name = recording_name(item)
    with opened(item) as sound:
        rate: int = sound.samplerate
        exact = sound.format not in ESTIMATES
        frames = known_frames(name, sound) if exact else 0
        if exact:
            _check_length(name, frames / rate, max_seconds)
            _check_whole_wav(name, sound.extra_info)
        parts, count = [np.zeros(0, np.float32)], 0
        while len(block := _block(sound)):
            count += len(block)
            _check_length(name, count / rate, max_seconds)
            parts.append(to_mono(block))
        if exact and count < frames:
            raise InputError(
                f"{name} is damaged: {count} of its {frames} samples can be decoded; get the "
                "whole file"
            )
    return np.concatenate(parts), rate


def _block(sound: SoundSource) -> Float:
    count = max(1, BLOCK_VALUES // sound.channels)
    block: Float = sound.read(count, dtype="float32", always_2d=True)
    return block


def _check_whole_wav(name: str, log: str) -> None:
    if is_cut_wav(log):
        raise InputError(f"{name} is damaged: its end is missing; get the whole file")


def _check_length(name: str, seconds: float, max_seconds: float) -> None:
    if seconds > max_seconds:
        raise InputError(
            f"{name} is longer than the {max_seconds:g} s that are taken at once "
            f"(at least {seconds:.1f} s); cut it into parts"
        )


def check_enough(name: str, count: int, spec: AudioSpec) -> None:
    """Refuse a recording of fewer samples than the model makes an answer of.

    Args:
        name: What messages call the recording.
        count: Its samples at the model's rate.
        spec: The model's rate and its shortest recording.

    Raises:
        InputError: It is too short.
    """
    if count < spec.min_samples:
        raise InputError(
            f"{name} is too short: {count} samples at {spec.sampling_rate} Hz, the model needs at "
            f"least {spec.min_samples} ({1000 * spec.min_samples / spec.sampling_rate:g} ms)"
        )
