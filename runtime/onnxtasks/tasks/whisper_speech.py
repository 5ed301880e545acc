"""Automatic speech recognition with Whisper: what is said in a recording, and when."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, Unpack

import numpy as np
from tokenizers import Tokenizer

from onnxtasks.bundle import Bundle
from onnxtasks.errors import DamagedRecordingWarning, InputError
from onnxtasks.ops.audio import audio_seconds
from onnxtasks.ops.audio_files import AudioLike
from onnxtasks.ops.text import load_tokenizer, without_limits
from onnxtasks.session import Session, StepSession
from onnxtasks.speech.log_mel import LogMel
from onnxtasks.speech.recording import open_recording
from onnxtasks.speech.transcript import Span, Transcript
from onnxtasks.speech.whisper_graphs import Listener
from onnxtasks.speech.whisper_long import Model, Progress, detect, pad
from onnxtasks.speech.whisper_options import WhisperOptions, WhisperSettings, whisper_settings
from onnxtasks.speech.whisper_recording import Sound, run
from onnxtasks.speech.whisper_spec import WhisperSpec
from onnxtasks.speech.whisper_words import Segment
from onnxtasks.tasks.base import Task, check_items
from onnxtasks.timing import stage

__all__ = ["WhisperOptions", "WhisperRecognizer"]

BLOCK_SECONDS = 30.0
"""Of a recording, at a time; a whole number of its levels."""


class WhisperRecognizer(Task[AudioLike, Transcript]):
    """Writes down, or translates, what is said in a recording; answers a `Transcript`.

    Source: transformers, `AutomaticSpeechRecognitionPipeline` and `WhisperForConditionalGeneration.
    generate`, which it differs from where the functions of `onnxtasks.speech` say so. A recording
    shorter than a window is written down to its end; the reference goes on into the padding. A
    recording of nothing but zeros has no text, and no graph is run for it.
    """

    name = "automatic-speech-recognition"
    unit = "seconds"
    budget = 60.0

    def __init__(
        self,
        encoder: StepSession,
        decoder: StepSession,
        spec: WhisperSpec,
        tokenizer: Tokenizer,
    ) -> None:
        """Build the task from its parts.

        Args:
            encoder: The encoder graph; see `onnxtasks.speech.whisper_graphs.Listener`.
            decoder: The decoder graph.
            spec: The bundle's settings.
            tokenizer: Encodes prompts, decodes what is written.
        """
        without_limits(tokenizer)
        self.spec = spec
        self.tokenizer = tokenizer
        self.mel = LogMel(spec.mel)
        self.model = Model(Listener(encoder, decoder, spec), spec, self.tokenize, self.decode)

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        tokenizer = load_tokenizer(bundle.file("tokenizer.json"))
        graphs: Any = sessions
        return cls(graphs["encoder"], graphs["decoder"], bundle.spec(WhisperSpec), tokenizer)

    def predict(
        self,
        items: Sequence[AudioLike],
        *,
        progress: Progress | None = None,
        **options: Unpack[WhisperOptions],
    ) -> list[Transcript]:
        """Write down recordings, one after the other.

        Args:
            items: Each a path, a file's bytes, or (samples, rate).
            progress: Called with the seconds that are done and those of the recording, before each
                window and at the end.
            options: See `WhisperOptions`; what is not given is as the checkpoint has it.

        Raises:
            InputError: A recording that cannot be read; a wrong option, or one that the model
                cannot meet; a recording of several windows without timestamps.
        """
        check_items(items)
        settings = whisper_settings(self.spec, options)
        return [self._transcript(item, settings, progress) for item in items]

    def stream_segments(
        self,
        item: AudioLike,
        *,
        progress: Progress | None = None,
        **options: Unpack[WhisperOptions],
    ) -> Iterator[Span]:
        """The segments of one recording, each as soon as it is known.

        Args:
            item: As in `predict`.
            progress: As in `predict`.
            options: As in `predict`; they are checked at once.

        Raises:
            InputError: As `predict`.
        """
        settings = whisper_settings(self.spec, options)
        if not settings.timed:
            raise InputError(
                "timestamps is 'none', and what is streamed are segments with their times; ask for "
                "'segment' or 'word'"
            )
        return self._spans(item, settings, progress)

    def detect_language(self, item: AudioLike) -> dict[str, float]:
        """How likely each language is in the first window, likeliest first.

        Raises:
            InputError: The model knows English only.
        """
        if not self.spec.multilingual:
            raise InputError("the model knows English only; there is no language to detect")
        features = self.sound(item).features
        first = pad(features.cut(0, self.spec.mel.frames), self.spec.mel.frames)
        return detect(self.model.listen(first[None]), [0], self.spec)[0]

    def sound(self, item: AudioLike) -> Sound:
        """Read a recording of any length; its samples are not kept.

        What can be decoded of a damaged one is answered for, with a `DamagedRecordingWarning`.
        """
        with open_recording(item, self.spec.audio) as recording:
            sound = Sound.read(recording.blocks(BLOCK_SECONDS), self.mel)
        if recording.damage is not None:
            warnings.warn(recording.damage, DamagedRecordingWarning, stacklevel=3)
        return sound

    def measure(self, item: AudioLike) -> float:
        """Seconds, from the header."""
        return audio_seconds(item)

    def example(self) -> AudioLike:
        """A second of faint noise."""
        rate = self.spec.audio.sampling_rate
        noise = np.random.default_rng(0).normal(0, 0.01, rate)
        return noise.astype(np.float32), rate

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse wrong options before an input is read.

        Raises:
            InputError: What `predict` refuses.
        """
        self.predict([], **options)

    def warm_up(self, runs: int = 1) -> None:
        """Write a few words, so that the first real call pays for no first-time work."""
        for _ in range(runs):
            self.predict([self.example()], temperature=0.0, max_new_tokens=2)

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text, no special ones added."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without special ones and timestamps, with its leading space."""
        ids = [token for token in tokens if token < self.spec.end_token]
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False)
        return text

    def _transcript(
        self, item: AudioLike, settings: WhisperSettings, progress: Progress | None
    ) -> Transcript:
        with stage("preprocess"):
            sound = self.sound(item)
        with stage("run"):
            made = run(self.model, sound, settings, progress)
            found = list(made.segments())
        with stage("postprocess"):
            spans = [self._span(one) for one in found] if settings.timed else []
            return Transcript(
                text="".join(self.decode(one.tokens) for one in found).strip(),
                segments=tuple(span for span in spans if span.text),
                words=tuple(
                    Span(word.text.strip(), word.start, word.end, word.probability)
                    for one in found
                    for word in one.words
                    if word.text.strip()
                ),
                characters=(),
                language=made.language,
                alternatives=(),
            )

    def _spans(
        self, item: AudioLike, settings: WhisperSettings, progress: Progress | None
    ) -> Iterator[Span]:
        sound = self.sound(item)
        for one in run(self.model, sound, settings, progress).segments():
            span = self._span(one)
            if span.text:
                yield span

    def _span(self, one: Segment) -> Span:
        """A segment as the result has it; its score is the words' mean probability, geometric."""
        written = zip(one.tokens, one.token_logprobs, strict=True)
        logprobs = [value for token, value in written if token < self.spec.end_token]
        score = float(np.exp(np.mean(logprobs))) if logprobs else 0.0
        return Span(self.decode(one.tokens).strip(), one.start, one.end, score)
