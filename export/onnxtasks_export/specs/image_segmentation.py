"""Image processor and config -> ImageSegmentationSpec."""

from collections.abc import Mapping
from typing import Any

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.image import Size
from onnxtasks.tasks.image_segmentation import (
    ImageSegmentationSpec,
    QueryHead,
    SemanticHead,
    Subtask,
)
from onnxtasks_export.specs.image import image_spec
from onnxtasks_export.specs.labels import ordered_labels

QUERY_MODELS = ("detr", "mask2former", "maskformer")
"""Model types that give classes and masks of queries; the others give logits of a grid."""

MASK_SIZE = Size(height=384, width=384)
"""What `Mask2FormerImageProcessorPil` resizes masks to, whatever the checkpoint."""


def spec(
    processor: Mapping[str, Any], config: Mapping[str, Any], subtasks: tuple[Subtask, ...]
) -> ImageSegmentationSpec:
    """Translate the image processor's and the model's settings.

    Args:
        processor: As `image_spec`.
        config: As `image_spec`.
        subtasks: What the image processor can make of the model's answers, in the order in which
            the pipeline of transformers 5.23 tries them.

    Raises:
        UnsupportedModelError: The image processor makes no segments.
    """
    kind = config["model_type"]
    if not subtasks:
        raise UnsupportedModelError(
            f"image processor {processor.get('image_processor_type')} makes no segments of what "
            f"{kind} answers"
        )
    return ImageSegmentationSpec(
        image=image_spec(processor, config),
        labels=ordered_labels(config),
        head=_query_head(kind, subtasks) if kind in QUERY_MODELS else _semantic_head(kind),
        min_size=smallest_size(config),
    )


def _query_head(kind: str, subtasks: tuple[Subtask, ...]) -> QueryHead:
    return QueryHead(
        subtasks=subtasks,
        mask_size=MASK_SIZE if kind == "mask2former" else None,
        ranks_pairs=kind != "detr",
    )


def _semantic_head(kind: str) -> SemanticHead:
    return SemanticHead(resized_to_input=kind == "upernet")


def smallest_size(config: Mapping[str, Any]) -> int:
    """Smallest height and width of a tensor that the model takes, in pixels."""
    if config["model_type"] == "segformer":
        return next(size for size in range(1, 4096) if _reducible(size, config))
    if config["model_type"] == "upernet":
        return 32  # every level halves the one before, and the first is a quarter
    return 1


def _reducible(size: int, config: Mapping[str, Any]) -> bool:
    """Whether every stage of a SegFormer has at least one key and value."""
    stages = zip(config["patch_sizes"], config["strides"], config["sr_ratios"], strict=True)
    for patch, stride, ratio in stages:
        size = (size + 2 * (patch // 2) - patch) // stride + 1
        if size < ratio:
            return False
    return True
