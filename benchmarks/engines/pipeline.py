"""The transformers pipeline as users call it; pictures through the Pillow image processor.

For "vision" the pipeline's own parts are called, so that the time of each is known.
"""

from typing import Any

import torch
from transformers import AutoImageProcessor, pipeline

from benchmarks.cases import first_line
from benchmarks.engines import Call, Job
from benchmarks.engines.vision import original_call

TASKS = {
    "text": "text-classification",
    "image": "image-classification",
    "speech": "automatic-speech-recognition",
}


def open_engine(job: Job) -> Call:
    """Load the checkpoint into its pipeline, fp32 on the CPU."""
    torch.set_num_threads(job.threads)
    if job.case.kind == "vision":
        return original_call(job)
    options: dict[str, Any] = {}
    if job.case.kind == "image":
        options["image_processor"] = AutoImageProcessor.from_pretrained(
            job.files.checkpoint, backend="pil"
        )
    ask = pipeline(
        TASKS[job.case.kind],
        model=str(job.files.checkpoint),
        device="cpu",
        dtype=torch.float32,
        **options,
    )
    path = str(job.files.item)
    text = first_line(job.files.item) if job.case.kind == "text" else ""

    def call() -> dict[str, float]:
        if job.case.kind == "speech":
            ask(_read(path))
        else:
            ask(text or path)
        return {}

    return call


def _read(path: str) -> dict[str, Any]:
    """Read a recording in-process: given a path, the pipeline would start ffmpeg for each call."""
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32")
    return {"raw": samples, "sampling_rate": rate}
