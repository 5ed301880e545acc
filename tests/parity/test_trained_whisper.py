"""Whisper's sequential algorithm with a model that writes words: minutes of speech and silence.

Segments of the example checkpoint, against `WhisperForConditionalGeneration.generate`. What random
checkpoints hardly do happens here: windows end in the middle of sentences, or hold nothing.
"""

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch
import transformers

from onnxtasks.speech.whisper_long import Model
from tests.parity.test_whisper_decoding import (  # noqa: F401 - fixtures are found by their names
    Checkpoint,
    between,
    judged,
    mended,
    second_best,
)
from tests.speech_checkpoints import RATE
from tests.whisper_reader import listen, whisper_spec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECORDINGS = {0: 150, 1: 180, 2: 210}
"""Seed -> seconds."""


class Trained(Checkpoint):
    """The example checkpoint, asked by both sides."""

    def __init__(self):
        folder = EXAMPLES / "checkpoints/whisper"
        kind: Any = transformers.WhisperForConditionalGeneration
        self.model = kind.from_pretrained(folder, attn_implementation="eager").eval()
        self.extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.spec = whisper_spec(self.model, self.extractor)
        self.parts = Model(listen(self.model), self.spec, self.tokenize, self.tokenizer.decode)
        self.task = {"task": "transcribe", "language": "en"}

    def long_features(self, seed):
        """Features of a recording of some minutes."""
        found = self.extractor(
            long_recording(seed, RECORDINGS[seed]),
            sampling_rate=RATE,
            return_tensors="np",
            truncation=False,
            padding="longest",
        )
        return found["input_features"].astype(np.float32)[0]


def clips():
    """The words of the held-out voice, at the model's rate."""
    for path in sorted((EXAMPLES / "inputs").glob("s[op]*s/*")):  # sounds
        yield clip(path)
    for path in sorted((EXAMPLES / "inputs/speech").iterdir()):
        yield clip(path)


def clip(path):
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate, RATE)


def long_recording(seed, seconds):
    """Clips in an order of their own, silences of 0.6 to 3, now and then 9 to 12 s, and noise."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0.0, 0.001, seconds * RATE)
    spoken = list(clips())
    place = int(rng.uniform(0.2, 2.0) * RATE)
    for choice in cycle(rng.permutation(len(spoken))):
        end = place + len(spoken[choice])
        if end > len(samples):
            return samples.astype(np.float32)
        samples[place:end] += spoken[choice] * rng.uniform(0.5, 1.0)
        pause = rng.uniform(9.0, 12.0) if rng.random() < 0.08 else rng.uniform(0.6, 3.0)
        place = end + int(pause * RATE)
    raise AssertionError("a cycle has no end")


@pytest.fixture(scope="module")
def trained():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Trained()
    torch.set_num_threads(threads)


@pytest.mark.parametrize("seed", RECORDINGS)
def test_segments_of_minutes(trained, seed):
    found = trained.compare(trained.long_features(seed))
    windows = RECORDINGS[seed] / trained.extractor.chunk_length
    assert len(found) > 2 * windows
    assert len({one.seek for one in found}) > windows
    words = [one for one in found if min(one.tokens) < trained.spec.end_token]
    assert len(words) > windows
    assert all(one.end > one.start for one in words)


@pytest.mark.parametrize("seed", RECORDINGS)
def test_previous_text_and_thresholds(trained, seed, second_best, mended, judged):  # noqa: F811
    """With thresholds that some texts fail, so that they are sampled."""
    features = trained.long_features(seed)
    thresholds = {
        "temperature": (0.0, 0.4),
        "logprob_threshold": -0.1,
        "compression_ratio_threshold": 1.35,
        "no_speech_threshold": 0.6,
    }
    found = trained.compare(
        features,
        {"condition_on_previous_text": True},
        condition_on_prev_tokens=True,
        **thresholds,
    )
    decided = {(needs, skips) for *_, needs, skips in judged}
    assert decided >= {(False, False), (True, False)}
    assert any(one.window.temperature > 0 for one in found)
