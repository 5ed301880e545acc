"""Opening recordings: what is one, what its header says, and which library reads it."""

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

from onnxtasks.errors import InputError
from onnxtasks.ops.media import MediaError, open_media
from onnxtasks.ops.scores import Float

AudioLike: TypeAlias = str | Path | bytes | tuple[npt.NDArray[Any], float]
"""A file's path, a file's bytes, or (samples `[time]` or `[time, channel]`, samples per second).

Samples are floats, as a rule in [-1, 1], or int16, which are divided by 32768.
"""

MAX_CHANNELS = 32  # of an array; more is taken for [channel, time]
UNKNOWN_FRAMES = 2**62  # libsndfile counts 2**63 - 1 frames where a header does not say
UNKNOWN_BYTES = 0x7FFFF000  # what a program that writes WAV into a pipe claims, or more
CUT_WAV = re.compile(r"data : (\d+) \(should be \d+\)")  # from libsndfile's log
ESTIMATES = ("MP3", "MEDIA")  # formats whose headers only estimate their length


class SoundSource(Protocol):
    """An opened file: soundfile's SoundFile, or PyAV's reader of `ops/media.py`."""

    @property
    def samplerate(self) -> int:
        """Samples per second."""

    @property
    def channels(self) -> int:
        """How many there are."""

    @property
    def frames(self) -> int:
        """Samples of a channel as the header says; `UNKNOWN_FRAMES` or more where it does not."""

    @property
    def format(self) -> str:
        """The name that soundfile has for it; "MEDIA" for PyAV."""

    @property
    def extra_info(self) -> str:
        """The log of libsndfile."""

    def read(self, frames: int, dtype: str, always_2d: bool) -> Float:
        """[time, channel]: the next samples, none at the end."""


def recording_name(item: AudioLike) -> str:
    """What messages call the recording."""
    if isinstance(item, tuple):
        return "the recording (samples, rate)"
    return "the recording (bytes)" if isinstance(item, bytes) else f"{str(item)!r}"


def check_samples(item: tuple[Any, ...]) -> tuple[npt.NDArray[Any], float]:
    """Take (samples, rate) apart.

    Raises:
        InputError: Not an array of sound, or no rate.
    """
    if len(item) != 2:
        raise InputError(f"a recording is (samples, rate), got a tuple of {len(item)}")
    samples, rate = item
    check_rate(rate)
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


def check_rate(rate: Any) -> None:
    """Refuse what is no rate.

    Raises:
        InputError: Not a number of samples per second above 0.
    """
    is_number = isinstance(rate, int | float | np.integer | np.floating)
    if not is_number or isinstance(rate, bool) or not 0 < rate < math.inf:
        raise InputError(f"rate is {rate!r}; it is a number of samples per second above 0")


def check_finite(name: str, samples: Float) -> None:
    """Refuse samples that are no numbers.

    Raises:
        InputError: One is NaN or infinite.
    """
    if not np.isfinite(samples).all():
        raise InputError(f"{name} holds samples that are NaN or infinite; repair the recording")


@contextmanager
def opened(item: str | Path | bytes) -> Iterator[SoundSource]:
    """Open a file: with soundfile, and what that does not read with PyAV where it is installed.

    Raises:
        InputError: No such file, or not a recording; also where reading fails inside.
    """
    name = recording_name(item)
    with open_source(item) as sound:
        try:
            yield sound
        except (soundfile.LibsndfileError, MediaError) as error:
            raise InputError(unreadable(name, error)) from None


def open_source(item: str | Path | bytes) -> Any:
    """Open a file for reading in parts: a `SoundSource` that is a context manager.

    Its `read` raises soundfile.LibsndfileError or MediaError where the file is damaged.

    Raises:
        InputError: No such file, or not a recording.
    """
    name = recording_name(item)
    source = _source(item, name)
    try:
        return soundfile.SoundFile(source)
    except soundfile.LibsndfileError as error:
        message = unreadable(name, error)
    media = open_media(io.BytesIO(item) if isinstance(item, bytes) else str(source))
    if isinstance(media, str):
        raise InputError(f"{message}; {media}")
    return media


def unreadable(name: str, error: Exception) -> str:
    """The message for a file that cannot be decoded."""
    reason = getattr(error, "error_string", str(error)).rstrip(" .")
    return (
        f"{name} cannot be read as sound ({reason}): it is damaged, or not one of WAV, FLAC, "
        "OGG, MP3"
    )


def known_frames(name: str, sound: SoundSource) -> int:
    """How many samples the header promises.

    Raises:
        InputError: It does not say.
    """
    frames: int = sound.frames
    if frames >= UNKNOWN_FRAMES:
        raise InputError(f"{name} does not say in its header how long it is; write it again")
    return frames


def is_cut_wav(log: str) -> bool:
    """Whether libsndfile found less data than a WAV header says."""
    found = CUT_WAV.search(log)
    return found is not None and int(found[1]) < UNKNOWN_BYTES


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
