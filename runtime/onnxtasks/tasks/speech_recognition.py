"""Automatic speech recognition: what is said in a recording, and when."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, Unpack

import numpy as np
import numpy.typing as npt

from onnxtasks.bundle import Bundle
from onnxtasks.errors import DamagedRecordingWarning, InputError
from onnxtasks.ops.audio import AudioLike, normalise, pad, read_audio
from onnxtasks.ops.audio_files import check_rate
from onnxtasks.ops.audio_windows import shared_runs
from onnxtasks.ops.scores import Float
from onnxtasks.session import Feeds, Session
from onnxtasks.speech.beam_decoder import BeamDecoder
from onnxtasks.speech.chunks import Chunking, cut, kept_frames
from onnxtasks.speech.ctc_beams import BeamHearing, LiveBeams
from onnxtasks.speech.ctc_decoders import Decoders
from onnxtasks.speech.ctc_greedy import GreedyHearing, LiveGreedy
from onnxtasks.speech.ctc_options import DecodingOptions, beam_options
from onnxtasks.speech.ctc_spec import CtcSpeechSpec, LanguageModelSpec
from onnxtasks.speech.ctc_windows import (
    Stride,
    checked_chunking,
    frames_of,
    read_windows,
    required_chunking,
)
from onnxtasks.speech.recording import live_blocks, recording_seconds
from onnxtasks.speech.transcript import Span, Transcript
from onnxtasks.tasks.base import Task, check_items, groups
from onnxtasks.timing import stage

__all__ = ["CtcSpeechSpec", "LanguageModelSpec", "Span", "SpeechRecognizer", "Transcript"]

BUDGET = 8.0
"""Padded seconds of one run, 400 frames. Twice as much is no faster on a CPU, and a second takes
27 MB (Wav2Vec2-base at fp32, measured: 267 MB for 8 s, 579 MB for 20 s)."""
LIVE_SECONDS = 6.0
"""Of a window of live sound: less is sooner, and knows less of what is around."""

Heard = GreedyHearing | BeamHearing
Live = LiveGreedy | LiveBeams


class SpeechRecognizer(Task[AudioLike, Transcript]):
    """Writes down what is said in a recording; answers a `Transcript`."""

    name: ClassVar[str] = "automatic-speech-recognition"
    unit: ClassVar[str] = "seconds"
    budget = BUDGET
    plans_runs: ClassVar[bool] = True

    def __init__(
        self, session: Session, spec: CtcSpeechSpec, *, decoder: BeamDecoder | None = None
    ) -> None:
        """Take a loaded graph.

        Args:
            session: "input_values" float32 [batch, samples], and "attention_mask" int64
                [batch, samples] where the spec says so -> "logits" [batch, frame, symbol].
            spec: The model's settings.
            decoder: A `BeamDecoder` over the model's symbols; its beams are the default then.
        """
        self.session = session
        self.spec = spec
        self.decoders = Decoders(spec, decoder)

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings, its loaded graph and its language model."""
        task = cls(sessions["model"], bundle.spec(CtcSpeechSpec))
        task.decoders = Decoders.of_bundle(bundle, task.spec)
        return task

    def predict(
        self,
        items: Sequence[AudioLike],
        *,
        chunk_seconds: float | None = None,
        stride_seconds: Stride = None,
        budget: float = BUDGET,
        **options: Unpack[DecodingOptions],
    ) -> list[Transcript]:
        """Write down several recordings, of any length.

        Args:
            items: Each a path, a file's bytes, or (samples, rate).
            chunk_seconds: Cut recordings into windows of this length. None hears them whole up to
                the model's `max_seconds`, and cuts longer ones.
            stride_seconds: How far windows reach into their neighbours, on each side or as
                (left, right); None takes a sixth of the window.
            budget: Largest padded size of one run, in seconds; windows of several recordings
                share runs. A window that is longer runs alone.
            options: Beam search; see `DecodingOptions`.

        Raises:
            InputError: A recording that cannot be read or is too short, or a wrong option.

        Warns:
            DamagedRecordingWarning: A file was readable in part; that part is written down.
        """
        check_items(items)
        how = checked_chunking(chunk_seconds, stride_seconds, self.spec)
        hear = self.hearing(options)
        if not budget > 0:
            raise InputError(f"budget is {budget!r}; it is a number of seconds above 0")
        heard, damage = [hear() for _ in items], dict[int, str]()
        windows = read_windows(items, self.spec, how, damage)
        for run in shared_runs(windows, lambda one: len(one[1].samples), budget * self._rate):
            with stage("run"):
                rows = self.logits([self._normalised(window.samples) for _, window in run])
            with stage("postprocess"):
                for (index, window), logits in zip(run, rows, strict=True):
                    heard[index].add(logits[kept_frames(window, len(logits), self._step)])
        with stage("postprocess"):
            answers = [hearing.finish() for hearing in heard]
        for index in sorted(damage):
            warnings.warn(damage[index], DamagedRecordingWarning, stacklevel=2)
        return answers

    def stream(
        self,
        blocks: Iterable[npt.NDArray[Any]],
        rate: float,
        *,
        chunk_seconds: float | None = None,
        stride_seconds: Stride = None,
        **options: Unpack[DecodingOptions],
    ) -> Iterator[Span]:
        """Write down sound while it arrives.

        Args:
            blocks: Samples that follow each other, each [time] or [time, channel], of any length.
            rate: Samples per second.
            chunk_seconds: Length of the windows; None takes 6 s, or what the model takes. Words
                come once a window is full.
            stride_seconds: As for `predict`.
            options: As for `predict`; n_best is not taken.

        Yields:
            Each word once nothing that follows can change it, the last ones at the end. Together
            they are the words of `predict` with the same options.

        Raises:
            InputError: A wrong option at once; a block that is no sound when it comes.
        """
        check_rate(rate)
        if chunk_seconds is None:
            chunk_seconds = min(LIVE_SECONDS, self.spec.audio.max_seconds)
        how = required_chunking(chunk_seconds, stride_seconds, self.spec)
        return self._stream(live_blocks(blocks, rate, self._rate), how, self.live(options))

    def hearing(self, options: DecodingOptions) -> Callable[[], Heard]:
        """What collects a recording's frames; options as for `predict`."""
        beams = beam_options(options, beam=self.decoders.wanted)
        if beams is None:
            return lambda: GreedyHearing(self.spec)
        decoder = self.decoders.get(beams)
        return lambda: BeamHearing(self.spec, decoder, beams)

    def live(self, options: DecodingOptions) -> Live:
        """What gives words as they come; options as for `stream`.

        Raises:
            InputError: A wrong option.
        """
        beams = beam_options(options, beam=self.decoders.wanted)
        if beams is None:
            return LiveGreedy(self.spec)
        if beams.n_best != 1:
            raise InputError("n_best is not taken by stream(): it gives what is certain")
        return LiveBeams(self.spec, self.decoders.get(beams), beams)

    def preprocess(self, items: Sequence[AudioLike]) -> list[Float]:
        """Whole recordings -> normalised samples at the model's rate, each [time].

        Raises:
            InputError: One that cannot be read, is too short or longer than `max_seconds`.
        """
        return [self._normalised(read_audio(item, self.spec.audio)) for item in items]

    def logits(self, waves: Sequence[Float]) -> list[Float]:
        """Run the graph.

        Args:
            waves: Each [time], normalised; different lengths share a run if masked.

        Returns:
            For each [frame, symbol], its own frames only.
        """
        keys = [0 if self.spec.attention_mask else len(wave) for wave in waves]
        found: dict[int, Float] = {}
        for group in groups(keys):
            outputs = self.session.run(self.feeds([waves[index] for index in group]))
            for index, rows in zip(group, outputs["logits"], strict=True):
                found[index] = rows[: frames_of(len(waves[index]), self.spec)].astype(
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
        """Decode one recording's [frame, symbol] greedily."""
        heard = GreedyHearing(self.spec)
        heard.add(logits)
        return heard.finish()

    def measure(self, item: AudioLike) -> float:
        """Seconds, from the header; infinite where it does not say."""
        return recording_seconds(item, self.spec.audio)

    def example(self) -> AudioLike:
        """One second of silence."""
        rate = self._rate
        return np.zeros(max(rate, self.spec.audio.min_samples), np.float32), rate

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse wrong options before an input is read.

        Raises:
            InputError: What `predict` refuses.
        """
        self.predict([], **options)

    def _stream(self, blocks: Iterator[Float], how: Chunking, live: Live) -> Iterator[Span]:
        for window in cut(blocks, how):
            if frames_of(len(window.samples), self.spec):
                logits = self.logits([self._normalised(window.samples)])[0]
                yield from live.add(logits[kept_frames(window, len(logits), self._step)])
        yield from live.finish()

    @property
    def _rate(self) -> int:
        return self.spec.audio.sampling_rate

    @property
    def _step(self) -> int:
        return self.spec.frame_step

    def _normalised(self, wave: Float) -> Float:
        return normalise(wave) if self.spec.audio.normalize else wave
