"""Models whose graph gives logits of every class for every place of a grid."""

import numpy as np
import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.session import Array
from onnxtasks.tasks.image_segmentation import ImageSegmentationSpec
from onnxtasks_export.attention import plain_copy
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes

SIZES = ((2, 64, 96), (1, 129, 70), (5, 83, 111), (3, 160, 64))
"""(batch, height, width) at which a graph is captured and checked, where they are not fixed."""


class SemanticGraph(nn.Module):
    """Pixel values -> logits, by the model as it is."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Turn float32 [batch, channel, height, width] into logits [batch, class, h, w]."""
        logits: torch.Tensor = self.model(pixel_values=pixel_values).logits
        return logits


def semantic_graph(checkpoint: Checkpoint, spec: ImageSegmentationSpec) -> Graph:
    """Build the graph of a segmenter whose image processor makes one size.

    Raises:
        UnsupportedModelError: As `pixel_graph`.
    """
    module = SemanticGraph(plain_copy(checkpoint.model))
    return pixel_graph(checkpoint, spec, module, logits_axes(spec), dynamic=False)


def logits_axes(spec: ImageSegmentationSpec) -> dict[str, Axes]:
    """What a semantic graph gives; the grid's size follows from the tensor's."""
    return {"logits": ("batch", len(spec.labels), "logits_height", "logits_width")}


def pixel_graph(
    checkpoint: Checkpoint,
    spec: ImageSegmentationSpec,
    module: nn.Module,
    outputs: dict[str, Axes],
    *,
    dynamic: bool,
) -> Graph:
    """Declare a module from pixel values to `outputs`.

    Args:
        checkpoint: Whose model it is.
        spec: Its settings.
        module: What is captured.
        outputs: Names and axes of what it gives.
        dynamic: Whether it is exact at any size from `spec.min_size` on; height and width are
            those of the image processor otherwise.

    Raises:
        UnsupportedModelError: It would have to take any size and cannot, or does not take the size
            that its image processor makes, or has other labels than its config.
    """
    channels, fixed = spec.image.channel_count, spec.image.fixed_size
    if not dynamic and fixed is None:
        raise UnsupportedModelError(
            f"{checkpoint.source}: its image processor makes tensors of any size, which the graph "
            f"of {checkpoint.config.model_type} does not take. Set a fixed size in "
            "preprocessor_config.json"
        )
    check_size(checkpoint, module.eval(), (1, channels, *(fixed or SIZES[0][1:])), outputs)

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        size = (sizes["height"], sizes["width"]) if dynamic else fixed or ()
        shape = (sizes["batch"], channels, *size)
        return {"pixel_values": rng.standard_normal(shape, dtype=np.float32)}

    axes: Axes = ("batch", channels, *(("height", "width") if dynamic else fixed or ()))
    return Graph(
        module=module,
        inputs={"pixel_values": axes},
        outputs=outputs,
        feeds=feeds,
        sizes=any_sizes(spec) if dynamic else tuple({"batch": batch} for batch in (2, 1, 5)),
    )


def any_sizes(spec: ImageSegmentationSpec) -> tuple[Sizes, ...]:
    """The sizes of a graph that takes any: some odd ones, the smallest, and the processor's."""
    smallest = spec.min_size
    sizes = [*SIZES, (1, smallest, smallest), (1, *(spec.image.fixed_size or SIZES[0][1:]))]
    return tuple(
        {"batch": batch, "height": max(height, smallest), "width": max(width, smallest)}
        for batch, height, width in dict.fromkeys(sizes)
    )


def check_size(
    checkpoint: Checkpoint, module: nn.Module, shape: tuple[int, ...], outputs: dict[str, Axes]
) -> None:
    """Ask the model itself whether it takes tensors of this shape and gives what is declared."""
    try:
        with torch.no_grad():
            given = module(torch.zeros(shape))
    except (RuntimeError, ValueError) as error:
        raise UnsupportedModelError(
            f"{checkpoint.source}: the model refuses what its image processor makes, pixel values "
            f"of {list(shape)}, and so does the original: {error}"
        ) from error
    tensors = given if isinstance(given, tuple) else (given,)
    for (name, axes), tensor in zip(outputs.items(), tensors, strict=True):
        sizes = list(tensor.shape)
        if any(
            size != axis for size, axis in zip(sizes, axes, strict=True) if isinstance(axis, int)
        ):
            raise UnsupportedModelError(
                f"{checkpoint.source}: {name} of {sizes} where the config says {list(axes)}"
            )
