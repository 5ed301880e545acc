"""Mask2Former's transformer decoder: queries look at the pixels that their own mask holds so far.

Source: the Mask2Former paper (arXiv 2112.01527) and transformers 5.23,
models/mask2former/modeling_mask2former.py (`Mask2FormerTransformerModule`,
`Mask2FormerMaskedAttentionDecoder`), whose weights these modules take over.
"""

from typing import Any

import torch
from torch import nn

from onnxtasks_export.graphs.mask2former_pixels import Size
from onnxtasks_export.graphs.maskformer_attention import (
    Attention,
    SinePositions,
    linear,
    packed_attention,
)


class MaskedLayer(nn.Module):
    """Attention over pixels, over queries, then the feed-forward part."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        own = original.self_attn
        self.norms_first = bool(original.pre_norm)
        self.cross = packed_attention(original.cross_attn)
        self.cross_norm = original.cross_attn_layer_norm
        self.own = Attention(own.q_proj, own.k_proj, own.v_proj, own.out_proj, own.num_heads)
        self.own_norm = original.self_attn_layer_norm
        self.feed_forward = nn.Sequential(original.fc1, original.activation_fn, original.fc2)
        self.norm = original.final_layer_norm

    def forward(
        self,
        hidden: torch.Tensor,  # [batch or 1, query, channel]
        queries: torch.Tensor,  # [query, channel], positions of the queries
        pixels: torch.Tensor,  # [batch, pixel, channel]
        positions: torch.Tensor,  # [pixel, channel]
        mask: torch.Tensor,  # additive, [batch, 1, query, pixel]
    ) -> torch.Tensor:
        """Return [batch, query, channel]."""
        before, after = self.around(self.cross_norm)
        normed = before(hidden)
        hidden = after(hidden + self.cross(normed + queries, pixels + positions, pixels, mask=mask))
        before, after = self.around(self.own_norm)
        normed = before(hidden)
        placed = normed + queries
        hidden = after(hidden + self.own(placed, placed, normed))
        before, after = self.around(self.norm)
        changed: torch.Tensor = after(hidden + self.feed_forward(before(hidden)))
        return changed

    def around(self, norm: nn.Module) -> tuple[nn.Module, nn.Module]:
        """The norm before or after a part, and nothing on its other side."""
        nothing = nn.Identity()
        return (norm, nothing) if self.norms_first else (nothing, norm)


class MaskedDecoder(nn.Module):
    """Tokens of three levels and pixel embeddings -> the last layer's queries and masks."""

    def __init__(self, original: Any) -> None:
        """Take over a `Mask2FormerTransformerModule`."""
        super().__init__()
        self.positions = SinePositions(original.position_embedder)
        self.projections = nn.ModuleList(
            as_linear(each) if isinstance(each, nn.Conv2d) else nn.Identity()
            for each in original.input_projections
        )
        self.level_embed = original.level_embed.weight
        self.queries = original.queries_embedder.weight
        self.features = original.queries_features.weight
        self.layers = nn.ModuleList(MaskedLayer(layer) for layer in original.decoder.layers)
        self.norm = original.decoder.layernorm
        self.embedder = original.decoder.mask_predictor.mask_embedder

    def forward(
        self, levels: list[torch.Tensor], sizes: list[Size], pixel_embeddings: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """Decode.

        Args:
            levels: Tokens [batch, height * width, channel] of each level.
            sizes: Their heights and widths.
            pixel_embeddings: [batch, channel, height, width].

        Returns:
            The queries, normed, [batch, query, channel]; their masks' logits [batch, query, height,
            width]; the logits [batch, query, pixel] of the masks that each layer attended to.
        """
        tokens = [
            projection(level) + self.level_embed[index]
            for index, (level, projection) in enumerate(zip(levels, self.projections, strict=True))
        ]
        positions = [self.positions(*size) for size in sizes]
        # Embedding and resizing are both linear: what a mask is at a level's size needs the masks'
        # embeddings there only, not the masks at full size.
        small = [
            nn.functional.interpolate(
                pixel_embeddings, size=size, mode="bilinear", align_corners=False
            ).flatten(2)
            for size in sizes
        ]
        hidden, attended = self.features[None], []
        for index, layer in enumerate(self.layers):
            level = index % len(tokens)
            attended.append(torch.matmul(self.embedder(self.norm(hidden)), small[level]))
            mask = attention_mask(attended[-1])
            hidden = layer(hidden, self.queries, tokens[level], positions[level], mask)
        normed = self.norm(hidden)
        masks = torch.matmul(self.embedder(normed), pixel_embeddings.flatten(2))
        return normed, masks.unflatten(2, pixel_embeddings.shape[-2:]), attended


def attention_mask(logits: torch.Tensor) -> torch.Tensor:
    """Hide from each query the pixels outside its mask; an empty mask hides none.

    Args:
        logits: [batch, query, pixel].

    Returns:
        Additive, [batch, 1, query, pixel].
    """
    hidden = (logits < 0.0) & (logits.amax(-1, keepdim=True) >= 0.0)
    return torch.where(hidden, torch.finfo(torch.float32).min, 0.0)[:, None]


def as_linear(convolution: nn.Conv2d) -> nn.Linear:
    """A convolution of 1 x 1 as a layer over tokens."""
    return linear(convolution.weight.flatten(1), convolution.bias)
