"""Attention of queries over queries or pixels, and the positions of pixels.

Source: transformers 5.23, models/mask2former/modeling_mask2former.py and
models/maskformer/modeling_maskformer.py (`...Attention`, `...SinePositionEmbedding`).
"""

from typing import Any

import torch
from torch import nn

from onnxtasks_export.graphs.swin_windows import Extent


class Attention(nn.Module):
    """Multi-head attention as plain products, its scale in the query's weights."""

    def __init__(
        self, query: nn.Linear, key: nn.Linear, value: nn.Linear, out: nn.Linear, heads: int
    ) -> None:
        super().__init__()
        self.heads = heads
        scale = (query.out_features // heads) ** -0.5
        self.query = linear(
            query.weight * scale, None if query.bias is None else query.bias * scale
        )
        self.key, self.value, self.out = key, value, out

    def forward(
        self,
        query: torch.Tensor,  # [batch or 1, query, channel]
        key: torch.Tensor,  # [batch, key, channel]
        value: torch.Tensor,  # [batch, key, channel]
        mask: torch.Tensor | None = None,  # additive, [batch, 1, query, key]
    ) -> torch.Tensor:
        """Return [batch, query, channel]."""
        scores = torch.matmul(
            self.by_head(self.query(query)), self.by_head(self.key(key)).transpose(-1, -2)
        )
        if mask is not None:
            scores = scores + mask
        mixed = torch.matmul(torch.softmax(scores, dim=-1), self.by_head(self.value(value)))
        joined: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return joined

    def by_head(self, tokens: torch.Tensor) -> torch.Tensor:
        """[batch, token, channel] -> [batch, head, token, channel / heads]."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """A linear layer of given weights [out, in]."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def packed_attention(original: nn.MultiheadAttention) -> Attention:
    """Build attention from torch's own module, which keeps its three projections in one."""
    weights, biases = original.in_proj_weight.chunk(3), original.in_proj_bias.chunk(3)
    query, key, value = (linear(w, b) for w, b in zip(weights, biases, strict=True))
    return Attention(query, key, value, original.out_proj, original.num_heads)


class SinePositions(nn.Module):
    """The sine embedding of rows and columns, of a map without padding."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.normalize, self.scale = original.normalize, original.scale
        count = original.num_position_features
        pairs = torch.div(torch.arange(count).to(torch.float32), 2, rounding_mode="floor")
        self.wavelengths = nn.Buffer(original.temperature ** (2 * pairs / count), persistent=False)

    def forward(self, height: Extent, width: Extent) -> torch.Tensor:
        """Positions of a map, float32 [height * width, 2 * features]: of the row, of the column."""
        rows = self.along(height)[:, None].expand(-1, width, -1)
        columns = self.along(width)[None].expand(height, -1, -1)
        return torch.cat((rows, columns), dim=-1).flatten(0, 1)

    def along(self, length: Extent) -> torch.Tensor:
        """Positions along one side, float32 [length, features]: each of one number, 1 to length."""
        at = torch.arange(1, length + 1, dtype=torch.float32)
        if self.normalize:
            at = at / (at[-1:] + 1e-6) * self.scale
        angles = at[:, None] / self.wavelengths
        return torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), dim=-1).flatten(1)
