"""What a detector's graph does otherwise than its original, and why that changes no answer.

All pictures of a run have one size and no padding: every pixel mask is of ones, and the sizes of
feature maps have to stay axes of the graph.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import signature
from itertools import pairwise
from typing import Any

import torch
from torch import nn

SWITCH = "TRANSFORMERS_DISABLE_TORCH_CHECK"


@contextmanager
def traceable(model: nn.Module) -> Iterator[None]:
    """Let the exporter follow a detector of transformers.

    RT-DETR and D-FINE take len() of a tensor, which bakes its batch size in. Version 2 and D-FINE
    also check tensors of their own, for which ONNX has no operator; transformers' own switch turns
    that off. Chains of clamps become invalid graphs in the exporter (onnxscript 0.7.2).
    """
    modeling = vars(sys.modules[type(model).__module__])
    original, before = modeling.get("inverse_sigmoid"), os.environ.get(SWITCH)
    modeling["len"], os.environ[SWITCH] = length, "1"
    if original is not None:
        modeling["inverse_sigmoid"] = inverse_sigmoid
    try:
        yield
    finally:
        del modeling["len"], os.environ[SWITCH]
        if original is not None:
            modeling["inverse_sigmoid"] = original
        if before is not None:
            os.environ[SWITCH] = before


def inverse_sigmoid(x: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """`inverse_sigmoid` of transformers' detectors, with one clamp each way instead of two."""
    return torch.log(x.clamp(eps, 1.0) / (1.0 - x).clamp(eps, 1.0))


def length(value: Any) -> int:
    """As len(), but of a tensor the first axis of the graph."""
    return value.shape[0] if isinstance(value, torch.Tensor) else len(value)


MASKS = {"mask", "pixel_mask"}
"""How position embeddings call the pixel mask; RT-DETR's have none."""


def fold_batch_norms(model: nn.Module) -> int:
    """Put batch norms into the convolutions before them, and say how many.

    Transformers' frozen batch norms would be a Mul and an Add after every convolution. All
    backbones that detectors have (ResNet, RT-DETR's ResNet, HGNet, those of timm) register a norm
    right after its convolution.
    """
    count = 0
    for parent in list(model.modules()):
        children = list(parent.named_children())
        for (at, conv), (after, norm) in pairwise(children):
            if is_batch_norm(norm) and isinstance(conv, nn.Conv2d):
                setattr(parent, at, folded(conv, norm))
                setattr(parent, after, nn.Identity())
                count += 1
    return count


def is_batch_norm(module: nn.Module) -> bool:
    """Whether it is torch's batch norm or a frozen one of transformers."""
    frozen = type(module).__name__.endswith("FrozenBatchNorm2d")
    return frozen or type(module) is nn.BatchNorm2d  # timm's subclasses have an activation too


def folded(conv: nn.Conv2d, norm: Any) -> nn.Conv2d:
    """A convolution that also does what the norm after it does; computed in float64."""
    # Frozen ones have no eps of their own: 1e-5, as torch's default.
    spread = (norm.running_var.double() + getattr(norm, "eps", 1e-5)).rsqrt()
    factor = spread * (1.0 if norm.weight is None else norm.weight.double())
    shift = -norm.running_mean.double() * factor
    shift = shift if norm.bias is None else shift + norm.bias.double()
    if conv.bias is not None:
        shift = shift + conv.bias.double() * factor
    made = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        padding_mode=conv.padding_mode,
    )
    with torch.no_grad():
        made.weight.copy_(conv.weight.double() * factor[:, None, None, None])
        if made.bias is not None:
            made.bias.copy_(shift)
    return made.eval()


class UnmaskedPositions(nn.Module):
    """Position embeddings of a feature map without padding, computed once for a run."""

    def __init__(self, positions: nn.Module) -> None:
        super().__init__()
        self.positions = positions

    def forward(
        self,
        feature_map: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        *,
        shape: Sequence[int] = (),
        **settings: Any,
    ) -> torch.Tensor:
        """As the original: by the map's shape (DETR), or by the map itself (its older copies)."""
        one: torch.Tensor
        if feature_map is None:
            one = self.positions(shape=(1, *shape[1:]), mask=None, **settings)
            return one.expand(shape[0], -1, -1, -1)
        batch, _, height, width = feature_map.shape
        one = self.positions(feature_map[:1], feature_map.new_ones((1, height, width)))
        return one.expand(batch, -1, -1, -1)


