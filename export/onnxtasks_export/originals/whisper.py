"""The original Whisper: `generate` of transformers, one recording at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from onnxtasks.errors import InputError
from onnxtasks.generation.reader import Int
from onnxtasks.ops.audio import AudioLike, read_audio
from onnxtasks.ops.scores import Float, softmax
from onnxtasks.speech.transcript import Transcript
from onnxtasks.speech.whisper_spec import WhisperSpec
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.whisper_speech import WhisperRecognizer
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison, largest_difference
from onnxtasks_export.originals.generation import Path, along
from onnxtasks_export.originals.speech_recognition import recordings
from onnxtasks_export.specs import whisper

GREEDY: dict[str, Any] = {"do_sample": False, "num_beams": 1}
BEAMS: dict[str, Any] = {"do_sample": False, "num_beams": 3}
KEPT: dict[str, Any] = {
    "return_dict_in_generate": None,
    "temperature": 0.0,
    "logprob_threshold": -np.inf,
}
"""What `generate` is asked with so that it gives the segments of all windows, with their scores: of
a dictionary it is asked for, those of the last window remain."""
ONCE: dict[str, Any] = {
    "temperature": 0.0,
    "compression_ratio_threshold": None,
    "logprob_threshold": None,
    "no_speech_threshold": None,
}
"""What a bundle is asked with so that a text is written once, as `generate` does by default."""
Segment: TypeAlias = tuple[str, float, float]
"""Text, start and end in seconds."""


def spec_of(checkpoint: Checkpoint) -> WhisperSpec:
    """Read the checkpoint's settings.

    Raises:
        UnsupportedModelError: A setting that the runtime does not reproduce.
    """
    return whisper.spec(
        checkpoint.processors["feature_extractor"].to_dict(),
        whisper.special_tokens(checkpoint.processors["tokenizer"]),
        checkpoint.config.to_dict(),
        checkpoint.model.generation_config.to_dict(),
    )


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with `generate`: texts and segments by name, probabilities along the greedy text.

    The key holds the greedy text, that of three beams, and the segments with their times, of a
    recording that fills the window (behind a shorter one the original goes on in the padding). The
    scores are the probabilities of all words after each token of the original's greedy text for the
    recording as it is; the margin is the closest decision of the greedy texts; the detail is what
    the alignment heads look at.
    """
    asked = Asked(checkpoint.model, checkpoint.processors, spec_of(checkpoint))
    return Comparison(
        samples=lambda rng: samples_of(asked.spec, rng),
        original=asked.original,
        bundle=asked.bundle,
        far=farthest,
    )


