"""UPerNet, up to the logits that the model then resizes to its input's size."""

from typing import Any

import torch
from torch import nn

from onnxtasks.tasks.image_segmentation import ImageSegmentationSpec
from onnxtasks_export.attention import PLAIN, plain_copy
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.semantic import logits_axes, pixel_graph
from onnxtasks_export.graphs.swin import swin_features

ANY_SIZE = ("convnext", "convnextv2", "resnet", "swin")
"""Backbones whose captured graph is exact at any height and width."""


class PyramidPooling(nn.Module):
    """transformers' `UperNetPyramidPoolingModule`, at any size: averaging is a product."""

    def __init__(self, pyramid: Any) -> None:
        super().__init__()
        self.scales = pyramid.pool_scales
        self.convolutions = nn.ModuleList(block.layers[1] for block in pyramid.blocks)

    def forward(self, grid: torch.Tensor) -> list[torch.Tensor]:
        """[batch, channel, h, w] -> one map [batch, pooled channel, h, w] a scale."""
        height, width = grid.shape[2:]
        maps = []
        for scale, convolution in zip(self.scales, self.convolutions, strict=True):
            pooled = averaging(height, scale) @ grid @ averaging(width, scale).T
            small = convolution(pooled)
            maps.append(nn.functional.interpolate(small, size=(height, width), mode="bilinear"))
        return maps


def averaging(size: int, count: int) -> torch.Tensor:
    """Cut an axis into `count` parts that may overlap, and average each: [count, size].

    Source: torch's `adaptive_avg_pool2d`.
    """
    part = torch.arange(count)[:, None]
    start, end = part * size // count, ((part + 1) * size + count - 1) // count
    at = torch.arange(size)
    inside = ((at >= start) & (at < end)).float()
    return inside / (end - start)


class UpernetGraph(nn.Module):
    """Pixel values -> logits, at the size of the backbone's largest map."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        swin = model.backbone.config.model_type == "swin"
        if getattr(model.backbone, "_supports_attention_backend", False):
            model.backbone.set_attn_implementation(PLAIN)
        self.backbone = swin_features(model.backbone) if swin else model.backbone
        self.head = model.decode_head
        self.head.psp_modules = PyramidPooling(self.head.psp_modules)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Turn float32 [batch, channel, height, width] into logits [batch, class, h, w]."""
        maps = self.backbone(pixel_values)
        logits: torch.Tensor = self.head(maps if isinstance(maps, tuple) else maps.feature_maps)
        return logits


def upernet_graph(checkpoint: Checkpoint, spec: ImageSegmentationSpec) -> Graph:
    """Build the graph, of any size where the backbone takes any.

    Raises:
        UnsupportedModelError: As `pixel_graph`.
    """
    module = UpernetGraph(plain_copy(checkpoint.model))
    dynamic = checkpoint.model.backbone.config.model_type in ANY_SIZE
    return pixel_graph(checkpoint, spec, module, logits_axes(spec), dynamic=dynamic)
