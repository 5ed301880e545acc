"""Audio classification: a recording -> labels with scores, of all of it or over time."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import msgspec
import numpy as np

from onnxtasks.bundle import Bundle
from onnxtasks.errors import DamagedRecordingWarning
from onnxtasks.ops.audio import AudioLike, AudioSpec, normalise, pad
from onnxtasks.ops.audio_windows import Window, cut_windows, shared_runs, window_samples
from onnxtasks.ops.fbank import Fbank, FbankSpec
from onnxtasks.ops.labels import (
    Function,
    Label,
    apply_function,
    best_labels,
    check_function,
    check_top_k,
)
from onnxtasks.ops.scores import Float
from onnxtasks.session import Feeds, Session
from onnxtasks.speech.log_mel import LogMel
from onnxtasks.speech.recording import open_recording
from onnxtasks.speech.whisper_spec import MelSpec
from onnxtasks.tasks.base import Task, check_items, groups
from onnxtasks.timing import stage, staged

TOP_K = 5  # of transformers' audio-classification pipeline
BUDGET = 30.0  # seconds of one run: those of a window


class RawSamples(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="samples"
):
    """The model hears samples (Wav2Vec2 and its kin)."""

    attention_mask: bool
    """Whether the graph takes a mask, so that recordings of different lengths share a run.

    Without one (a group norm over time sees the padding) only equal lengths do.
    """


class LogMelFeatures(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="log_mel"
):
    """The model hears Whisper's log-mel features of a window, to which recordings are padded."""

    mel: MelSpec


class AudioClassificationSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """Settings of an audio classifier."""

    audio: AudioSpec
    """`max_seconds` is the most that the model hears at once."""
    window_seconds: float
    """A longer recording is cut into windows of this length."""
    hears: RawSamples | FbankSpec | LogMelFeatures
    """What becomes of the samples before the graph."""
    labels: tuple[str, ...]
    """The name of each class id."""
    function: Function
    """What turns logits into scores: softmax for one label, sigmoid for several, none for
    regression."""

    def __post_init__(self) -> None:
        """Refuse a model without classes, and one whose features are of another length."""
        if not self.labels:
            raise ValueError("labels is empty; a classifier has at least one class")
        audio, kind = self.audio, self.hears
        if not audio.min_samples <= self.window_seconds * audio.sampling_rate or (
            self.window_seconds > audio.max_seconds
        ):
            raise ValueError(
                f"window_seconds is {self.window_seconds}; the model hears {audio.min_samples} "
                f"samples to {audio.max_seconds} s at once"
            )
        if not isinstance(kind, RawSamples):
            samples = kind.samples if isinstance(kind, FbankSpec) else kind.mel.samples
            if round(audio.max_seconds * audio.sampling_rate) != samples:
                raise ValueError(
                    f"audio.max_seconds is {audio.max_seconds}; the features are made of "
                    f"{samples} samples"
                )


@dataclass(frozen=True, slots=True)
class TimedLabels:
    """What a part of a recording is."""

    start: float
    """Seconds from the start of the recording."""
    end: float
    labels: list[Label]
    """Best first."""

    def to_dict(self) -> dict[str, Any]:
        """Start, end and labels, as JSON can hold them."""
        labels = [label.to_dict() for label in self.labels]
        return {"start": self.start, "end": self.end, "labels": labels}


Plan: TypeAlias = tuple[int, int]  # samples of a window, and from its start to that of the next


