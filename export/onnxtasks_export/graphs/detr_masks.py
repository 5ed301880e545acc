"""DETR with its mask head, what is equal for all queries computed once a picture."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from onnxtasks.tasks.image_segmentation import ImageSegmentationSpec
from onnxtasks_export.attention import plain_copy
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph
from onnxtasks_export.graphs.semantic import pixel_graph


class SharedMaskHead(nn.Module):
    """transformers' `DetrMaskHeadSmallConv`, which copies the picture's features for every query.

    Its first convolution takes the picture's features beside a query's attention: split in two,
    the picture's part runs once (a 32nd of the first convolution is left for each query). So do
    the adapters of the backbone's features. What is added is the same up to rounding.
    """

    def __init__(self, head: Any, channels: int) -> None:
        super().__init__()
        self.head = head
        self.picture, self.query = _split(head.conv1.conv, channels)

    def forward(
        self,
        features: torch.Tensor,  # [batch, channel, h, w]
        attention: torch.Tensor,  # [batch, query, head, h, w]
        pyramid: Sequence[torch.Tensor],  # of the backbone, smallest first
    ) -> torch.Tensor:
        """Return mask logits [batch, query, H, W] at the size of the pyramid's last map."""
        batch, queries = attention.shape[:2]

        def joined(every: torch.Tensor, once: torch.Tensor) -> torch.Tensor:
            """Add a picture's map to those of its queries, [batch * query, ...]."""
            return (every.unflatten(0, (batch, queries)) + once[:, None]).flatten(0, 1)

        first = self.head.conv1
        hidden = joined(self.query(attention.flatten(0, 1)), self.picture(features))
        hidden = self.head.conv2(first.activation(first.norm(hidden)))
        for stage, level in zip(self.head.fpn_stages, pyramid, strict=True):
            adapted = stage.fpn_adapter(level)
            larger = nn.functional.interpolate(hidden, size=adapted.shape[2:], mode="nearest")
            hidden = stage.refine(joined(larger, adapted))
        masks: torch.Tensor = self.head.output_conv(hidden)[:, 0].unflatten(0, (batch, queries))
        return masks


def _split(layer: Any, channels: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    """One convolution as two whose sum it is: of the first `channels`, and of the others."""
    made, given = layer.out_channels, layer.in_channels
    first = nn.Conv2d(channels, made, 3, padding=1)
    others = nn.Conv2d(given - channels, made, 3, padding=1, bias=False)
    first.weight = nn.Parameter(layer.weight.detach()[:, :channels].contiguous())
    others.weight = nn.Parameter(layer.weight.detach()[:, channels:].contiguous())
    first.bias = layer.bias
    return first, others


class DetrMasksGraph(nn.Module):
    """Pixel values -> classes and masks of the queries, no pixel being padding."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.masks = SharedMaskHead(model.mask_head, model.config.d_model)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn float32 [batch, channel, height, width] into class_logits and mask_logits.

        Source: `DetrForSegmentation.forward`, without masks.
        """
        detr = self.model.detr.model
        found = detr.backbone.model(pixel_values)
        maps = getattr(found, "feature_maps", found)  # timm's backbones give the maps themselves
        projected = detr.input_projection(maps[-1])  # [batch, channel, h, w]
        batch, _, height, width = projected.shape
        positions = detr.position_embedding(
            shape=torch.Size((1, *projected.shape[1:])),
            device=projected.device,
            dtype=projected.dtype,
        )
        positions = positions.flatten(2).transpose(1, 2)  # [1, h * w, channel]
        memory = detr.encoder(
            inputs_embeds=projected.flatten(2).transpose(1, 2),
            attention_mask=None,
            spatial_position_embeddings=positions,
        ).last_hidden_state
        queries = detr.query_position_embeddings.weight[None]  # [1, query, channel]
        hidden = detr.decoder(
            inputs_embeds=torch.zeros_like(queries).expand(batch, -1, -1),
            attention_mask=None,
            spatial_position_embeddings=positions,
            object_queries_position_embeddings=queries,
            encoder_hidden_states=memory,
            encoder_attention_mask=None,
        ).last_hidden_state  # [batch, query, channel]
        grid = memory.transpose(1, 2).unflatten(2, (height, width))
        attention = self.model.bbox_attention(hidden, grid)  # [batch, query, head, h, w]
        masks = self.masks(projected, attention, (maps[2], maps[1], maps[0]))
        return self.model.detr.class_labels_classifier(hidden), masks


def detr_masks_graph(checkpoint: Checkpoint, spec: ImageSegmentationSpec) -> Graph:
    """Build the graph, exact at any height and width."""
    queries = checkpoint.config.num_queries
    outputs: dict[str, Axes] = {
        "class_logits": ("batch", queries, len(spec.labels) + 1),
        "mask_logits": ("batch", queries, "mask_height", "mask_width"),
    }
    module = DetrMasksGraph(plain_copy(checkpoint.model))
    return pixel_graph(checkpoint, spec, module, outputs, dynamic=True)
