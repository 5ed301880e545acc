"""MaskFormer: pixel values -> classes and masks of queries, at any height and width.

Source: transformers 5.23, `MaskFormerForInstanceSegmentation`. A capture of the original is right
only at multiples of 32.
"""

import copy
from typing import Any

import torch
from torch import nn

from onnxtasks.tasks.image_segmentation import ImageSegmentationSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.maskformer_attention import Attention, SinePositions
from onnxtasks_export.graphs.maskformer_queries import feature_maps, query_graph


class QueryLayer(nn.Module):
    """A layer of DETR's decoder: attention over queries, over pixels, then feed-forward."""

    def __init__(self, original: Any, heads: int) -> None:
        super().__init__()
        own, cross = original.self_attn, original.encoder_attn
        self.own = Attention(own.q_proj, own.k_proj, own.v_proj, own.o_proj, heads)
        self.own_norm = original.self_attn_layer_norm
        self.cross = Attention(cross.q_proj, cross.k_proj, cross.v_proj, cross.o_proj, heads)
        self.cross_norm = original.encoder_attn_layer_norm
        self.feed_forward = nn.Sequential(
            original.mlp.fc1, original.mlp.activation_fn, original.mlp.fc2
        )
        self.norm = original.final_layer_norm

    def forward(
        self,
        hidden: torch.Tensor,  # [batch or 1, query, channel]
        queries: torch.Tensor,  # [query, channel], positions of the queries
        pixels: torch.Tensor,  # [batch, pixel, channel]
        placed: torch.Tensor,  # the pixels with their positions
    ) -> torch.Tensor:
        """Return [batch, query, channel]."""
        keys = hidden + queries
        hidden = self.own_norm(hidden + self.own(keys, keys, hidden))
        hidden = self.cross_norm(hidden + self.cross(hidden + queries, placed, pixels))
        changed: torch.Tensor = self.norm(hidden + self.feed_forward(hidden))
        return changed


class QueryDecoder(nn.Module):
    """The coarsest feature map -> the queries."""

    def __init__(self, original: Any) -> None:
        """Take over a `MaskFormerTransformerModule`."""
        super().__init__()
        decoder = original.decoder
        self.projection = original.input_projection or nn.Identity()
        self.positions = SinePositions(original.position_embedder)
        self.queries = original.queries_embedder.weight
        heads = decoder.config.decoder_attention_heads
        self.layers = nn.ModuleList(QueryLayer(layer, heads) for layer in decoder.layers)
        self.norm = decoder.layernorm
        # With this loss the original norms the queries after every layer, and once more at the end.
        self.norms_each = bool(decoder.config.auxiliary_loss)

    def forward(self, feature_map: torch.Tensor) -> torch.Tensor:
        """[batch, channel, height, width] -> [batch, query, channel]."""
        projected = self.projection(feature_map)
        height, width = projected.shape[-2:]
        pixels = projected.flatten(2).transpose(1, 2)
        placed = pixels + self.positions(height, width)
        hidden = torch.zeros_like(self.queries)[None]
        for layer in self.layers:
            hidden = layer(hidden, self.queries, pixels, placed)
            if self.norms_each:
                hidden = self.norm(hidden)
        normed: torch.Tensor = self.norm(hidden)
        return normed


class MaskFormerGraph(nn.Module):
    """Pixel values -> logits of classes and masks."""

    def __init__(self, backbone: nn.Module, model: Any) -> None:
        """Take over a `MaskFormerForInstanceSegmentation` around this form of its backbone."""
        super().__init__()
        self.backbone = backbone
        self.pixel_decoder = model.model.pixel_level_module.decoder
        self.decoder = QueryDecoder(model.model.transformer_module)
        self.class_predictor = model.class_predictor
        self.embedder = model.mask_embedder

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn float32 [batch, channel, height, width] into logits.

        Returns:
            Of classes [batch, query, class + 1] and of masks [batch, query, height, width].
        """
        features = self.backbone(pixel_values)
        embeddings = self.pixel_decoder(features).last_hidden_state
        queries = self.decoder(features[-1])
        masks = torch.matmul(self.embedder(queries), embeddings.flatten(2))
        return self.class_predictor(queries), masks.unflatten(2, embeddings.shape[-2:])

    def closest(self, pixel_values: torch.Tensor) -> float:
        """Nothing here decides by a threshold."""
        return float("inf")


def maskformer_graph(checkpoint: Checkpoint, spec: ImageSegmentationSpec) -> Graph:
    """Build the graph of a MaskFormer.

    Raises:
        UnsupportedModelError: Its backbone is of another kind, or fits one size only.
    """
    model: Any = copy.deepcopy(checkpoint.model)
    backbone = feature_maps(checkpoint, model.model.pixel_level_module.encoder)
    module = MaskFormerGraph(backbone, model).eval()
    return query_graph(module, spec, checkpoint.config.decoder_config.num_queries)
