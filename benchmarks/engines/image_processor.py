"""The original's image processor with its Pillow backend, fed as its pipeline feeds it."""

import torch
from transformers import AutoImageProcessor
from transformers.image_utils import load_image

from benchmarks.engines import Call, Job


def open_engine(job: Job) -> Call:
    """Load the processor; a call turns the file into the model's input.

    Arrays, not tensors: the conversion would only cost the original more.
    """
    torch.set_num_threads(job.threads)
    processor = AutoImageProcessor.from_pretrained(job.files.checkpoint, backend="pil")
    path = str(job.files.item)

    def call() -> dict[str, float]:
        processor(load_image(path), return_tensors="np")
        return {}

    return call
