"""A recording of any length, window after window: the sequential algorithm of Whisper.

A reimplementation of `generate` of transformers (models/whisper/generation_whisper.py) for one
recording, which is that of openai/whisper (transcribe.py) but for where a window ends.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from onnxtasks.generation.reader import Float, Int
from onnxtasks.speech import hallucination
from onnxtasks.speech.whisper_fallback import Heard, Judged, Listen, write
from onnxtasks.speech.whisper_options import WhisperSettings
from onnxtasks.speech.whisper_prompt import (
    Conversation,
    Prompt,
    Tokenize,
    language_probabilities,
)
from onnxtasks.speech.whisper_segments import cut
from onnxtasks.speech.whisper_spec import WhisperSpec
from onnxtasks.speech.whisper_words import Decode, Segment, edges_of, segments_of, with_words

Progress: TypeAlias = Callable[[float, float], object]
"""Takes the seconds that are done, and those of the recording."""


class Features(Protocol):
    """The log-mel features of a recording."""

    @property
    def frames(self) -> int:
        """How many there are."""
        ...

    def cut(self, start: int, frames: int, /) -> Float:
        """Features [band, frame], so many from one on; fewer at the end."""
        ...


class WholeFeatures:
    """Features in one array."""

    def __init__(self, features: Float) -> None:
        """Take features [band, frame]."""
        self._features = features

    @property
    def frames(self) -> int:
        """How many there are."""
        return int(self._features.shape[1])

    def cut(self, start: int, frames: int, /) -> Float:
        """So many features from one on."""
        return self._features[:, start : start + frames]


@dataclass(frozen=True, slots=True)
class Model:
    """What both algorithms need of a bundle."""

    listen: Listen
    spec: WhisperSpec
    tokenize: Tokenize
    decode: Decode


class Sequential:
    """Writes down one recording; each window begins where the last one's text ended."""

    def __init__(
        self,
        model: Model,
        features: Features,
        settings: WhisperSettings,
        *,
        frames: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Get ready; nothing runs yet.

        Args:
            model: The bundle's parts.
            features: Of the recording.
            settings: The call's.
            frames: Where the recording ends, if padding follows: no window begins behind it.
                transformers goes on into the padding, where there is nothing to hear.
            progress: Called before every window, and at the end.
        """
        self._model, self._features, self._settings = model, features, settings
        self._end = features.frames if frames is None else min(frames, features.frames)
        self._progress = progress
        self._last_speech = 0.0
        self.language = settings.language
        """Chosen or, after the first window, detected; None for an English-only model."""
        self.languages: dict[str, float] = {}
        """Code -> probability, likeliest first, where it was detected."""
        self.seeks: list[int] = []
        """First frame of each window so far."""

    def segments(self) -> Iterator[Segment]:
        """Each window's segments as soon as they are known; may be asked for once.

        Raises:
            InputError: A prompt or prefix that the model cannot take.
        """
        spec, seek = self._model.spec, 0
        conversation: Conversation | None = None
        while seek < self._end:
            self._report(seek)
            self.seeks.append(seek)
            frames = min(self._features.frames - seek, spec.mel.frames)
            heard = self._model.listen(pad(self._features.cut(seek, frames), spec.mel.frames)[None])
            if conversation is None:
                conversation = self._begin(heard)
            prompt = conversation.prompt()
            (text,) = write(heard, [0], [prompt], self._settings, spec)
            conversation.trust(text.temperature)
            if text.silent(self._settings):
                seek += frames
                continue
            said, seek = self._window(heard, prompt, text, seek, frames)
            conversation.add([segment.tokens for segment in said])
            yield from said
        self._report(self._end)

    def _begin(self, heard: Heard) -> Conversation:
        model = self._model
        if model.spec.multilingual and self.language is None:
            self.languages = detect(heard, [0], model.spec)[0]
            self.language = next(iter(self.languages))
        return Conversation(model.spec, self._settings, model.tokenize, language=self.language)

    def _window(
        self, heard: Heard, prompt: Prompt, text: Judged, seek: int, frames: int
    ) -> tuple[Sequence[Segment], int]:
        """The segments of a window, and where the next one begins."""
        spec, settings = self._model.spec, self._settings
        found = cut(text.tokens, spec, seek=seek, frames=frames)
        said = segments_of(text, found, seek=seek)
        # A window that ends at its own first frame would be heard for ever.
        after = seek + (found.advance if found.advance > 0 else frames)
        if settings.timestamps != "word":
            return said, after
        left = [self._end - seek]
        (edges,) = edges_of(heard, [0], [prompt], [text], spec, left)
        language = "en" if settings.task == "translate" else self.language
        said = with_words(said, found, edges, spec, self._model.decode, language=language)
        threshold = settings.hallucination_silence_threshold
        if threshold is None:
            return said, after
        place = hallucination.Heard(
            seek=seek,
            frames=frames,
            whole=spec.mel.frames,
            total=self._end,
            rate=spec.mel.sampling_rate / spec.mel.hop_length,
            last_speech=self._last_speech,
        )
        kept = hallucination.drop(
            said, place, seek=after, unfinished=found.unfinished, threshold=threshold
        )
        ended = hallucination.last_end(kept.segments)
        self._last_speech = self._last_speech if ended is None else ended
        return kept.segments, kept.seek if kept.seek > seek else seek + frames

    def _report(self, frame: int) -> None:
        if self._progress is not None:
            seconds = self._model.spec.mel.hop_length / self._model.spec.mel.sampling_rate
            self._progress(min(frame, self._end) * seconds, self._end * seconds)


def pad(features: Float, frames: int) -> Float:
    """Features [band, frame], with zeros behind them up to so many frames, as the reference."""
    missing = frames - features.shape[1]
    return np.pad(features, ((0, 0), (0, missing))) if missing > 0 else features


def detect(heard: Heard, windows: Sequence[int], spec: WhisperSpec) -> list[dict[str, float]]:
    """How likely each language is in each window, likeliest first.

    Args:
        heard: Where the windows are.
        windows: Which of them.
        spec: Of a multilingual bundle.
    """
    reader = heard.reader(windows, 0)
    prompts: list[Int] = [np.array([spec.start_token], np.int64)] * len(windows)
    try:
        scores = reader.prompt(prompts).all_logits()[:, 0]
        return [language_probabilities(row, spec.languages) for row in scores]
    finally:
        reader.close()
