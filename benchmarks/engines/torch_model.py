"""The original's forward pass alone, on ready tensors."""

import numpy as np
import torch
import transformers

from benchmarks.engines import Call, Job

AUTO_CLASSES = {
    "sentences": "AutoModel",
    "text": "AutoModelForSequenceClassification",
    "image": "AutoModelForImageClassification",
    "speech": "AutoModelForCTC",
}


def open_engine(job: Job) -> Call:
    """Load the checkpoint, fp32, with the attention that transformers picks by itself."""
    torch.set_num_threads(job.threads)
    auto_class = getattr(transformers, AUTO_CLASSES[job.case.kind])
    model = auto_class.from_pretrained(job.files.checkpoint, dtype=torch.float32).eval()
    feeds = {name: torch.from_numpy(value) for name, value in np.load(job.files.feeds).items()}

    def call() -> dict[str, float]:
        with torch.inference_mode():
            model(**feeds)
        return {}

    return call
