"""Mask2Former's pixel decoder, exact at any height and width.

Source: the Mask2Former and Deformable DETR papers (arXiv 2112.01527, 2010.04159) and transformers
5.23, models/mask2former/modeling_mask2former.py (`Mask2FormerPixelDecoder`), whose weights these
modules take over. Without padding masks every valid ratio is 1, and a token's reference point is
the same on every level.
"""

from typing import Any

import torch
from torch import nn

from onnxtasks_export.graphs.maskformer_attention import SinePositions, linear
from onnxtasks_export.graphs.swin_windows import Extent

Size = tuple[Extent, Extent]
"""Height and width."""


class DeformableAttention(nn.Module):
    """Each token looks at a few points of every level, near its own place."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.heads, self.levels, self.points = (
            original.n_heads,
            original.n_levels,
            original.n_points,
        )
        self.offsets = by_level(original.sampling_offsets, self.heads, self.levels)
        self.weights = original.attention_weights
        self.value, self.out = original.value_proj, original.output_proj

    def forward(
        self,
        tokens: torch.Tensor,  # [batch, token, channel], one level after the other
        positions: torch.Tensor,  # [token, channel]
        places: torch.Tensor,  # [token, 2], x and y from -1 to 1
        sizes: list[Size],
        steps: list[torch.Tensor],  # [2] a level: width and height of a pixel in units of places
    ) -> torch.Tensor:
        """Return [batch, token, channel]."""
        batch, count, channels = tokens.shape
        queries = tokens + positions
        offsets = self.offsets(queries).reshape(
            batch, count, self.levels, self.heads * self.points, 2
        )
        offsets = offsets.permute(2, 0, 3, 1, 4)  # [level, batch, head * point, token, 2]
        weights = self.weights(queries).reshape(batch, count, self.heads, -1).softmax(-1)
        # The tokens last: the sum over points then adds rows, instead of 4 neighbours at a time.
        weights = weights.permute(0, 2, 3, 1).flatten(0, 1)  # [batch * head, level * point, token]
        values = self.value(tokens).transpose(1, 2).reshape(batch * self.heads, -1, count)
        mixed, start = torch.zeros(()), 0
        for level, (height, width) in enumerate(sizes):
            pixels = values[:, :, start : start + height * width].unflatten(2, (height, width))
            grid = (places + offsets[level] * steps[level]).reshape(
                batch * self.heads, self.points, count, 2
            )
            seen = nn.functional.grid_sample(
                pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False
            )  # [batch * head, channel / heads, point, token]
            first = level * self.points
            mixed = mixed + (seen * weights[:, None, first : first + self.points]).sum(2)
            start = start + height * width
        joined: torch.Tensor = self.out(mixed.reshape(batch, channels, count).transpose(1, 2))
        return joined


def by_level(original: nn.Linear, heads: int, levels: int) -> nn.Linear:
    """Order a layer's outputs by level, head, point instead of head, level, point."""

    def order(values: torch.Tensor) -> torch.Tensor:
        return values.reshape(heads, levels, -1, *values.shape[1:]).transpose(0, 1).flatten(0, 2)

    return linear(order(original.weight), order(original.bias))


class DeformableLayer(nn.Module):
    """A layer of the encoder over all levels."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.attention = DeformableAttention(original.self_attn)
        self.attention_norm = original.self_attn_layer_norm
        self.feed_forward = nn.Sequential(original.fc1, nn.ReLU(), original.fc2)
        self.norm = original.final_layer_norm

    def forward(self, tokens: torch.Tensor, *where: Any) -> torch.Tensor:
        """[batch, token, channel] -> the same; the rest is as `DeformableAttention` takes it."""
        tokens = self.attention_norm(tokens + self.attention(tokens, *where))
        changed: torch.Tensor = self.norm(tokens + self.feed_forward(tokens))
        return changed


class PixelDecoder(nn.Module):
    """Feature maps of the backbone -> tokens of three levels, and the pixel embeddings."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.projections = original.input_projections
        self.positions = SinePositions(original.position_embedding)
        self.level_embed = original.level_embed
        self.layers = nn.ModuleList(DeformableLayer(layer) for layer in original.encoder.layers)
        # From low to high resolution.
        self.laterals = nn.ModuleList(original.lateral_convolutions)
        self.smoothings = nn.ModuleList(original.output_convolutions)
        self.mask_projection = original.mask_projection

    def forward(
        self, features: tuple[torch.Tensor, ...]
    ) -> tuple[list[torch.Tensor], list[Size], torch.Tensor]:
        """Decode.

        Args:
            features: [batch, channel, height, width] each, from high to low resolution.

        Returns:
            Tokens [batch, height * width, channel] of each level, from low to high resolution;
            their heights and widths; pixel embeddings [batch, channel, height, width].
        """
        maps = [
            projection(feature)
            for projection, feature in zip(self.projections, reversed(features), strict=False)
        ]
        sizes: list[Size] = [(each.shape[2], each.shape[3]) for each in maps]
        levels = self.encode(maps, sizes)
        batch = features[0].shape[0]
        pixels = levels[-1].transpose(1, 2).reshape(batch, -1, *sizes[-1])
        finer = features[: len(self.laterals)][::-1]
        for feature, lateral, smoothing in zip(finer, self.laterals, self.smoothings, strict=True):
            side = lateral(feature)
            pixels = smoothing(
                side
                + nn.functional.interpolate(
                    pixels, size=side.shape[-2:], mode="bilinear", align_corners=False
                )
            )
        return levels, sizes, self.mask_projection(pixels)

    def encode(self, maps: list[torch.Tensor], sizes: list[Size]) -> list[torch.Tensor]:
        """Let the tokens of all levels look at each other."""
        tokens = torch.cat([each.flatten(2).transpose(1, 2) for each in maps], dim=1)
        positions = torch.cat(
            [self.positions(*size) + self.level_embed[i] for i, size in enumerate(sizes)]
        )
        places = torch.cat([centres(*size) for size in sizes])
        steps = [2.0 / torch.stack((whole(width), whole(height))) for height, width in sizes]
        for layer in self.layers:
            tokens = layer(tokens, positions, places, sizes, steps)
        return list(tokens.split([height * width for height, width in sizes], dim=1))


def centres(height: Extent, width: Extent) -> torch.Tensor:
    """Centres of a map's pixels, x and y from -1 to 1, float32 [height * width, 2]."""
    y = (torch.arange(height) * 2 + 1) / whole(height) - 1.0
    x = (torch.arange(width) * 2 + 1) / whole(width) - 1.0
    grid = torch.stack((x[None].expand(height, -1), y[:, None].expand(-1, width)), dim=-1)
    return grid.flatten(0, 1)


def whole(size: Extent) -> torch.Tensor:
    """A size as a float32 scalar."""
    return torch.scalar_tensor(size, dtype=torch.float32)
