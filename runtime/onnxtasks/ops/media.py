"""Sound in files that soundfile does not read (m4a, mp4, webm, aac, video), through PyAV."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from onnxtasks.ops.scores import Float

ALONE = {"protocol_whitelist": "none"}  # a playlist must not open other files or addresses
UNKNOWN_FRAMES = 2**62


class MediaError(Exception):
    """A part of the file cannot be decoded."""


def open_media(source: io.BytesIO | str) -> "MediaFile | str":
    """Open a file with PyAV.

    Args:
        source: A path that exists, or the file's bytes.

    Returns:
        The opened file; or, as a part of a message, why there is none.
    """
    try:
        import av  # an extra: its libraries are larger than everything else together
    except ImportError:
        return "m4a, mp4, webm and the like are read after `pip install 'onnxtasks[media]'`"
    # MediaFile closes it.
    file = Path(source).open("rb") if isinstance(source, str) else source  # noqa: SIM115
    try:
        container = av.open(file, options=ALONE)
    except (av.error.FFmpegError, ValueError, OSError):
        file.close()
        return "PyAV does not know it either"
    if not container.streams.audio:
        container.close()
        file.close()
        return "PyAV finds no sound in it"
    return MediaFile(file, container)


class MediaFile:
    """The first sound stream of a file; what is used of soundfile's SoundFile."""

    format = "MEDIA"
    extra_info = ""

    def __init__(self, file: Any, container: Any) -> None:
        """Take an opened container and the file below it; both are closed with this."""
        self._file, self._container = file, container
        stream = container.streams.audio[0]
        self.samplerate = int(stream.rate)
        self.channels = int(stream.channels)
        seconds = _seconds(container, stream)
        self.frames = UNKNOWN_FRAMES if seconds is None else round(seconds * self.samplerate)
        self._frames = self._decoded(stream)
        self._rest: list[Float] = []  # each [time, channel]

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> Float:
        """Decode on.

        Args:
            frames: At most so many samples of each channel.
            dtype: "float32", as of SoundFile.
            always_2d: True, as of SoundFile.

        Returns:
            [time, channel]; empty at the end.

        Raises:
            MediaError: What comes next cannot be decoded.
        """
        while sum(map(len, self._rest)) < frames and len(part := next(self._frames, _END)):
            self._rest.append(part)
        held = np.concatenate([np.zeros((0, self.channels), np.float32), *self._rest])
        self._rest = [held[frames:]]
        return held[:frames]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()
        self._file.close()

    def _decoded(self, stream: Any) -> Iterator[Float]:
        import av

        # One form for every codec: 32-bit floats, a row for each channel.
        to_floats = av.AudioResampler(format="fltp", layout=stream.layout, rate=self.samplerate)
        frames = self._container.decode(stream)
        while True:
            try:
                frame = next(frames, None)
                parts = to_floats.resample(frame)
            except av.error.FFmpegError as error:
                raise MediaError(error.strerror) from None
            for part in parts:
                samples: Float = np.ascontiguousarray(part.to_ndarray().T)
                yield samples
            if frame is None:
                return


def _seconds(container: Any, stream: Any) -> float | None:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1e6  # microseconds


_END: Float = np.zeros((0, 1), np.float32)
