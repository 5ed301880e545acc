"""faster-whisper in an environment of its own: greedy, otherwise its defaults."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

from faster_whisper import WhisperModel, decode_audio
from faster_whisper.tokenizer import Tokenizer

from benchmarks.speech.cases import Job, recording
from benchmarks.speech.texts import heard

PRECISIONS = {"fp32": "float32", "int8": "int8"}


def open_engine(job: Job) -> Callable[[], dict[str, float]]:
    """Load the converted checkpoint; all threads for one call."""
    model = WhisperModel(
        str(job.converted),
        device="cpu",
        compute_type=PRECISIONS[job.engine.precision],
        cpu_threads=job.threads,
        num_workers=1,
    )
    if job.case.parts:
        return _parts(model, job)

    def write(path: Path) -> str:
        segments, _ = model.transcribe(
            str(path), language="en", beam_size=1, best_of=1, condition_on_previous_text=False
        )
        return "".join(segment.text for segment in segments)

    return heard(job, write)


def _parts(model: WhisperModel, job: Job) -> Callable[[], dict[str, float]]:
    samples = decode_audio(str(recording(job.case.seconds)))
    tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language="en")
    prompt = [*tokenizer.sot_sequence]

    def call() -> dict[str, float]:
        clock = [time.perf_counter()]
        features = model.feature_extractor(samples)[:, :3000]
        clock.append(time.perf_counter())
        encoded = model.encode(features)
        clock.append(time.perf_counter())
        found = model.model.generate(encoded, [prompt], beam_size=1, return_scores=True)
        clock.append(time.perf_counter())
        job.facts["characters"] = len(found[0].sequences_ids[0])
        spent = [after - before for before, after in itertools.pairwise(clock)]
        return dict(zip(("features", "encoder", "tokens"), spent, strict=True))

    return call
