"""Encoders with an image-classification head (ViT, ConvNeXT and others)."""

import copy

import numpy as np
import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.session import Array
from onnxtasks.tasks.image_classification import ImageClassificationSpec
from onnxtasks_export.attention import PLAIN
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes

ANY_SIZE = ("convnext", "convnextv2", "regnet", "resnet")
"""Model types whose captured graph is exact at any height and width: plain convolutions."""


class ImageClassifierGraph(nn.Module):
    """Pixel values -> logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Turn float32 [batch, channel, height, width] into logits [batch, class]."""
        logits: torch.Tensor = self.model(pixel_values=pixel_values).logits
        return logits


def image_graph(checkpoint: Checkpoint, spec: ImageClassificationSpec) -> Graph:
    """Build the graph of an image classifier.

    Height and width are fixed where the image processor makes one size.

    Raises:
        UnsupportedModelError: The model does not take the size that its processor makes (the
            original fails too), or would have to take any size and cannot.
    """
    model = copy.deepcopy(checkpoint.model)  # the original keeps its own attention
    if getattr(model, "_supports_attention_backend", False):
        model.set_attn_implementation(PLAIN)
    module = ImageClassifierGraph(model).eval()
    channels, fixed = spec.image.channel_count, spec.image.fixed_size
    kind = checkpoint.config.model_type
    if fixed is None and kind not in ANY_SIZE:
        raise UnsupportedModelError(
            f"{checkpoint.source}: its image processor makes tensors of any size; supported for "
            f"{', '.join(ANY_SIZE)}, not for {kind}. Set a fixed size or a crop in "
            "preprocessor_config.json"
        )
    check_size(checkpoint, module, (1, channels, *(fixed or (64, 96))), len(spec.labels))

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        height, width = fixed or (sizes["height"], sizes["width"])
        shape = (sizes["batch"], channels, height, width)
        return {"pixel_values": rng.standard_normal(shape, dtype=np.float32)}

    axes: Axes = ("batch", channels, *(fixed or ("height", "width")))
    shapes: tuple[Sizes, ...] = tuple(
        {"batch": batch} if fixed else {"batch": batch, "height": height, "width": width}
        for batch, height, width in ((2, 64, 96), (1, 97, 50), (5, 33, 71))
    )
    return Graph(
        module=module,
        inputs={"pixel_values": axes},
        outputs={"logits": ("batch", len(spec.labels))},
        feeds=feeds,
        sizes=shapes,
    )


def check_size(
    checkpoint: Checkpoint, module: nn.Module, shape: tuple[int, ...], labels: int
) -> None:
    """Ask the model itself whether it takes tensors of this shape."""
    try:
        with torch.no_grad():
            logits = module(torch.zeros(shape))
    except (RuntimeError, ValueError) as error:
        raise UnsupportedModelError(
            f"{checkpoint.source}: the model refuses what its image processor makes, pixel values "
            f"of {list(shape)}, and so does the original: {error}"
        ) from error
    if tuple(logits.shape) != (1, labels):
        raise UnsupportedModelError(
            f"{checkpoint.source}: logits of {list(logits.shape)} for {labels} labels"
        )
