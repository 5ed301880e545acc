"""SegFormer with its decoding head folded: one small matrix a level, applied before upsampling.

Measured in docs/benchmarks/segformer_head.md.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.tasks.image_segmentation import ImageSegmentationSpec
from onnxtasks_export.attention import plain_copy
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.semantic import logits_axes, pixel_graph

Level = tuple[torch.Tensor, int, int]
"""Tokens [batch, height * width, channel] of one stage, with their height and width."""


class FoldedHead(nn.Module):
    """transformers' `SegformerDecodeHead` with everything linear in front of its ReLU made one.

    Nothing nonlinear lies between a level's projection and the ReLU, and bilinear upsampling
    commutes with matrices over channels: norm(fuse(concat(up(project_i(x_i))))) is
    sum(up(W_i x_i)) + bias. The original multiplies all levels at the largest one's resolution.
    Upsampling is a product with one matrix an axis; side by side, those of all levels are one
    product that also adds them up.
    """

    def __init__(self, head: Any) -> None:
        super().__init__()
        weights, bias = folded_weights(head)
        self.weights = nn.ParameterList(nn.Parameter(weight) for weight in weights)
        self.bias = nn.Parameter(bias[:, None])
        self.activation = head.activation
        self.classes = nn.Parameter(head.classifier.weight.detach()[:, :, 0, 0])
        self.class_bias = nn.Parameter(head.classifier.bias.detach()[:, None])

    def forward(self, levels: Sequence[Level]) -> torch.Tensor:
        """Turn the stages' levels, largest first, into logits [batch, class, h, w]."""
        _, height, width = levels[0]
        pairs = zip(self.weights, levels, strict=True)
        products = [weight @ tokens.transpose(1, 2) for weight, (tokens, _, _) in pairs]
        products[-1] = products[-1] + self.bias  # upsampling keeps a constant as it is
        rows, columns = [], []
        for product, (_, h, w) in zip(products[1:], levels[1:], strict=True):
            columns.append(product.unflatten(2, (h, w)) @ upsampling(w, width).T)
            rows.append(upsampling(h, height))
        added = torch.cat(rows, dim=1) @ torch.cat(columns, dim=2)  # [batch, hidden, h, w]
        mixed = products[0] + added.flatten(2)
        logits: torch.Tensor = self.classes @ self.activation(mixed) + self.class_bias
        return logits.unflatten(2, (height, width))


def upsampling(small: int, large: int) -> torch.Tensor:
    """Bilinear interpolation of an axis, as a matrix [large, small].

    Source: torch's `interpolate(mode="bilinear", align_corners=False)`.
    """
    at = (torch.arange(large) + 0.5) * (small / large) - 0.5
    distance = at.clamp(0, small - 1)[:, None] - torch.arange(small)
    return (1 - distance.abs()).clamp(min=0)


def folded_weights(head: Any) -> tuple[list[torch.Tensor], torch.Tensor]:
    """One matrix [hidden, channel] a level and a bias [hidden], computed in float64."""
    norm, projections = head.batch_norm, [level.proj for level in head.linear_projections]
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    fuse = head.linear_fuse.weight.double()[:, :, 0, 0] * scale[:, None]
    parts = fuse.chunk(len(projections), dim=1)[::-1]  # the original concatenates last to first
    pairs = list(zip(parts, projections, strict=True))
    bias = norm.bias.double() - norm.running_mean.double() * scale
    bias = bias + sum(part @ level.bias.double() for part, level in pairs)
    weights = [(part @ level.weight.double()).detach().float() for part, level in pairs]
    return weights, bias.detach().float()


class GridConvolution(nn.Module):
    """A convolution over tokens that lie on a grid.

    Four axes are permuted where transformers permutes three: the engine takes this permutation
    into its own change of layout, the other one costs a pass over the tensor.
    """

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """[batch, height * width, channel] -> tokens of the convolved grid."""
        grid = tokens.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return grid_tokens(self.convolution(grid))


class Reduction(nn.Module):
    """transformers' `SegformerSequenceReduction`."""

    def __init__(self, reduction: Any) -> None:
        super().__init__()
        self.reduce = GridConvolution(reduction.sequence_reduction)
        self.norm = reduction.layer_norm

    def forward(self, tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """[batch, height * width, channel] -> fewer tokens."""
        reduced: torch.Tensor = self.norm(self.reduce(tokens, height, width))
        return reduced


def grid_tokens(grid: torch.Tensor) -> torch.Tensor:
    """[batch, channel, height, width] -> [batch, height * width, channel]."""
    return grid.permute(0, 2, 3, 1).flatten(1, 2)


class SegformerGraph(nn.Module):
    """Pixel values -> logits at a quarter of their size."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.stages = model.segformer.stages
        self.head = FoldedHead(model.decode_head)
        for stage in self.stages:
            for block in stage.blocks:
                block.mlp.dwconv = GridConvolution(block.mlp.dwconv.dwconv)
                if block.attention.sequence_reduction_ratio > 1:
                    reduction = block.attention.sequence_reduction
                    block.attention.sequence_reduction = Reduction(reduction)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Turn float32 [batch, channel, height, width] into [batch, class, height/4, width/4]."""
        grid, levels = pixel_values, []
        for stage in self.stages:
            grid = stage.patch_embeddings.proj(grid)
            height, width = grid.shape[2:]
            tokens = stage.patch_embeddings.layer_norm(grid_tokens(grid))
            for block in stage.blocks:
                tokens = block(tokens, height, width)
            tokens = stage.layer_norm(tokens)
            levels.append((tokens, height, width))
            grid = tokens.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        logits: torch.Tensor = self.head(levels)
        return logits


def segformer_graph(checkpoint: Checkpoint, spec: ImageSegmentationSpec) -> Graph:
    """Build the graph, exact at any height and width from `spec.min_size` on.

    Raises:
        UnsupportedModelError: The last level stays a sequence, whose height the original guesses.
    """
    if not checkpoint.config.reshape_last_stage:
        raise UnsupportedModelError(
            f"{checkpoint.source}: reshape_last_stage is false; supported: true"
        )
    module = SegformerGraph(plain_copy(checkpoint.model))
    return pixel_graph(checkpoint, spec, module, logits_axes(spec), dynamic=True)
