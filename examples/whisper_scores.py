"""How well a Whisper writes down the held-out voice: words, and times in long recordings."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command_data import plan_commands
from speech_data import HELD_OUT_VOICE, RATE, Speech, plan, record
from timed_speech import speak_timed
from train_speech import TEST_SIZE, word_errors
from training import write_metrics
from transformers import WhisperForConditionalGeneration, WhisperProcessor
from whisper_data import Recording, long_recording

LONG_SECONDS = (150, 180, 210)
NEAR = 0.5  # seconds between two starts that are of the same sentence
TASK = {"language": "en", "task": "transcribe", "return_timestamps": True}


@dataclass(frozen=True)
class Segment:
    """What is written down, with its times in seconds."""

    text: str
    start: float
    end: float


def transcribe(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor, waves: Sequence[np.ndarray]
) -> list[str]:
    """Write down recordings of one window each, greedily."""
    texts: list[str] = []
    for start in range(0, len(waves), 50):
        inputs: Any = processor(
            list(waves[start : start + 50]), sampling_rate=RATE, return_tensors="pt"
        )
        with torch.inference_mode():
            ids = model.generate(inputs["input_features"], **TASK)
        texts += [text.strip() for text in processor.batch_decode(ids, skip_special_tokens=True)]
    return texts


def transcribe_long(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor, wave: np.ndarray
) -> list[Segment]:
    """Write down a recording of several windows, in the order they follow each other."""
    inputs: Any = processor(
        wave, sampling_rate=RATE, return_tensors="pt", truncation=False, padding="longest"
    )
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Any = model.generate(inputs["input_features"], return_segments=True, **TASK)
    tokenizer: Any = processor.tokenizer
    return [
        Segment(
            tokenizer.decode(one["tokens"], skip_special_tokens=True).strip(),
            float(one["start"]),
            float(one["end"]),
        )
        for one in found["segments"][0]
    ]


def word_error_rate(pairs: Sequence[tuple[str, str]]) -> float:
    """Word errors divided by the number of words said, of texts said and heard."""
    errors = sum(word_errors(said, heard) for said, heard in pairs)
    return errors / sum(len(said.split()) for said, _ in pairs)


def held_out_speech() -> Speech:
    """The recordings that `train_speech` measures with."""
    return record(plan(TEST_SIZE, 1000, HELD_OUT_VOICE))


def long_recordings() -> list[Recording]:
    """Commands in the held-out voice, of several minutes each."""
    return [
        long_recording(speak_timed(plan_commands(100, 4000 + place)), seconds, place)
        for place, seconds in enumerate(LONG_SECONDS)
    ]


def start_errors(recording: Recording, segments: Sequence[Segment]) -> list[float]:
    """Seconds from the start of each sentence to the nearest start that was written down."""
    starts = np.array([one.start for one in segments if one.text] or [np.inf])
    return [float(np.abs(starts - start).min()) for _, start, _ in recording.sentences]


def quick_score(model: WhisperForConditionalGeneration, processor: WhisperProcessor) -> str:
    """A line to read during training."""
    test = held_out_speech()
    heard = transcribe(model, processor, test.waves[:50])
    rate = word_error_rate(list(zip(test.texts, heard, strict=False)))
    return f"WER {rate:.4f} held-out voice; {test.texts[0]!r} is {heard[0]!r}"


def long_scores(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor
) -> dict[str, object]:
    """Words and times of the long recordings."""
    pairs, errors = [], []
    for recording in long_recordings():
        segments = transcribe_long(model, processor, recording.wave)
        said = " ".join(text for text, _, _ in recording.sentences)
        pairs.append((said, " ".join(one.text for one in segments)))
        errors += start_errors(recording, segments)
    near = [error for error in errors if error <= NEAR]
    return {
        "seconds": LONG_SECONDS,
        "word error rate": round(word_error_rate(pairs), 4),
        "sentences": len(errors),
        f"starts within {NEAR} s": len(near),
        "mean error of those, seconds": round(float(np.mean(near)), 4) if near else None,
    }


def save_with_scores(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    folder: Path,
    trained: dict[str, int],
) -> None:
    """Write the checkpoint with metrics.json."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    test = held_out_speech()
    heard = transcribe(model, processor, test.waves)
    metrics = {
        "metric": "word error rate",
        "value": round(word_error_rate(list(zip(test.texts, heard, strict=True))), 4),
        "held_out": f"espeak-ng voice {HELD_OUT_VOICE}, not heard in training",
        "held_out_size": len(heard),
        "long": long_scores(model, processor),
        **trained,
    }
    write_metrics(folder, metrics)
