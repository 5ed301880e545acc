"""Automatic speech recognition: what is said in a recording, and when."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import msgspec
import numpy as np

from onnxtasks.bundle import Bundle
from onnxtasks.ops.audio import AudioLike, AudioSpec, audio_seconds, normalise, pad, read_audio
from onnxtasks.ops.ctc import CtcSpec, Piece, frame_count, greedy, merge, receptive_field
from onnxtasks.ops.scores import Float
from onnxtasks.session import Feeds, Session
from onnxtasks.tasks.base import Task, check_items, groups
from onnxtasks.timing import stage


class CtcSpeechSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a CTC model over raw samples (Wav2Vec2 and its kin)."""

    audio: AudioSpec
    ctc: CtcSpec
    conv_kernels: tuple[int, ...]
    """Widths of the convolutions that turn samples into frames, in their order."""
    conv_strides: tuple[int, ...]
    """Their steps; their product is the samples from one frame to the next."""
    attention_mask: bool
    """Whether the graph takes a mask, so that recordings of different lengths share a run.

    Without one (a group norm over time sees the padding) only equal lengths do.
    """

    def __post_init__(self) -> None:
        """Refuse convolutions that do not fit each other or the shortest recording."""
        if not self.conv_kernels or len(self.conv_kernels) != len(self.conv_strides):
            raise ValueError("conv_kernels and conv_strides need one number for each convolution")
        if min(*self.conv_kernels, *self.conv_strides) < 1:
            raise ValueError("conv_kernels and conv_strides are at least 1")
        field = receptive_field(self.conv_kernels, self.conv_strides)
        if self.audio.min_samples < field:
            raise ValueError(f"audio.min_samples is below the {field} samples of one frame")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a transcript."""

    text: str
    start: float
    """Seconds from the start of the recording."""
    end: float
    score: float
    """Mean posterior probability of the symbols over the frames that hold them."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said."""

    text: str
    segments: tuple[Span, ...]
    """With CTC one, from the first word to the last; none where nothing was said."""
    words: tuple[Span, ...]
    characters: tuple[Span, ...]
    """One per symbol, the spaces between words included."""
    language: str | None
    """None where the model does not tell."""
    alternatives: tuple["Transcript", ...]
    """Other hypotheses, best first; greedy decoding has none."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of a transformers pipeline that is asked for word timestamps."""
        chunks = [{"text": word.text, "timestamp": (word.start, word.end)} for word in self.words]
        return {"text": self.text, "chunks": chunks}


class SpeechRecognizer(Task[AudioLike, Transcript]):
    """Writes down what is said in a recording; answers a `Transcript`."""

    name: ClassVar[str] = "automatic-speech-recognition"
    unit: ClassVar[str] = "seconds"
    budget: ClassVar[float] = 60.0

    def __init__(self, session: Session, spec: CtcSpeechSpec) -> None:
        """Take a loaded graph.

        Args:
            session: "input_values" float32 [batch, samples], and "attention_mask" int64
                [batch, samples] where the spec says so -> "logits" [batch, frame, symbol].
            spec: The model's settings.
        """
        self.session = session
        self.spec = spec

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graph."""
        return cls(sessions["model"], bundle.spec(CtcSpeechSpec))

    def predict(self, items: Sequence[AudioLike]) -> list[Transcript]:
        """Write down several recordings.

        Args:
            items: Each a path, a file's bytes, or (samples, rate).

        Raises:
            InputError: A recording that cannot be read, is too short or too long.
        """
        check_items(items)
        with stage("preprocess"):
            waves = self.preprocess(items)
        with stage("run"):
            scores = self.logits(waves)
        with stage("postprocess"):
            return [self.postprocess(logits) for logits in scores]

    def preprocess(self, items: Sequence[AudioLike]) -> list[Float]:
        """Recordings -> normalised samples at the model's rate, each [time]."""
        waves = [read_audio(item, self.spec.audio) for item in items]
        return [normalise(wave) for wave in waves] if self.spec.audio.normalize else waves

    def logits(self, waves: Sequence[Float]) -> list[Float]:
        """Run the graph.

        Args:
            waves: Each [time], from `preprocess`; different lengths share a run if masked.

        Returns:
            For each [frame, symbol], its own frames only.
        """
        keys = [0 if self.spec.attention_mask else len(wave) for wave in waves]
        found: dict[int, Float] = {}
        for group in groups(keys):
            outputs = self.session.run(self.feeds([waves[index] for index in group]))
            for index, rows in zip(group, outputs["logits"], strict=True):
                found[index] = rows[: self._frames(len(waves[index]))].astype(
                    np.float32, copy=False
                )
        return [found[index] for index in range(len(waves))]

    def feeds(self, waves: Sequence[Float]) -> Feeds:
        """Pad recordings into the graph's inputs."""
        values, mask = pad(waves, self.spec.audio.padding_value)
        if self.spec.attention_mask:
            return {"input_values": values, "attention_mask": mask}
        return {"input_values": values}

    def postprocess(self, logits: Float) -> Transcript:
        """Decode one recording's [frame, symbol]."""
        heard = greedy(logits, self.spec.ctc)
        spans: tuple[Span, ...] = ()
        if heard.text:
            whole = merge(heard.words or heard.characters)
            spans = self._spans([Piece(heard.text, whole.start, whole.end, whole.score)])
        return Transcript(
            text=heard.text,
            segments=spans,
            words=self._spans(heard.words),
            characters=self._spans(heard.characters),
            language=None,
            alternatives=(),
        )

    def measure(self, item: AudioLike) -> float:
        """Seconds, from the header."""
        return audio_seconds(item)

    def example(self) -> AudioLike:
        """One second of silence."""
        rate = self.spec.audio.sampling_rate
        return np.zeros(max(rate, self.spec.audio.min_samples), np.float32), rate

    def _frames(self, samples: int) -> int:
        return frame_count(samples, self.spec.conv_kernels, self.spec.conv_strides)

    def _spans(self, pieces: Sequence[Piece]) -> tuple[Span, ...]:
        # First times the samples of a frame, then through the rate: the pipeline's rounding.
        step, rate = math.prod(self.spec.conv_strides), self.spec.audio.sampling_rate
        return tuple(
            Span(piece.text, piece.start * step / rate, piece.end * step / rate, piece.score)
            for piece in pieces
        )
