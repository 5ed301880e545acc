"""Mask2Former: pixel values -> classes and masks of queries, at any height and width.

Source: transformers 5.23, `Mask2FormerForUniversalSegmentation`. A capture of the original freezes
sizes, and is silently wrong at others.
"""

import copy
from typing import Any

import torch
from torch import nn

from onnxtasks.tasks.image_segmentation import ImageSegmentationSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.mask2former_decoder import MaskedDecoder
from onnxtasks_export.graphs.mask2former_pixels import PixelDecoder
from onnxtasks_export.graphs.maskformer_queries import feature_maps, query_graph


class Mask2FormerGraph(nn.Module):
    """Pixel values -> logits of classes and masks."""

    def __init__(self, backbone: nn.Module, model: Any) -> None:
        """Take over a `Mask2FormerForUniversalSegmentation` around this form of its backbone."""
        super().__init__()
        self.backbone = backbone
        self.pixel_decoder = PixelDecoder(model.model.pixel_level_module.decoder)
        self.decoder = MaskedDecoder(model.model.transformer_module)
        self.class_predictor = model.class_predictor

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn float32 [batch, channel, height, width] into logits.

        Returns:
            Of classes [batch, query, class + 1] and of masks [batch, query, height, width].
        """
        queries, masks, _ = self.decoder(*self.pixel_decoder(self.backbone(pixel_values)))
        return self.class_predictor(queries), masks

    def closest(self, pixel_values: torch.Tensor) -> float:
        """How near the logit of a mask that a layer attends to comes to 0, where it decides."""
        _, _, attended = self.decoder(*self.pixel_decoder(self.backbone(pixel_values)))
        return min(float(logits.abs().min()) for logits in attended)


def mask2former_graph(checkpoint: Checkpoint, spec: ImageSegmentationSpec) -> Graph:
    """Build the graph of a Mask2Former.

    Raises:
        UnsupportedModelError: Its backbone is of another kind, or fits one size only.
    """
    model: Any = copy.deepcopy(checkpoint.model)
    backbone = feature_maps(checkpoint, model.model.pixel_level_module.encoder)
    module = Mask2FormerGraph(backbone, model).eval()
    return query_graph(module, spec, checkpoint.config.num_queries)
