"""Depth estimators: GLPN, DPT, Depth Anything."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.session import Array
from onnxtasks.tasks.depth_estimation import DepthEstimationSpec
from onnxtasks_export.attention import PLAIN
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes

SHAPES = ((2, 4, 6), (1, 5, 3), (3, 1, 2), (2, 7, 7))
"""Batch, height and width, in the smallest sizes that the model takes."""


class DepthGraph(nn.Module):
    """Pixel values -> depth."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Turn float32 [batch, channel, height, width] into depth [batch, rows, columns]."""
        depth: torch.Tensor = self.model(pixel_values=pixel_values).predicted_depth
        return depth


class AnySizeHead(nn.Module):
    """Depth Anything's head, whose sizes stay free when it is traced.

    Source: `DepthAnythingDepthEstimationHead`, which makes numbers of them with int().
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(
        self, hidden_states: list[torch.Tensor], patch_height: int, patch_width: int
    ) -> torch.Tensor:
        """Features [batch, channel, h, w], the last counts -> depth [batch, height, width]."""
        head = self.head
        features = head.conv1(hidden_states[head.head_in_index])
        size = (patch_height * head.patch_size, patch_width * head.patch_size)
        features = nn.functional.interpolate(features, size, mode="bilinear", align_corners=True)
        depth = head.conv3(head.activation1(head.conv2(features)))
        return (head.activation2(depth) * head.max_depth).squeeze(1)


class AnySizeFusion(nn.Module):
    """A fusion layer of DPT that resizes its residual always, which is nothing at equal sizes.

    Source: `DPTFeatureFusionLayer`, which asks for the shapes while it is traced.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self, hidden_state: torch.Tensor, residual: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Features [batch, channel, h, w] and those of the next finer level -> [.., 2h, 2w]."""
        layer = self.layer
        if residual is not None:
            residual = nn.functional.interpolate(
                residual, hidden_state.shape[2:], mode="bilinear", align_corners=False
            )
            hidden_state = hidden_state + layer.residual_layer1(residual)
        doubled = nn.functional.interpolate(
            layer.residual_layer2(hidden_state),
            scale_factor=2,
            mode="bilinear",
            align_corners=layer.align_corners,
        )
        fused: torch.Tensor = layer.projection(doubled)
        return fused


class SummedTaps(nn.Module):
    """A convolution with one output channel: one number for each tap, then their sum.

    The engine computes 8 or 16 output channels at once, so a 3 x 3 convolution with a single one
    is mostly wasted; of GLPN at 480 x 640 the last one is a tenth of the time. With its 9 taps as
    channels of a 1 x 1 convolution, and their sum as a second one, it takes a quarter.
    """

    def __init__(self, convolution: nn.Module) -> None:
        """Take over the weights of a convolution of stride 1, without groups or dilation."""
        super().__init__()
        rows, columns = convolution.kernel_size
        taps = rows * columns
        self.taps = nn.Conv2d(convolution.in_channels, taps, 1, bias=False)
        self.sum = nn.Conv2d(taps, 1, (rows, columns), padding=convolution.padding)
        with torch.no_grad():
            self.taps.weight.copy_(convolution.weight[0].flatten(1).T[..., None, None])
            self.sum.weight.copy_(torch.eye(taps).reshape(1, taps, rows, columns))
            self.sum.bias.copy_(convolution.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[batch, channel, h, w] -> [batch, 1, h, w]; zeros around stay zeros in between."""
        summed: torch.Tensor = self.sum(self.taps(features))
        return summed


def depth_graph(checkpoint: Checkpoint, spec: DepthEstimationSpec) -> Graph:
    """Build the graph of a depth estimator.

    Height and width are fixed where the image processor makes one size.

    Raises:
        UnsupportedModelError: The model would have to take any size and cannot, or does not take
            what its processor makes (the original fails too).
    """
    model = copy.deepcopy(checkpoint.model)  # the original keeps its own attention
    attends = getattr(model, "backbone", None) or model
    if getattr(attends, "_supports_attention_backend", False):
        attends.set_attn_implementation(PLAIN)
    fixed, channels = spec.image.fixed_size, spec.image.channel_count
    if not fixed:
        free_sizes(checkpoint, model)
    if checkpoint.config.model_type == "glpn":
        model.head.head[-1] = SummedTaps(model.head.head[-1])
    module = DepthGraph(model).eval()
    step = spec.min_size
    shapes = [(batch, *(fixed or (step * h, step * w))) for batch, h, w in SHAPES]
    rows, columns = depth_size(checkpoint, module, (1, channels, *shapes[0][1:]))

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        height, width = fixed or (sizes["height"], sizes["width"])
        shape = (sizes["batch"], channels, height, width)
        return {"pixel_values": rng.standard_normal(shape, dtype=np.float32)}

    axes: Axes = ("batch", channels, *(fixed or ("height", "width")))
    return Graph(
        module=module,
        inputs={"pixel_values": axes},
        outputs={"predicted_depth": ("batch", *((rows, columns) if fixed else ("row", "column")))},
        feeds=feeds,
        sizes=tuple(
            {"batch": batch} if fixed else {"batch": batch, "height": height, "width": width}
            for batch, height, width in shapes
        ),
    )


def free_sizes(checkpoint: Checkpoint, model: Any) -> None:
    """Change what would freeze sizes when it is traced, in place.

    Raises:
        UnsupportedModelError: Not known to be exact at any size.
    """
    config = checkpoint.config
    backbone = getattr(getattr(config, "backbone_config", None), "model_type", None)
    change = FREE_SIZES.get((config.model_type, backbone))
    if change is None:
        name = config.model_type + (f" with a {backbone} backbone" if backbone else "")
        raise UnsupportedModelError(
            f"{checkpoint.source}: its image processor makes tensors of many sizes, and {name} is "
            "exported for one size only. Set keep_aspect_ratio to false and a size, and do_pad to "
            "false, in preprocessor_config.json"
        )
    change(model)


def _free_depth_anything(model: Any) -> None:
    model.head = AnySizeHead(model.head)


def _free_dpt(model: Any) -> None:
    stage = model.neck.fusion_stage
    stage.layers = nn.ModuleList(AnySizeFusion(layer) for layer in stage.layers)


FREE_SIZES: Mapping[tuple[str, str | None], Callable[[Any], None]] = {
    ("depth_anything", "dinov2"): _free_depth_anything,
    ("dpt", "dinov2"): _free_dpt,
    ("glpn", None): lambda model: None,
}
"""Model type and backbone -> what makes its captured graph exact at any size."""


def depth_size(
    checkpoint: Checkpoint, module: nn.Module, shape: tuple[int, ...]
) -> tuple[int, int]:
    """Ask the model itself how large its depth of such a tensor is: rows, columns."""
    try:
        with torch.no_grad():
            depth = module(torch.zeros(shape))
    except (RuntimeError, ValueError) as error:
        raise UnsupportedModelError(
            f"{checkpoint.source}: the model refuses what its image processor makes, pixel values "
            f"of {list(shape)}, and so does the original: {error}"
        ) from error
    return int(depth.shape[1]), int(depth.shape[2])
