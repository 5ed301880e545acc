"""What the graphs of Mask2Former and MaskFormer share: backbones, inputs and outputs."""

from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.session import Array
from onnxtasks.tasks.image_segmentation import ImageSegmentationSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes
from onnxtasks_export.graphs.swin import swin_features
from onnxtasks_export.quiet import quiet

SWIN = ("maskformer-swin", "swin")
CONVOLUTIONS = ("resnet",)
"""Backbones that are exact at any size as they are."""
TRIES = 8
SHAPES = ((2, 67, 98), (1, 64, 64), (1, 65, 97), (3, 45, 33))
"""Batch, height and width at which a graph is captured (the first) and checked."""


class DecidingModule(Protocol):
    """A module that decides something by comparing numbers."""

    def closest(self, pixel_values: torch.Tensor) -> float:
        """How near a decision inside the module comes to flipping by a rounding error."""


class FeatureMaps(nn.Module):
    """A backbone of transformers, handing out its feature maps."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """[batch, channel, height, width] -> the feature maps, of the same axes."""
        return tuple(self.backbone(pixel_values).feature_maps)


def feature_maps(checkpoint: Checkpoint, backbone: Any) -> nn.Module:
    """Build the graph's form of a backbone.

    Raises:
        UnsupportedModelError: It is of another kind, or fits one size only.
    """
    kind = backbone.config.model_type
    if kind in SWIN:
        return swin_features(backbone)
    if kind in CONVOLUTIONS:
        return FeatureMaps(backbone)
    raise UnsupportedModelError(
        f"{checkpoint.source}: its backbone is {kind!r}; supported: "
        f"{', '.join(sorted((*SWIN, *CONVOLUTIONS)))}"
    )


def query_graph(module: Any, spec: ImageSegmentationSpec, queries: int) -> Graph:
    """Build the graph of a module that predicts classes and masks of queries.

    Args:
        module: In evaluation mode; a `DecidingModule`.
        spec: Of the task.
        queries: How many there are.
    """
    channels, fixed = spec.image.channel_count, spec.image.fixed_size

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        height, width = fixed or (sizes["height"], sizes["width"])
        shape = (sizes["batch"], channels, height, width)
        return {"pixel_values": clear_pixels(module, shape, rng)}

    shapes: tuple[Sizes, ...] = tuple(
        {"batch": batch} if fixed else {"batch": batch, "height": height, "width": width}
        for batch, height, width in (SHAPES[:2] if fixed else SHAPES)
    )
    pixel_axes: Axes = ("batch", channels, *(fixed or ("height", "width")))
    return Graph(
        module=module,
        inputs={"pixel_values": pixel_axes},
        outputs={
            "class_logits": ("batch", queries, len(spec.labels) + 1),
            "mask_logits": ("batch", queries, "mask_height", "mask_width"),
        },
        feeds=feeds,
        sizes=shapes,
    )


def clear_pixels(module: DecidingModule, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Random pixels at which no decision inside the module hangs on a rounding error.

    Mask2Former compares a million logits with 0, and each decides whether a query sees a pixel. Two
    engines round differently: a logit within 1e-6 of 0 is a tie, and says nothing about a graph.
    """
    tried = [rng.standard_normal(shape, dtype=np.float32) for _ in range(TRIES)]
    with quiet(), torch.no_grad():
        return max(tried, key=lambda pixels: module.closest(torch.from_numpy(pixels)))
