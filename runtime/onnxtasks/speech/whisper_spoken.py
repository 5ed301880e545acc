"""The parts of a recording in which somebody speaks, as one: what lies between is not heard."""

from collections.abc import Sequence

import numpy as np

from onnxtasks.generation.reader import Float
from onnxtasks.speech.whisper_batched import Window
from onnxtasks.speech.whisper_long import Features

EXACT = 1e-6  # seconds


class SpokenFeatures:
    """Features of some stretches of a recording, one behind the other."""

    def __init__(self, features: Features, stretches: Sequence[Window], step: float) -> None:
        """Take what is spoken.

        Args:
            features: Of the whole recording.
            stretches: In its frames, ascending, without overlaps.
            step: Seconds of a frame.
        """
        self._features, self._stretches, self._step = features, stretches, step
        sizes = [stretch.stop - stretch.start for stretch in stretches]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    @property
    def frames(self) -> int:
        """How many there are."""
        return int(self._starts[-1])

    def cut(self, start: int, frames: int, /) -> Float:
        """Features [band, frame], so many from one on."""
        parts = []
        for stretch, place in zip(self._stretches, self._starts[:-1].tolist(), strict=True):
            first = max(start, place)
            last = min(start + frames, place + stretch.stop - stretch.start)
            if first < last:
                parts.append(self._features.cut(stretch.start + first - place, last - first))
        if not parts:
            return self._features.cut(0, 0)
        return np.concatenate(parts, axis=1)

    def time(self, seconds: float, *, end: bool = False) -> float:
        """Seconds among the spoken parts -> seconds of the recording.

        Args:
            seconds: From the start of the first stretch.
            end: Whether something ends there: between two stretches, it belongs to the first then.
        """
        if not self._stretches:
            return seconds
        starts = self._starts[:-1] * self._step
        # Where one stretch ends and the next begins, there are two times for the same place.
        begun = starts < seconds - EXACT if end else starts <= seconds + EXACT
        place = max(0, int(np.count_nonzero(begun)) - 1)
        return seconds - float(starts[place]) + self._stretches[place].start * self._step
