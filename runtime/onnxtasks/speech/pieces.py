"""Arrays of a long recording: the first in memory, the others in a temporary file."""

import weakref
from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from onnxtasks.ops.scores import Float

MOST_BYTES = 16 * 2**20
"""In memory: eight minutes of 80 bands."""


class Pieces:
    """Arrays [band, frame], float32, one behind the other; for one thread at a time.

    The file has no name, and is gone with the last reference to this. Where none can be written,
    memory holds what it would.
    """

    def __init__(self, pieces: Iterable[Float] = (), most_bytes: int = MOST_BYTES) -> None:
        """Take pieces.

        Args:
            pieces: The first.
            most_bytes: What memory holds of them; those behind are in a file.
        """
        self.lengths: list[int] = []
        """Frames of each."""
        self.loudest = -np.inf
        """The largest of all numbers."""
        self._room = most_bytes
        self._kept: dict[int, Float] = {}
        self._places: dict[int, int] = {}
        self._end = 0
        self._bands = 0
        self._file: IO[bytes] | None = None
        for piece in pieces:
            self.add(piece)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def frames(self) -> int:
        """Of all pieces."""
        return sum(self.lengths)

    def add(self, piece: Float) -> None:
        """Put one behind the others."""
        number, self._bands = len(self), piece.shape[0]
        if piece.nbytes <= self._room:
            self._room -= piece.nbytes
            self._kept[number] = piece
        elif not self._written(number, piece):
            self._kept[number] = piece
        self.lengths.append(piece.shape[1])
        self.loudest = max(self.loudest, float(piece.max()))

    def cut(self, start: int, count: int) -> Float:
        """[band, frame]: some frames from one on; there are fewer at the end."""
        found, place = [np.zeros((self._bands, 0), np.float32)], 0
        for number, length in enumerate(self.lengths):
            first, last = max(start - place, 0), min(start + count - place, length)
            if first < last:
                found.append(self._read(number)[:, first:last])
            place += length
        return np.concatenate(found, axis=1)

    def _read(self, number: int) -> Float:
        if number in self._kept or self._file is None:
            return self._kept[number]
        self._file.seek(self._places[number])
        data = self._file.read(self._bands * self.lengths[number] * 4)
        return np.frombuffer(data, np.float32).reshape(self._bands, -1)

    def _written(self, number: int, piece: Float) -> bool:
        """Put a piece into the file; False where that fails, for which memory is the remedy."""
        try:
            if self._file is None:
                # Unbuffered, so that a full disk is told now and not when it is read.
                file: Any = TemporaryFile(prefix="onnxtasks-", buffering=0)  # noqa: SIM115  # finalized
                weakref.finalize(self, file.close)
                self._file = file
            self._file.seek(self._end)
            if self._file.write(piece.tobytes()) != piece.nbytes:
                return False
        except OSError:
            return False
        self._places[number] = self._end
        self._end += piece.nbytes
        return True