@dataclass(frozen=True)
class Asked:
    """An original and what it was asked; a bundle is asked the same."""

    model: Any
    processors: Mapping[str, Any]
    spec: WhisperSpec
    paths: dict[bytes, Path] = field(default_factory=dict)
    """A recording's samples -> what the original wrote."""

    @property
    def timed(self) -> bool:
        """Whether times can be asked for: not of checkpoints of before transformers 4.31."""
        return hasattr(self.model.generation_config, "no_timestamps_token_id")

    def heard(self, item: AudioLike) -> Float:
        """Samples [time] of at most a window."""
        samples = read_audio(item, self.spec.audio)[: self.spec.mel.samples]
        return np.asarray(samples, np.float32)

    def original(self, item: AudioLike) -> Answer:
        """Ask the original."""
        samples = self.heard(item)
        path = self.paths[samples.tobytes()] = self.path(samples)
        logits, alignment = original_along(self.model, self.features(samples), path, self.spec)
        ways = [(GREEDY, False), (BEAMS, False), *([(GREEDY, True)] if self.timed else [])]
        found = [self.segments(samples, kind, timed) for kind, timed in ways]
        texts = ["".join(text for text, _, _ in spans) for spans, _ in found[:2]]
        sure = min(found[0][1], found[-1][1])
        return answer(texts, found[2][0] if self.timed else [], logits, sure, alignment)

    def path(self, samples: Float) -> Path:
        """What the original writes for one window, greedily."""
        how = {"return_timestamps": False, "force_unique_generate_call": True, **self.asked()}
        found = generated(self.model, self.features(samples), **how, **GREEDY)
        tokens = found.sequences[0].numpy()
        start = len(tokens) - len(found.scores)
        return Path(tokens[:start], tokens[start:])

    def segments(
        self, samples: Float, kind: Mapping[str, Any], timed: bool
    ) -> tuple[list[Segment], float]:
        """The original's segments of a recording that fills the window, and the closest decision.

        Where a text has times although nobody asked for them, the next window begins there.
        """
        features = self.features(filled(samples, self.spec))
        how = {"return_timestamps": timed, "return_segments": True, **KEPT, **self.asked()}
        found = generated(self.model, features, **how, **kind)["segments"][0]
        spans = [
            (self.text(one["tokens"]), float(one["start"]), float(one["end"])) for one in found
        ]
        decided = [] if kind is BEAMS else [margin(one["result"]["scores"]) for one in found]
        # Segments without words are not in a transcript.
        return [one for one in spans if one[0].strip()], min(decided, default=np.inf)

    def asked(self) -> dict[str, Any]:
        """What both are asked with.

        Where an old generation config does not name <|notimestamps|>, the original takes times for
        text, which random weights write although nobody asked for them: there they are forbidden.
        """
        asked = options(self.spec)
        if not hasattr(self.model.generation_config, "no_timestamps_token_id"):
            times = range(self.spec.timestamp_begin, self.spec.words)
            asked["suppress_tokens"] = [*self.spec.suppress_tokens, *times]
        return asked

    def features(self, samples: Float) -> torch.Tensor:
        """Features of one window [1, band, frame], by the original's own extractor."""
        extractor = self.processors["feature_extractor"]
        found = extractor(samples, sampling_rate=extractor.sampling_rate, return_tensors="pt")
        features: torch.Tensor = found.input_features
        return features

    def text(self, tokens: torch.Tensor) -> str:
        """The text of tokens, without times: the original cuts them out of the text itself."""
        said = tokens[tokens < self.spec.timestamp_begin]
        return str(self.processors["tokenizer"].decode(said, skip_special_tokens=True))

    def bundle(self, task: Task[Any, Any], items: Sequence[AudioLike]) -> list[Answer]:
        """Ask a bundle's task."""
        if not isinstance(task, WhisperRecognizer):
            raise TypeError(f"not a WhisperRecognizer: {type(task).__name__}")
        waves = [self.heard(item) for item in items]
        whole = [filled(wave, self.spec) for wave in waves]
        greedy, best = (self.transcripts(task, whole, num_beams=beams) for beams in (1, 3))
        segments: list[list[Segment]] = [[] for _ in waves]
        if self.timed:
            found = self.transcripts(task, whole, timestamps="segment", num_beams=1)
            segments = [
                [(span.text, span.start, span.end) for span in one.segments] for one in found
            ]
        scored = read_along(task, waves, [self.paths[wave.tobytes()] for wave in waves])
        answers = zip(greedy, best, segments, scored, strict=True)
        return [
            answer([one.text, other.text], spans, logits, np.inf, alignment)
            for one, other, spans, (logits, alignment) in answers
        ]

    def transcripts(
        self, task: WhisperRecognizer, waves: Sequence[Float], **how: Any
    ) -> list[Transcript]:
        """What a bundle writes down; without times where nothing else is said."""
        rate = self.spec.audio.sampling_rate
        given: dict[str, Any] = {"timestamps": "none"} | ONCE | self.asked() | how
        return task.predict([(wave, rate) for wave in waves], **given)


