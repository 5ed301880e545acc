"""onnxtasks: a file in, a text out; the parts of one window for Whisper."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxtasks
from benchmarks.speech.cases import Job, recording
from benchmarks.speech.texts import heard
from onnxtasks.ops.audio import read_audio
from onnxtasks.ops.scores import Float
from onnxtasks.speech.whisper_graphs import GraphHeard


def open_engine(job: Job) -> Callable[[], dict[str, float]]:
    """Load the bundle's variant."""
    variant = f"cpu-{job.engine.precision}"
    task: Any = onnxtasks.load(job.bundle, variant=variant, threads=job.threads)
    if job.case.parts:
        return _parts(task, job)
    whisper = {"language": "en"} if job.case.model == "whisper-base" else {}

    def write(path: Path) -> str:
        text: str = task.predict([path], **whisper)[0].text
        return text

    return heard(job, write)


def _parts(task: Any, job: Job) -> Callable[[], dict[str, float]]:
    samples = read_audio(recording(job.case.seconds), task.spec.audio)
    rate = task.spec.audio.sampling_rate
    seconds = {"encoder": 0.0}
    listen = task.model.listen

    def timed(features: Float) -> GraphHeard:
        start = time.perf_counter()
        found: GraphHeard = listen(features)
        seconds["encoder"] = time.perf_counter() - start
        return found

    task.model = replace(task.model, listen=timed)

    def call() -> dict[str, float]:
        start = time.perf_counter()
        task.mel(samples)
        features = time.perf_counter() - start
        with onnxtasks.timing.record_stages() as stages:
            text = task.predict([(samples, rate)], language="en", temperature=0.0)[0].text
        job.facts["characters"] = len(text)
        tokens = stages["run"] - seconds["encoder"]
        return {"features": features, "encoder": seconds["encoder"], "tokens": tokens}

    return call
