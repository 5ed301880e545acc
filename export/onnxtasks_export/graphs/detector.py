"""Object detectors as a graph: pixel values in, class logits and boxes out."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.session import Array
from onnxtasks.tasks.object_detection import ObjectDetectionSpec
from onnxtasks_export.attention import PLAIN
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes
from onnxtasks_export.graphs.detector_parts import (
    fold_batch_norms,
    replace_deformable,
    replace_positions,
    traceable,
)

SIZES = ((2, 96, 128), (1, 97, 131), (3, 64, 75), (5, 150, 80))
"""Batch, height and width; no multiples of 32 among the checked ones."""
CLEAR = 3e-5
"""Scores further apart than this are ordered alike by every engine."""
TRIES = 24


class DetectorGraph(nn.Module):
    """Pixel values -> logits and boxes of the last decoder layer."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Ask for pictures without padding.

        Args:
            pixel_values: float32 [batch, channel, height, width].

        Returns:
            Logits [batch, query, class], and boxes [batch, query, 4] of centre x, centre y, width
            and height as shares of the picture.
        """
        with traceable(self.model):
            found = self.model(pixel_values=pixel_values)
        return found.logits, found.pred_boxes


def detector_graph(checkpoint: Checkpoint, spec: ObjectDetectionSpec) -> Graph:
    """Build the graph of an object detector; the checkpoint's model stays as it is.

    Height and width are fixed where the image processor makes one size.

    Raises:
        UnsupportedModelError: The model does not take the size that its processor makes (the
            original fails too), or has other outputs than a detector.
    """
    module = DetectorGraph(unmasked(checkpoint.model)).eval()
    channels, fixed = spec.image.channel_count, spec.image.fixed_size
    queries, classes = probe(checkpoint, module, (1, channels, *(fixed or SIZES[0][1:])), spec)

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        shape = (channels, *(fixed or (sizes["height"], sizes["width"])))
        pictures = [clear_picture(module.model, shape, rng) for _ in range(sizes["batch"])]
        return {"pixel_values": np.stack(pictures)}

    axes: Axes = ("batch", channels, *(fixed or ("height", "width")))
    shapes: tuple[Sizes, ...] = tuple(
        {"batch": batch} if fixed else {"batch": batch, "height": height, "width": width}
        for batch, height, width in (SIZES[:3] if fixed else SIZES)
    )
    return Graph(
        module=module,
        inputs={"pixel_values": axes},
        outputs={"logits": ("batch", queries, classes), "boxes": ("batch", queries, 4)},
        feeds=feeds,
        sizes=shapes,
    )


def clear_picture(model: Any, shape: Sequence[int], rng: np.random.Generator) -> Array:
    """A picture that a two-stage detector decides clearly, float32 [channel, height, width].

    Such a detector takes the best cells of the picture as its queries, in the order of their
    scores. Where two scores differ by less than rounding does, two engines order them otherwise,
    and outputs that are both right differ query by query.
    """
    tried: list[tuple[float, Array]] = []
    while len(tried) < TRIES:
        made = picture(shape, rng)
        with torch.no_grad():
            outputs = model(pixel_values=torch.from_numpy(made[None]))
        gap = closest_choice(outputs, first_class=hasattr(model.config, "two_stage"))
        if gap > CLEAR:
            return made
        tried.append((gap, made))
    return max(tried, key=lambda one: one[0])[1]


def closest_choice(outputs: Any, *, first_class: bool) -> float:
    """The smallest gap between scores of neighbours among the cells that become queries.

    Args:
        outputs: Of the model, for one picture.
        first_class: Whether the first class ranks them (Deformable DETR), else the best of all.
    """
    seen, queries = getattr(outputs, "enc_outputs_class", None), outputs.logits.shape[1]
    if seen is None:
        return float("inf")
    scores = seen[0, :, 0] if first_class else seen[0].amax(-1)
    return float(-scores.sort(descending=True).values[: queries + 1].diff().max())


def picture(shape: Sequence[int], rng: np.random.Generator) -> Array:
    """Rectangles of several brightnesses and fine noise, about as an image processor makes it."""
    channels, height, width = shape
    coarse = rng.normal(0, 1.5, (channels, 6, 7))
    rows, columns = np.arange(height) * 6 // height, np.arange(width) * 7 // width
    values = coarse[:, rows][:, :, columns] + rng.normal(0, 0.5, (channels, height, width))
    return np.asarray(values, np.float32)


def unmasked(original: nn.Module) -> Any:
    """A copy of a detector that knows no padding, attends plainly and has no batch norms."""
    model: Any = copy.deepcopy(original)
    if getattr(model, "_supports_attention_backend", False):
        model.set_attn_implementation(PLAIN)
    else:
        # Its attention is plain already; that the name has no mask function makes masks None.
        model.config._attn_implementation = PLAIN
    fold_batch_norms(model)
    replace_positions(model)
    if model.config.model_type == "deformable_detr":
        replace_deformable(model)
    return model.eval()


def probe(
    checkpoint: Checkpoint, module: nn.Module, shape: tuple[int, ...], spec: ObjectDetectionSpec
) -> tuple[int, int]:
    """Ask the model itself whether it takes tensors of this shape; its queries and classes."""
    try:
        with torch.no_grad():
            logits, boxes = module(torch.zeros(shape))
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise UnsupportedModelError(
            f"{checkpoint.source}: the model refuses what its image processor makes, pixel values "
            f"of {list(shape)}, or does not answer as a detector: {error}"
        ) from error
    queries, classes = logits.shape[1:]
    named = classes - 1 if spec.scoring == "softmax" else classes
    if tuple(boxes.shape) != (1, queries, 4) or named != len(spec.labels):
        raise UnsupportedModelError(
            f"{checkpoint.source}: logits of {list(logits.shape)} and boxes of "
            f"{list(boxes.shape)} for {len(spec.labels)} labels"
        )
    return queries, classes
