"""A recording whose windows are cut at silences, and read side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from onnxtasks.generation.reader import Float
from onnxtasks.speech.whisper_fallback import write
from onnxtasks.speech.whisper_long import Features, Model, Progress, detect, pad
from onnxtasks.speech.whisper_options import WhisperSettings
from onnxtasks.speech.whisper_prompt import Conversation
from onnxtasks.speech.whisper_segments import cut, rest
from onnxtasks.speech.whisper_words import Segment, edges_of, segments_of, with_words

WINDOWS = 8
"""Windows of one run."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a recording that is heard at once; in frames."""

    start: int
    stop: int


class Batched:
    """Writes down one recording, several windows a run; no window knows of the others."""

    def __init__(
        self,
        model: Model,
        features: Features,
        windows: Sequence[Window],
        settings: WhisperSettings,
        *,
        together: int = WINDOWS,
        progress: Progress | None = None,
    ) -> None:
        """Get ready; nothing runs yet.

        Args:
            model: The bundle's parts.
            features: Of the recording.
            windows: Of the recording, ascending.
            settings: The call's.
            together: Windows of one run.
            progress: Called before every run, and at the end.
        """
        self._model, self._features, self._windows = model, features, windows
        self._settings, self._together, self._progress = settings, together, progress
        self.language = settings.language
        """As of `Sequential`; detected in the first window."""
        self.languages: dict[str, float] = {}

    def segments(self) -> Iterator[Segment]:
        """Each window's segments, in order, as soon as its run is done; may be asked for once.

        Raises:
            InputError: A prompt that the model cannot take.
        """
        for first in range(0, len(self._windows), self._together):
            self._report(self._windows[first].start)
            yield from self._run(self._windows[first : first + self._together])
        if self._windows:
            self._report(self._windows[-1].stop)

    def _run(self, windows: Sequence[Window]) -> Iterator[Segment]:
        model, settings, spec = self._model, self._settings, self._model.spec
        features = [self._features.cut(w.start, w.stop - w.start) for w in windows]
        heard = model.listen(np.stack([pad(one, spec.mel.frames) for one in features]))
        if spec.multilingual and self.language is None:
            self.languages = detect(heard, [0], spec)[0]
            self.language = next(iter(self.languages))
        conversation = Conversation(spec, settings, model.tokenize, language=self.language)
        prompt = conversation.prompt()
        prompts = [prompt] * len(windows)
        texts = write(heard, range(len(windows)), prompts, settings, spec)
        spoken = [place for place, text in enumerate(texts) if not text.silent(settings)]
        lengths = [window.stop - window.start for window in windows]
        edges: dict[int, Float] = {}
        if settings.timestamps == "word":
            chosen = [texts[place] for place in spoken]
            counts = [lengths[place] for place in spoken]
            found = edges_of(heard, spoken, prompts[: len(spoken)], chosen, spec, counts)
            edges = dict(zip(spoken, found, strict=True))
        language = "en" if settings.task == "translate" else self.language
        for place in spoken:
            text, size = texts[place], lengths[place]
            at = {"seek": windows[place].start, "frames": size}
            parts = rest(text.tokens, cut(text.tokens, spec, **at), spec, **at)
            said = segments_of(text, parts, seek=windows[place].start)
            if place in edges:
                said = with_words(said, parts, edges[place], spec, model.decode, language=language)
            yield from said

    def _report(self, frame: int) -> None:
        if self._progress is not None:
            seconds = self._model.spec.mel.hop_length / self._model.spec.mel.sampling_rate
            self._progress(frame * seconds, self._windows[-1].stop * seconds)
