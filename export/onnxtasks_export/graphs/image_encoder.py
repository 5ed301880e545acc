"""Encoders of pictures, with a classification head or without (ViT, ConvNeXT and others)."""

from typing import Any

import numpy as np
import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.image import ImageSpec
from onnxtasks.session import Array
from onnxtasks.tasks.image_classification import ImageClassificationSpec
from onnxtasks.tasks.image_feature_extraction import ImageFeatureExtractionSpec
from onnxtasks_export.attention import plain_copy
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes
from onnxtasks_export.originals.image_feature_extraction import vectors_of

ANY_SIZE = ("convnext", "convnextv2", "mobilenet_v2", "regnet", "resnet")
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


class ImageEmbedderGraph(nn.Module):
    """Pixel values -> vectors and hidden states."""

    def __init__(self, model: nn.Module, pooling: str) -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn [batch, channel, height, width] into [batch, dim] and [batch, token, dim]."""
        return vectors_of(self.model(pixel_values), self.pooling)


def image_graph(checkpoint: Checkpoint, spec: ImageClassificationSpec) -> Graph:
    """Build the graph of an image classifier.

    Height and width are fixed where the image processor makes one size.

    Raises:
        UnsupportedModelError: The model does not take the size that its processor makes (the
            original fails too), or would have to take any size and cannot.
    """
    module = ImageClassifierGraph(plain_copy(checkpoint.model)).eval()
    logits = try_size(checkpoint, module, spec.image)
    if tuple(logits.shape) != (1, len(spec.labels)):
        raise UnsupportedModelError(
            f"{checkpoint.source}: logits of {list(logits.shape)} for {len(spec.labels)} labels"
        )
    return _graph(module, spec.image, {"logits": ("batch", len(spec.labels))})


def image_embedder_graph(checkpoint: Checkpoint, spec: ImageFeatureExtractionSpec) -> Graph:
    """Build the graph of an image embedder; sizes and errors as `image_graph`."""
    module = ImageEmbedderGraph(plain_copy(checkpoint.model), spec.pooling).eval()
    vectors, hidden = try_size(checkpoint, module, spec.image)
    # How many tokens a picture has follows from its size.
    tokens = hidden.shape[1] if spec.image.fixed_size else "token"
    outputs: dict[str, Axes] = {
        "embeddings": ("batch", vectors.shape[1]),
        "last_hidden_state": ("batch", tokens, hidden.shape[2]),
    }
    return _graph(module, spec.image, outputs)


def try_size(checkpoint: Checkpoint, module: nn.Module, image: ImageSpec) -> Any:
    """Ask the model itself whether it takes the tensors that its image processor makes.

    Raises:
        UnsupportedModelError: It does not, or would have to take any size and cannot.
    """
    kind = checkpoint.config.model_type
    if image.fixed_size is None and kind not in ANY_SIZE:
        raise UnsupportedModelError(
            f"{checkpoint.source}: its image processor makes tensors of any size; supported for "
            f"{', '.join(ANY_SIZE)}, not for {kind}. Set a fixed size or a crop in "
            "preprocessor_config.json"
        )
    shape = (1, image.channel_count, *(image.fixed_size or (64, 96)))
    try:
        with torch.no_grad():
            return module(torch.zeros(shape))
    except (RuntimeError, ValueError) as error:
        raise UnsupportedModelError(
            f"{checkpoint.source}: the model refuses what its image processor makes, pixel values "
            f"of {list(shape)}, and so does the original: {error}"
        ) from error


def _graph(module: nn.Module, image: ImageSpec, outputs: dict[str, Axes]) -> Graph:
    channels, fixed = image.channel_count, image.fixed_size

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
        outputs=outputs,
        feeds=feeds,
        sizes=shapes,
    )