def replace_positions(model: Any) -> None:
    """Take the pixel masks out of the sine position embeddings."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            taken = signature(child.forward).parameters
            if type(child).__name__.endswith("SinePositionEmbedding") and MASKS & set(taken):
                setattr(parent, name, UnmaskedPositions(child))


class UnmaskedDeformableAttention(nn.Module):
    """Deformable attention over feature maps without padding, whose sizes stay axes."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, *args: Any, **settings: Any) -> Any:
        """As the original, without its mask, and with level sizes that are no constants."""
        shapes = settings["spatial_shapes_list"]
        settings["attention_mask"] = None
        settings["spatial_shapes"] = torch.stack([size_tensor(*shape) for shape in shapes])
        return self.attention(*args, **settings)


def size_tensor(height: int, width: int) -> torch.Tensor:
    """A size as numbers of the graph, int64 [2]; torch.tensor() would bake them in."""
    sides = [torch.full((1,), side, dtype=torch.int64) for side in (height, width)]
    return torch.cat(sides)


def cell_centres(height: int, width: int) -> torch.Tensor:
    """Centres of a feature map's cells as shares of the picture, [height * width, 2] of x, y."""
    y = (torch.arange(height, dtype=torch.float32) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float32) + 0.5) / width
    across, down = x[None, :].expand(height, width), y[:, None].expand(height, width)
    return torch.stack([across, down], -1).reshape(height * width, 2)


def reference_points(
    shapes: Sequence[tuple[int, int]], valid_ratios: torch.Tensor, device: object
) -> torch.Tensor:
    """`DeformableDetrEncoder.get_reference_points` without padding, [1, cell, 1, 2].

    Its linspace has a number of steps that would be baked in.
    """
    return torch.cat([cell_centres(*shape) for shape in shapes])[None, :, None]


def whole_ratio(mask: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """`DeformableDetrModel.get_valid_ratio` without padding, [batch, 2]."""
    return torch.ones((mask.shape[0], 2), dtype=dtype)


def encoder_proposals(
    model: Any,
    encoded: torch.Tensor,
    padding_mask: torch.Tensor,
    shapes: Sequence[tuple[int, int]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """`DeformableDetrModel.gen_encoder_output_proposals` without padding.

    Args:
        model: The `DeformableDetrModel`.
        encoded: [batch, cell, hidden].
        padding_mask: Not looked at.
        shapes: Height and width of each level.

    Returns:
        Queries [batch, cell, hidden], and boxes before their sigmoid [1, cell, 4].
    """
    boxes = []
    for level, shape in enumerate(shapes):
        centres = cell_centres(*shape)
        sides = torch.ones_like(centres) * (0.05 * 2.0**level)
        boxes.append(torch.cat([centres, sides], -1))
    proposals = torch.cat(boxes)[None]
    valid = ((proposals > 0.01) & (proposals < 0.99)).all(-1, keepdim=True)
    logits = torch.log(proposals / (1 - proposals)).masked_fill(~valid, float("inf"))
    queries = model.enc_output_norm(model.enc_output(encoded.masked_fill(~valid, 0.0)))
    return queries, logits


def replace_deformable(model: Any) -> None:
    """Make Deformable DETR's sizes axes of the graph, and take its masks out."""
    inner = model.model
    inner.get_valid_ratio = whole_ratio
    inner.encoder.get_reference_points = reference_points
    if model.config.two_stage:
        inner.gen_encoder_output_proposals = partial(encoder_proposals, inner)
    for layer in inner.encoder.layers:
        layer.self_attn = UnmaskedDeformableAttention(layer.self_attn)
    for layer in inner.decoder.layers:
        layer.encoder_attn = UnmaskedDeformableAttention(layer.encoder_attn)
