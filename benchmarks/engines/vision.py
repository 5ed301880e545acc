"""What surrounds a model that sees in the original: its image processor and post-processing."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from transformers import AutoImageProcessor
from transformers.image_utils import load_image

from benchmarks.engines import Call, Job
from benchmarks.engines.torch_model import model_class

Infer = Callable[[Mapping[str, torch.Tensor]], Any]
Sizes = Sequence[tuple[int, int]]


def original_call(job: Job) -> Call:
    """The original: processor, torch model, post-processing."""
    auto_class = model_class(job.case, job.files.checkpoint)
    model = auto_class.from_pretrained(job.files.checkpoint, dtype=torch.float32).eval()
    return surrounded(job, lambda inputs: model(**inputs))


def surrounded(job: Job, infer: Infer) -> Call:
    """A call from files to results, with the seconds of its stages.

    Args:
        job: What is answered.
        infer: The processor's tensors -> outputs with the original's names.
    """
    processor: Any = AutoImageProcessor.from_pretrained(job.files.checkpoint, backend="pil")
    paths = [str(job.files.item)] * job.case.batch
    answer = ANSWERS[job.case.task]

    def call() -> dict[str, float]:
        with torch.inference_mode():
            start = time.perf_counter()
            images = [load_image(path) for path in paths]
            inputs = processor(images, return_tensors="pt")
            ready = time.perf_counter()
            outputs = infer(inputs)
            ran = time.perf_counter()
            answer(processor, outputs, [(image.height, image.width) for image in images])
            end = time.perf_counter()
        return {"preprocess": ready - start, "run": ran - ready, "postprocess": end - ran}

    return call


def outputs_like(arrays: Mapping[str, Any]) -> Any:
    """A graph's outputs under the names of the original's.

    Args:
        arrays: Output name -> array.
    """
    tensors = {ORIGINAL_NAMES.get(name, name): torch.from_numpy(a) for name, a in arrays.items()}
    return SimpleNamespace(**tensors)


ORIGINAL_NAMES = {
    "boxes": "pred_boxes",
    "class_logits": "class_queries_logits",
    "mask_logits": "masks_queries_logits",
}
"""Output of a graph of ours -> the original's, where it differs."""


def _labels(processor: Any, outputs: Any, sizes: Sizes) -> Any:
    return outputs.logits.softmax(-1).topk(5)


def _boxes(processor: Any, outputs: Any, sizes: Sizes) -> Any:
    return processor.post_process_object_detection(outputs, threshold=0.5, target_sizes=sizes)


def _segments(processor: Any, outputs: Any, sizes: Sizes) -> Any:
    if not hasattr(processor, "post_process_panoptic_segmentation"):
        return processor.post_process_semantic_segmentation(outputs, target_sizes=sizes)
    return processor.post_process_panoptic_segmentation(
        outputs,
        threshold=0.9,
        mask_threshold=0.5,
        overlap_mask_area_threshold=0.5,
        label_ids_to_fuse=set(),
        target_sizes=sizes,
    )


def _depth(processor: Any, outputs: Any, sizes: Sizes) -> Any:
    return processor.post_process_depth_estimation(outputs, sizes)


ANSWERS: dict[str, Callable[[Any, Any, Sizes], Any]] = {
    "depth-estimation": _depth,
    "image-classification": _labels,
    "image-segmentation": _segments,
    "object-detection": _boxes,
}
"""Task -> the original's post-processing, with the defaults of its pipeline."""
