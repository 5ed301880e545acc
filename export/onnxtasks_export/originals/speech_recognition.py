"""What a CTC model is compared on: text, times and posteriors of generated recordings."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace
from transformers.pipelines import AutomaticSpeechRecognitionPipeline

from onnxtasks.ops.audio import AudioLike, read_audio
from onnxtasks.ops.scores import Float, softmax
from onnxtasks.speech.ctc_beams import symbols_for_beams
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.speech_recognition import CtcSpeechSpec, SpeechRecognizer, Transcript
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.specs.language_model import language_model_spec, write_language_model
from onnxtasks_export.specs.speech_recognition import spec, tokenizer_settings

SECONDS = (0.31, 0.5, 0.77, 1.0, 1.43, 2.02, 2.71, 4.0)


def spec_of(checkpoint: Checkpoint) -> CtcSpeechSpec:
    """Read the checkpoint's settings, and those of the decoder that lies beside it.

    Raises:
        ExportError: A file of the decoder is missing or damaged.
        UnsupportedModelError: A setting that the runtime does not reproduce.
    """
    settings = tokenizer_settings(checkpoint.processors["tokenizer"], checkpoint.config.vocab_size)
    extractor = checkpoint.processors["feature_extractor"].to_dict()
    made = spec(extractor, settings, checkpoint.config.to_dict())
    folder = checkpoint.processors.get("decoder")
    if folder is None:
        return made
    part = language_model_spec(folder, symbols_for_beams(made.ctc))
    return replace(made, language_model=part)


def write_decoder(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy the language model of a Wav2Vec2ProcessorWithLM into the bundle, where it has one."""
    source = checkpoint.processors.get("decoder")
    if source is not None:
        write_language_model(source, spec_of(checkpoint).language_model, folder)


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with transformers' AutomaticSpeechRecognitionPipeline, one recording at a time.

    The key holds the text and the times of words and characters, the scores are the posteriors
    [frame, symbol]; the margin is the best symbol's lead at the closest frame.
    """
    extractor = checkpoint.processors["feature_extractor"]
    rate = extractor.sampling_rate
    audio = spec_of(checkpoint).audio
    pipeline = AutomaticSpeechRecognitionPipeline(
        model=checkpoint.model,
        tokenizer=checkpoint.processors["tokenizer"],
        feature_extractor=extractor,
        device="cpu",
    )

    def original(item: AudioLike) -> Answer:
        # Decoding and resampling are the runtime's own: agreement is claimed at the model's rate.
        samples = read_audio(item, audio)
        words, characters = (
            pipeline({"raw": samples, "sampling_rate": rate}, return_timestamps=kind)
            for kind in ("word", "char")
        )
        inputs = extractor(samples, sampling_rate=rate, return_tensors="pt")
        with torch.inference_mode():
            logits = checkpoint.model(**inputs).logits[0].numpy()
        return _answer(words["text"], words["chunks"], characters["chunks"], logits)

    return Comparison(
        samples=lambda rng: recordings(rate, rng),
        original=original,
        bundle=_ask_bundle,
    )


def recordings(rate: int, rng: np.random.Generator) -> list[AudioLike]:
    """Chirps in noise of several colours, in bursts; odd lengths from 0.3 to 4 s.

    Args:
        rate: Samples per second.
        rng: Draws everything but the lengths.
    """
    return [(_recording(int(seconds * rate) | 1, rate, rng), rate) for seconds in SECONDS]


def _recording(samples: int, rate: int, rng: np.random.Generator) -> Float:
    time = np.arange(samples) / rate
    low, high = rng.uniform(80, 0.1 * rate), rng.uniform(0.1, 0.4) * rate
    chirp = np.sin(2 * np.pi * (low * time + (high - low) / (2 * time[-1]) * time**2))
    spectrum = np.fft.rfft(rng.normal(size=samples))
    spectrum /= np.maximum(1, np.arange(len(spectrum))) ** rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, samples)
    bursts = np.sin(2 * np.pi * rng.uniform(1, 6) * time + rng.uniform(0, 6)) > -0.3
    sound: Float = (0.3 * bursts * chirp + 0.1 * noise / noise.std()).astype(np.float32)
    return sound


def _ask_bundle(task: Task[Any, Any], items: Sequence[AudioLike]) -> list[Answer]:
    if not isinstance(task, SpeechRecognizer):
        raise TypeError(f"not a SpeechRecognizer: {type(task).__name__}")
    scores = task.logits(task.preprocess(items))
    # The pipeline has no language model: what that does is compared by itself.
    heard = task.predict(items, decoder="greedy")
    return [
        _from_transcript(transcript, logits)
        for transcript, logits in zip(heard, scores, strict=True)
    ]


def _from_transcript(transcript: Transcript, logits: Float) -> Answer:
    characters = [
        {"text": span.text, "timestamp": (span.start, span.end)} for span in transcript.characters
    ]
    result = transcript.to_dict()
    return _answer(result["text"], result["chunks"], characters, logits)


def _answer(
    text: str, words: list[dict[str, Any]], characters: list[dict[str, Any]], logits: Float
) -> Answer:
    key = json.dumps([text, *([_row(chunk) for chunk in chunks] for chunks in (words, characters))])
    posteriors = softmax(logits)
    best = np.partition(posteriors, -2, axis=-1)[:, -2:]  # [frame, 2]
    return Answer(key, posteriors, float((best[:, 1] - best[:, 0]).min()))


def _row(chunk: dict[str, Any]) -> list[Any]:
    start, end = chunk["timestamp"]
    return [chunk["text"], float(start), float(end)]
