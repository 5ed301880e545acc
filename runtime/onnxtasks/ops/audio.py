"""Sound in, samples out: reading, mixing, resampling, normalising and padding recordings."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from onnxtasks.errors import InputError
from onnxtasks.ops.scores import Float

Int: TypeAlias = npt.NDArray[np.int64]
AudioLike: TypeAlias = str | Path | bytes | tuple[npt.NDArray[Any], float]
"""A file's path, a file's bytes, or (samples `[time]` or `[time, channel]`, samples per second).

Samples are floats, as a rule in [-1, 1], or int16, which are divided by 32768.
"""

MAX_CHANNELS = 32  # of an array; more is taken for [channel, time]
BLOCK_VALUES = 2**20  # decoded at a time, so that only the mono samples are held whole
UNKNOWN_FRAMES = 2**62  # libsndfile counts 2**63 - 1 frames where a header does not say
UNKNOWN_BYTES = 0x7FFFF000  # what a program that writes WAV into a pipe claims, or more
CUT_WAV = re.compile(r"data : (\d+) \(should be \d+\)")  # from libsndfile's log


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
        item: See `AudioLike`; files as soundfile reads them (WAV, FLAC, OGG, MP3 and more).
        spec: Rate, shortest and longest recording.

    Returns:
        [time], not normalised.

    Raises:
        InputError: Not a recording, damaged, empty, with NaN or infinite samples, too short or
            too long. The length is taken from the header before anything is decoded, except for
            MP3, whose headers only estimate it: there decoding stops at the limit.
    """
    name = _name(item)
    if isinstance(item, tuple):
        samples, rate = _check_samples(item)
        _check_length(name, len(samples) / rate, spec.max_seconds)
        mono = to_mono(samples)
    else:
        mono, rate = _decode(item, spec.max_seconds)
    if not len(mono):
        raise InputError(f"{name} holds no samples")
    if not np.isfinite(mono).all():
        raise InputError(f"{name} holds samples that are NaN or infinite; repair the recording")
    _check_enough(name, round(len(mono) * spec.sampling_rate / rate), spec)
    if rate != spec.sampling_rate:
        mono = soxr.resample(mono, rate, spec.sampling_rate, quality="HQ")
        _check_enough(name, len(mono), spec)
    return mono


def audio_seconds(item: AudioLike) -> float:
    """How long a recording is, from its header alone; an estimate for MP3.

    Raises:
        InputError: Not a recording, or a header that does not say.
    """
    if isinstance(item, tuple):
        samples, rate = _check_samples(item)
        return len(samples) / rate
    with _opened(item) as sound:
        return float(_frames(_name(item), sound) / sound.samplerate)


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


def _name(item: AudioLike) -> str:
    if isinstance(item, tuple):
        return "the recording (samples, rate)"
    return "the recording (bytes)" if isinstance(item, bytes) else f"{str(item)!r}"


def _check_samples(item: tuple[Any, ...]) -> tuple[npt.NDArray[Any], float]:
    if len(item) != 2:
        raise InputError(f"a recording is (samples, rate), got a tuple of {len(item)}")
    samples, rate = item
    is_number = isinstance(rate, int | float | np.integer | np.floating)
    if not is_number or isinstance(rate, bool) or not 0 < rate < math.inf:
        raise InputError(f"rate is {rate!r}; it is a number of samples per second above 0")
    if not isinstance(samples, np.ndarray):
        raise InputError(f"samples are a {type(samples).__name__}; they are a numpy array")
    if samples.dtype != np.int16 and not np.issubdtype(samples.dtype, np.floating):
        raise InputError(
            f"samples are {samples.dtype}; they are float32 in [-1, 1], or int16: scale them first"
        )
    if samples.ndim not in (1, 2):
        raise InputError(f"samples have shape {samples.shape}; they are [time] or [time, channel]")
    if samples.ndim == 2 and not 1 <= samples.shape[1] <= MAX_CHANNELS:
        raise InputError(
            f"samples have shape {samples.shape}, which is [time, channel] with "
            f"{samples.shape[1]} channels (1 to {MAX_CHANNELS} are taken); if the channels come "
            "first, pass samples.T"
        )
    return samples, float(rate)


@contextmanager
def _opened(item: str | Path | bytes) -> Iterator[Any]:
    name = _name(item)
    try:
        with soundfile.SoundFile(_source(item, name)) as sound:
            yield sound
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(" .")
        raise InputError(
            f"{name} cannot be read as sound ({reason}): it is damaged, or not one of WAV, FLAC, "
            "OGG, MP3"
        ) from None


def _source(item: str | Path | bytes, name: str) -> str | io.BytesIO:
    if isinstance(item, bytes):
        return io.BytesIO(item)
    if not isinstance(item, str | Path):
        raise InputError(
            f"a recording is a path, bytes or (samples, rate), got {type(item).__name__}"
        )
    path = Path(item)
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:  # such as a name longer than the system takes
        raise InputError(f"the file {name} cannot be opened: {error.strerror}") from None
    if is_folder:
        raise InputError(f"{name} is a folder; give the path of a sound file")
    if not is_file:
        raise InputError(f"there is no file {name}")
    if path.suffix.lower() == ".raw":
        raise InputError(f"{name} has no header that says its rate; pass (samples, rate)")
    return str(path)


def _decode(item: str | Path | bytes, max_seconds: float) -> tuple[Float, int]:
    name = _name(item)
    with _opened(item) as sound:
        rate: int = sound.samplerate
        frames = _frames(name, sound)
        exact = sound.format != "MP3"
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


def _block(sound: Any) -> Float:
    count = max(1, BLOCK_VALUES // sound.channels)
    block: Float = sound.read(count, dtype="float32", always_2d=True)
    return block


def _frames(name: str, sound: Any) -> int:
    frames: int = sound.frames
    if frames >= UNKNOWN_FRAMES:
        raise InputError(f"{name} does not say in its header how long it is; write it again")
    return frames


def _check_whole_wav(name: str, log: str) -> None:
    found = CUT_WAV.search(log)
    if found and int(found[1]) < UNKNOWN_BYTES:
        raise InputError(f"{name} is damaged: its end is missing; get the whole file")


def _check_length(name: str, seconds: float, max_seconds: float) -> None:
    if seconds > max_seconds:
        raise InputError(
            f"{name} is longer than the {max_seconds:g} s that are taken at once "
            f"(at least {seconds:.1f} s); cut it into parts"
        )


def _check_enough(name: str, count: int, spec: AudioSpec) -> None:
    if count < spec.min_samples:
        raise InputError(
            f"{name} is too short: {count} samples at {spec.sampling_rate} Hz, the model needs at "
            f"least {spec.min_samples} ({1000 * spec.min_samples / spec.sampling_rate:g} ms)"
        )
