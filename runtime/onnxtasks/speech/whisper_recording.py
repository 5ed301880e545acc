"""A recording, read and measured -> its segments, by the method that was asked for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from onnxtasks.errors import InputError
from onnxtasks.generation.reader import Float
from onnxtasks.speech.log_mel import SILENCE, Features, LogMel
from onnxtasks.speech.voice import (
    Levels,
    Stretch,
    measure_levels,
    stretches_of,
    windows_at_silences,
)
from onnxtasks.speech.whisper_batched import Batched, Window
from onnxtasks.speech.whisper_long import Model, Progress, Sequential
from onnxtasks.speech.whisper_options import WhisperSettings
from onnxtasks.speech.whisper_spoken import SpokenFeatures
from onnxtasks.speech.whisper_words import Segment


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording, as its features and how loud it is; its samples are not kept."""

    features: Features
    levels: Levels

    @classmethod
    def read(cls, blocks: Iterable[Float], mel: LogMel) -> "Sound":
        """Measure samples [time], block by block.

        Args:
            blocks: Each of a whole number of levels, but for the last.
            mel: Computes the features.
        """
        rate = mel.spec.sampling_rate
        parts: list[Levels] = []

        def measured() -> Iterator[Float]:
            for block in blocks:
                parts.append(measure_levels([block], rate))
                yield block

        features = mel.read(measured())
        decibels = np.concatenate([part.decibels for part in parts])
        return cls(features, Levels(decibels, parts[0].step, features.seconds))

    @property
    def silent(self) -> bool:
        """Whether it holds nothing but zeros."""
        return self.features.loudest <= float(SILENCE)


class Run(Protocol):
    """A recording being written down."""

    @property
    def language(self) -> str | None:
        """Chosen or, after the first window, detected."""
        ...

    def segments(self) -> Iterator[Segment]:
        """Each segment as soon as it is known; may be asked for once."""
        ...


class Nothing:
    """A recording in which nobody speaks: no graph is run for it."""

    def __init__(self, language: str | None) -> None:
        """Take the language that was asked for."""
        self.language = language

    def segments(self) -> Iterator[Segment]:
        """There are none."""
        return iter(())


class Spoken:
    """A run over the spoken parts of a recording, with times of the whole."""

    def __init__(self, run: Sequential, features: SpokenFeatures) -> None:
        """Take the run and what it hears."""
        self._run, self._features = run, features

    @property
    def language(self) -> str | None:
        """As the run's."""
        return self._run.language

    def segments(self) -> Iterator[Segment]:
        """The run's, moved to where they were said."""
        time = self._features.time
        for one in self._run.segments():
            words = [
                replace(word, start=time(word.start), end=time(word.end, end=True))
                for word in one.words
            ]
            start, end = time(one.start), time(one.end, end=True)
            yield replace(one, start=start, end=end, words=tuple(words))


def run(
    model: Model, sound: Sound, settings: WhisperSettings, progress: Progress | None = None
) -> Run:
    """Get ready to write down a recording.

    Args:
        model: The bundle's parts.
        sound: The recording.
        settings: The call's.
        progress: See `Progress`.

    Raises:
        InputError: Several windows without timestamps, one after the other.
    """
    mel, features = model.spec.mel, sound.features
    step = mel.hop_length / mel.sampling_rate
    end = min(features.frames, -(-features.samples // mel.hop_length))
    stretches = spoken_stretches(sound, settings)
    if sound.silent or stretches == []:
        return Nothing(settings.language)
    if settings.method == "batched":
        pairs = windows_at_silences(stretches or [], mel.chunk_seconds, sound.levels)
        windows = [window_of(pair, step, end, mel.frames) for pair in pairs]
        windows = [one for one in windows if one.stop > one.start]
        return Batched(model, features, windows, settings, progress=progress)
    spoken: SpokenFeatures | None = None
    end = min(features.frames, -(-features.samples // mel.hop_length))
    if stretches is not None:
        frames = [window_of(pair, step, end, end) for pair in stretches]
        spoken = SpokenFeatures(features, [one for one in frames if one.stop > one.start], step)
        end = spoken.frames
    if end > mel.frames and not settings.timed:
        raise InputError(
            f"the recording is longer than the {mel.chunk_seconds:g} s that the model hears at "
            "once, and timestamps say where the next window begins; ask for timestamps='segment', "
            "or for method='batched'"
        )
    heard = features if spoken is None else spoken
    found = Sequential(model, heard, settings, frames=end, progress=progress)
    return found if spoken is None else Spoken(found, spoken)


def spoken_stretches(sound: Sound, settings: WhisperSettings) -> list[Stretch] | None:
    """Where somebody speaks; None where it does not matter."""
    if not isinstance(settings.vad, bool):
        return [pair for pair in settings.vad if pair[0] < sound.features.seconds]
    if settings.vad or settings.method == "batched":
        return stretches_of(sound.levels)
    return None


def window_of(stretch: Stretch, step: float, frames: int, most: int) -> Window:
    """A stretch in frames.

    Args:
        stretch: Start and end in seconds.
        step: Seconds of a frame.
        frames: How many the recording has.
        most: How many a window has.
    """
    start, end = (min(round(second / step), frames) for second in stretch)
    return Window(start, min(end, start + most))
