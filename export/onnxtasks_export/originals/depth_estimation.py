"""The original depth estimator: transformers' pipeline, one image at a time."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from PIL import Image
from transformers import DepthEstimationPipeline

from onnxtasks.ops.image_reading import ImageLike, read_image
from onnxtasks.ops.scores import Float
from onnxtasks.tasks.base import Task
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison, largest_difference
from onnxtasks_export.originals.image_classification import textured
from onnxtasks_export.specs.depth_estimation import is_metric

SIZES = (  # width, height, mode; GLPN takes at least 32
    (640, 427, "RGB"),
    (167, 251, "RGB"),
    (97, 61, "RGB"),
    (45, 38, "RGB"),
    (128, 128, "RGB"),
    (129, 257, "L"),
    (190, 111, "RGBA"),
    (300, 75, "P"),
)
FAINT = 0.1
"""Relative depths below this share of the map's largest are compared with that share: around 0,
where the model's last ReLU cuts, no number has relative precision."""


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with the checkpoint's pipeline and its Pillow image processor."""
    pipeline = DepthEstimationPipeline(
        model=checkpoint.model,
        image_processor=checkpoint.processors["image_processor"],
        device="cpu",
    )

    def samples(rng: np.random.Generator) -> Sequence[Image.Image]:
        return [textured(rng, width, height).convert(mode) for width, height, mode in SIZES]

    def original(item: ImageLike) -> Answer:
        # Also what transformers does not read: bytes, 16-bit files.
        inputs = pipeline.preprocess(read_image(item))
        found = pipeline.postprocess(pipeline.forward(inputs))
        return depth_answer(found["predicted_depth"].numpy())

    def bundle(task: Task[Any, Any], items: Sequence[Any]) -> list[Answer]:
        return [depth_answer(found.depth) for found in task.predict(items)]

    faint = 0.0 if is_metric(checkpoint.config.to_dict()) else FAINT
    return Comparison(
        samples=samples,
        original=original,
        bundle=bundle,
        moved=partial(typical_change, faint=faint),
        far=partial(largest_change, faint=faint),
    )


def depth_answer(depth: Float) -> Answer:
    """A map as an answer; what a user acts on is all of it, so its size alone is the key."""
    height, width = depth.shape
    return Answer(key=f"{width} x {height}", scores=depth, margin=float("inf"))


def largest_change(one: Answer, other: Answer, faint: float = 0.0) -> float:
    """How far a pixel is away at most, as a share of its depth.

    Args:
        one: The original's answer.
        other: The bundle's.
        faint: Share of the largest depth; a smaller depth counts as so large.
    """
    largest_difference(one, other)  # refuses another shape
    return float(_changes(one.scores, other.scores, faint).max())


def typical_change(one: Answer, other: Answer, faint: float = 0.0) -> float:
    """How far pixels are away on average, as shares of their depths, at most 1."""
    return min(float(_changes(one.scores, other.scores, faint).mean()), 1.0)


def _changes(one: Float, other: Float, faint: float) -> Float:
    sizes = np.abs(one)
    smallest = max(faint * float(sizes.max()), 1e-9)
    shares: Float = np.abs(one - other) / np.maximum(sizes, smallest)
    return shares