class AudioClassifier(Task[AudioLike, list[Label]]):
    """Says what is heard in a recording of any length."""

    name = "audio-classification"
    unit = "seconds"
    budget = BUDGET

    def __init__(self, session: Session, spec: AudioClassificationSpec) -> None:
        """Take a loaded graph.

        Args:
            session: "input_values" float32 [batch, samples], with "attention_mask" int64
                [batch, samples] where the spec says so; or [batch, frame, band] of filter bank
                features; or "input_features" [batch, band, frame] -> "logits" [batch, class].
            spec: The model's settings.
        """
        self.session = session
        self.spec = spec
        self.features = _features(spec)

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its graph "model"."""
        return cls(sessions["model"], bundle.spec(AudioClassificationSpec))

    def predict(
        self,
        items: Sequence[AudioLike],
        *,
        top_k: int | None = TOP_K,
        function_to_apply: Function | None = None,
        window_seconds: float | None = None,
        step_seconds: float | None = None,
    ) -> list[list[Label]]:
        """Label each recording, best label first.

        A recording longer than a window is cut into windows of this length; its scores are the
        means of theirs.

        Args:
            items: Each a path, a file's bytes, or (samples, rate).
            top_k: How many labels of each; None, or more than there are, for all.
            function_to_apply: "softmax", "sigmoid" or "none" (bare logits); None takes the
                model's own.
            window_seconds: How much is heard at once; None takes the model's own length: that of
                its features, or 30 s.
            step_seconds: From the start of a window to that of the next; None: no overlap.

        Raises:
            InputError: A recording that cannot be read or is too short, or a wrong option.
        """
        check_items(items)
        check_top_k(top_k)
        check_function(function_to_apply)
        plan = self.plan(window_seconds, step_seconds)
        sums = np.zeros((len(items), len(self.spec.labels)))
        counts = np.zeros((len(items), 1))
        for window, scores in self._scored(items, plan, function_to_apply):
            sums[window.item] += scores
            counts[window.item] += 1
        with stage("postprocess"):
            means = (sums / counts).astype(np.float32)
            return [best_labels(row, self.spec.labels, top_k) for row in means]

    def over_time(
        self,
        item: AudioLike,
        window_seconds: float,
        step_seconds: float | None = None,
        *,
        top_k: int | None = TOP_K,
        function_to_apply: Function | None = None,
    ) -> list[TimedLabels]:
        """Label each window of a recording.

        Args:
            item: A path, a file's bytes, or (samples, rate).
            window_seconds: How much is heard at once.
            step_seconds: From the start of a window to that of the next; None: no overlap. The
                last window ends with the recording, so it may start sooner.
            top_k: As for `predict`.
            function_to_apply: As for `predict`.

        Raises:
            InputError: As `predict`.
        """
        check_top_k(top_k)
        check_function(function_to_apply)
        plan = self.plan(window_seconds, step_seconds)
        rate, labels = self.spec.audio.sampling_rate, self.spec.labels
        return [
            TimedLabels(
                window.start / rate,
                (window.start + len(window.samples)) / rate,
                best_labels(scores, labels, top_k),
            )
            for window, scores in self._scored([item], plan, function_to_apply)
        ]

    def plan(self, window_seconds: float | None, step_seconds: float | None) -> Plan:
        """Check how recordings are to be cut."""
        usual = self.spec.window_seconds
        return window_samples(window_seconds, step_seconds, usual, self.spec.audio)

    def _scored(
        self, items: Sequence[AudioLike], plan: Plan, function: Function | None
    ) -> Iterator[tuple[Window, Float]]:
        """Each window with its scores [class], in order; no more than a run of them is held."""
        for run in shared_runs(
            staged("preprocess", self.windows(items, plan)),
            lambda window: self.seconds(len(window.samples)),
            BUDGET,
        ):
            scores = apply_function(self.logits(run), function or self.spec.function)
            yield from zip(run, scores, strict=True)

    def windows(self, items: Sequence[AudioLike], plan: Plan) -> Iterator[Window]:
        """The windows of recordings, read as they are asked for."""
        for index, item in enumerate(items):
            for start, samples in cut_windows(self.blocks(item), *plan):
                yield Window(index, start, samples)

    def blocks(self, item: AudioLike) -> Iterator[Float]:
        """A recording in parts [time], at the model's rate; warns of one that is damaged."""
        with open_recording(item, self.spec.audio) as recording:
            yield from recording.blocks()
            if recording.damage is not None:
                message = f"{recording.damage}; the answer is about what comes before"
                warnings.warn(message, DamagedRecordingWarning, stacklevel=2)

    def logits(self, windows: Sequence[Window]) -> Float:
        """Run the graph: [window, class]."""
        with stage("preprocess"):
            waves = [self.preprocess(window.samples) for window in windows]
        hears = self.spec.hears
        masked = not isinstance(hears, RawSamples) or hears.attention_mask
        logits = np.zeros((len(waves), len(self.spec.labels)), np.float32)
        for group in groups([0 if masked else len(wave) for wave in waves]):
            with stage("preprocess"):
                feeds = self.feeds([waves[index] for index in group])
            with stage("run"):
                logits[group] = self.session.run(feeds)["logits"]
        return logits

    def preprocess(self, samples: Float) -> Float:
        """A window's samples [time] -> what the graph gets of it."""
        if self.features is not None:
            return self.features(samples)
        return normalise(samples) if self.spec.audio.normalize else samples

    def feeds(self, waves: Sequence[Float]) -> Feeds:
        """Put windows from `preprocess` into the graph's inputs."""
        hears = self.spec.hears
        if isinstance(hears, FbankSpec):
            return {"input_values": np.stack(waves)}
        if isinstance(hears, LogMelFeatures):
            return {"input_features": np.stack(waves)}
        values, mask = pad(waves, self.spec.audio.padding_value)
        if hears.attention_mask:
            return {"input_values": values, "attention_mask": mask}
        return {"input_values": values}

    def seconds(self, samples: int) -> float:
        """What the graph computes on for a window; features are always of the full length."""
        full = self.spec.audio.max_seconds if self.features is not None else 0.0
        return max(full, samples / self.spec.audio.sampling_rate)

    def measure(self, item: AudioLike) -> float:
        """Seconds, from the header; at least those that features are padded to.

        A recording whose header does not say how long it is counts as a whole run.
        """
        with open_recording(item, self.spec.audio) as recording:
            known = self.budget if recording.seconds is None else recording.seconds
        return max(self.seconds(0), known)

    def example(self) -> AudioLike:
        """One second of silence."""
        rate = self.spec.audio.sampling_rate
        return np.zeros(max(rate, self.spec.audio.min_samples), np.float32), rate


def _features(spec: AudioClassificationSpec) -> Callable[[Float], Float] | None:
    """What makes features of samples; None where the graph hears samples."""
    hears = spec.hears
    if isinstance(hears, FbankSpec):
        return Fbank(hears)
    return LogMel(hears.mel) if isinstance(hears, LogMelFeatures) else None