def options(spec: WhisperSpec) -> dict[str, Any]:
    """What both are asked with: a multilingual model in a language, not what it detects."""
    if not spec.multilingual:
        return {}
    return {"language": spec.language or next(iter(spec.languages)), "task": "transcribe"}


def samples_of(spec: WhisperSpec, rng: np.random.Generator) -> list[AudioLike]:
    """Recordings of at most a window."""
    found = recordings(spec.audio.sampling_rate, rng)
    cut: list[AudioLike] = []
    for item in found:
        if not isinstance(item, tuple):
            raise InputError("a generated recording is (samples, rate)")
        cut.append((item[0][: spec.mel.samples], item[1]))
    return cut


def filled(samples: Float, spec: WhisperSpec) -> Float:
    """The recording again and again until the window is full."""
    return np.resize(samples, spec.mel.samples)


def generated(model: Any, features: torch.Tensor, **settings: Any) -> Any:
    """Ask the original."""
    asked = {"return_dict_in_generate": True, "output_scores": True, **settings}
    old = not hasattr(model.generation_config, "lang_to_id")  # they refuse a language and a task
    asked = {k: v for k, v in asked.items() if not (old and k in ("language", "task"))}
    with torch.inference_mode():
        return model.generate(features, **asked)


def margin(scores: Sequence[torch.Tensor]) -> float:
    """The lead of the best word, at the closest decision."""
    rows = torch.stack([row.reshape(-1) for row in scores])
    best = rows.softmax(-1).topk(2).values
    return float((best[:, 0] - best[:, 1]).min())


def tokens_of(path: Path) -> Int:
    """All that the decoder reads: the last token is not among it."""
    return np.concatenate([path.prompt, path.written])[:-1]


def original_along(
    model: Any, features: torch.Tensor, path: Path, spec: WhisperSpec
) -> tuple[Float, Float | None]:
    """The original's logits [token, word] before each token of a path, and what heads look at.

    Returns:
        The logits, and the weights [head, row, source] of the alignment heads, where it has some.
    """
    ids = torch.from_numpy(tokens_of(path))[None]
    with eager(model), torch.inference_mode():
        found = model(features, decoder_input_ids=ids, output_attentions=True)
    logits: Float = found.logits[0, len(path.prompt) - 1 :].numpy()
    heads = [found.cross_attentions[layer][0, head] for layer, head in spec.alignment_heads]
    return logits, torch.stack(heads).numpy() if heads else None


@contextmanager
def eager(model: Any) -> Iterator[None]:
    """Let a model give its attention, which only this implementation of it does."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def read_along(
    task: WhisperRecognizer, waves: Sequence[Float], paths: Sequence[Path]
) -> list[tuple[Float, Float | None]]:
    """What `along` gives, by a bundle's graphs; all recordings in one run."""
    heard = task.model.listen(np.stack([task.mel(wave) for wave in waves]))
    windows = range(len(waves))
    reader = heard.reader(windows, max(len(path.written) for path in paths))
    logits = along(reader, paths)
    if not task.spec.alignment_heads:
        return [(found, None) for found in logits]
    weights = heard.attention(windows, [tokens_of(path) for path in paths])
    return list(zip(logits, weights, strict=True))


def answer(
    texts: Sequence[str],
    segments: Sequence[Segment],
    logits: Float,
    sure: float,
    alignment: npt.NDArray[np.float32] | None,
) -> Answer:
    """One answer, in the form in which two are compared; times to a thousandth of a second."""
    spans = [[text.strip(), round(start, 3), round(end, 3)] for text, start, end in segments]
    key = json.dumps([[text.strip() for text in texts], spans])
    return Answer(key=key, scores=softmax(logits), margin=sure, detail=alignment)


def farthest(one: Answer, other: Answer) -> float:
    """How far scores are apart, and how far what the alignment heads look at."""
    apart = largest_difference(one, other)
    if one.detail is None and other.detail is None:
        return apart
    return max(apart, float(np.abs(one.detail - other.detail).max()))
