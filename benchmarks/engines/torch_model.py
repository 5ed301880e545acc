"""The original's forward pass alone, on ready tensors."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks.cases import Case
from benchmarks.engines import Call, Job

AUTO_CLASSES = {
    "sentences": "AutoModel",
    "text": "AutoModelForSequenceClassification",
    "image": "AutoModelForImageClassification",
    "speech": "AutoModelForCTC",
    "image-classification": "AutoModelForImageClassification",
    "object-detection": "AutoModelForObjectDetection",
    "image-segmentation": "AutoModelForUniversalSegmentation",
    "semantic-segmentation": "AutoModelForSemanticSegmentation",
    "depth-estimation": "AutoModelForDepthEstimation",
}
"""Kind, or the task where the kind does not say it -> what loads the model."""


def model_class(case: Case, checkpoint: Path) -> Any:
    """The transformers class of a case's model."""
    config = transformers.AutoConfig.from_pretrained(checkpoint)
    name = case.task or case.kind
    semantic = config.architectures[0].endswith("ForSemanticSegmentation")
    return getattr(transformers, AUTO_CLASSES["semantic-segmentation" if semantic else name])


def open_engine(job: Job) -> Call:
    """Load the checkpoint, fp32, with the attention that transformers picks by itself."""
    torch.set_num_threads(job.threads)
    auto_class = model_class(job.case, job.files.checkpoint)
    model = auto_class.from_pretrained(job.files.checkpoint, dtype=torch.float32).eval()
    feeds = {name: torch.from_numpy(value) for name, value in np.load(job.files.feeds).items()}

    def call() -> dict[str, float]:
        with torch.inference_mode():
            model(**feeds)
        return {}

    return call
