"""transformers: the pipeline as documented, greedy; Whisper's window by its parts."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, pipeline

from benchmarks.speech.cases import Job, recording
from benchmarks.speech.texts import heard
from onnxtasks.speech.ctc_windows import CHUNK_SECONDS

WHOLE_SECONDS = 120
"""What a bundle hears whole."""
GREEDY = {"num_beams": 1, "language": "en", "task": "transcribe"}


def open_engine(job: Job) -> Callable[[], dict[str, float]]:
    """Load the checkpoint, fp32 on the CPU."""
    torch.set_num_threads(job.threads)
    if job.case.parts:
        return _parts(job)
    # The windows that a bundle hears of long recordings, so that the texts are the same.
    options: dict[str, Any] = (
        {"chunk_length_s": CHUNK_SECONDS} if job.case.seconds > WHOLE_SECONDS else {}
    )
    if job.case.model == "whisper-base":
        options = {"return_timestamps": True, "generate_kwargs": GREEDY}
    ask: Any = pipeline(
        "automatic-speech-recognition",
        model=str(job.checkpoint),
        device="cpu",
        dtype=torch.float32,
    )

    def write(path: Path) -> str:
        # Given a path, the pipeline would start ffmpeg each time.
        samples, rate = soundfile.read(path, dtype="float32")
        text: str = ask({"raw": samples, "sampling_rate": rate}, **options)["text"]
        return text

    return heard(job, write)


def _parts(job: Job) -> Callable[[], dict[str, float]]:
    extractor = WhisperFeatureExtractor.from_pretrained(job.checkpoint)
    model: Any = WhisperForConditionalGeneration.from_pretrained(
        job.checkpoint, dtype=torch.float32
    ).eval()
    samples, rate = soundfile.read(recording(job.case.seconds), dtype="float32")

    def call() -> dict[str, float]:
        clock = [time.perf_counter()]
        with torch.inference_mode():
            features = extractor(samples, sampling_rate=rate, return_tensors="pt").input_features
            clock.append(time.perf_counter())
            encoded = model.get_encoder()(features)
            clock.append(time.perf_counter())
            ids = model.generate(encoder_outputs=encoded, return_timestamps=True, **GREEDY)
            clock.append(time.perf_counter())
        job.facts["characters"] = int(ids.shape[-1])
        spent = [after - before for before, after in itertools.pairwise(clock)]
        return dict(zip(("features", "encoder", "tokens"), spent, strict=True))

    return call
