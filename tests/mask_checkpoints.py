"""Small random checkpoints that predict classes and masks of queries."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers.models.mask2former.image_processing_pil_mask2former import (
    Mask2FormerImageProcessorPil,
)
from transformers.models.maskformer.image_processing_pil_maskformer import (
    MaskFormerImageProcessorPil,
)

STAGES = ["stage1", "stage2", "stage3", "stage4"]
SIZE = {"shortest_edge": 64, "longest_edge": 96}
LABELS = 5


def swin(**changes: Any) -> transformers.SwinConfig:
    """A backbone with windows that are larger than its last maps; one layer is shifted."""
    settings: dict[str, Any] = {
        "image_size": 64,
        "embed_dim": 16,
        "depths": [1, 2, 1, 1],
        "num_heads": [2, 2, 4, 4],
        "window_size": 7,
        "out_features": STAGES,
    }
    return transformers.SwinConfig(**(settings | changes))


def resnet() -> transformers.ResNetConfig:
    """A backbone of convolutions."""
    return transformers.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 48, 64],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=STAGES,
    )


def random_weights(model: nn.Module) -> None:
    """Weights at which the answers differ between pictures, drawn from torch's generator."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "bias_table" in name:
                weight.normal_(0, 0.3)
            elif weight.dim() > 1:
                weight.normal_(0, weight[0].numel() ** -0.5)
            else:
                weight.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.3)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)


def mask2former_model(backbone: Any, **changes: Any) -> Any:
    """A Mask2Former."""
    settings: dict[str, Any] = {
        "feature_size": 64,
        "mask_feature_size": 32,
        "hidden_dim": 64,
        "encoder_feedforward_dim": 48,
        "encoder_layers": 1,
        "decoder_layers": 4,
        "num_attention_heads": 4,
        "dim_feedforward": 48,
        "num_queries": 7,
        "num_labels": LABELS,
    }
    config = transformers.Mask2FormerConfig(backbone_config=backbone, **(settings | changes))
    model = transformers.Mask2FormerForUniversalSegmentation(config).eval()
    random_weights(model)
    return model


def maskformer_model(backbone: Any, **changes: Any) -> Any:
    """A MaskFormer; the changes are those of its decoder's config."""
    decoder = transformers.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone_config=transformers.ResNetConfig(),
        d_model=32,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=48,
        num_queries=7,
        **changes,
    )
    config = transformers.MaskFormerConfig(
        backbone_config=backbone,
        decoder_config=decoder,
        fpn_feature_size=32,
        mask_feature_size=32,
        num_labels=LABELS,
    )
    model = transformers.MaskFormerForInstanceSegmentation(config).eval()
    random_weights(model)
    return model


def mask2former(folder: Path, backbone: Any) -> None:
    """Mask2Former with its processor."""
    mask2former_model(backbone).save_pretrained(folder)
    Mask2FormerImageProcessorPil(size=SIZE, size_divisor=32).save_pretrained(folder)


def maskformer(folder: Path) -> None:
    """MaskFormer with its processor."""
    maskformer_model(swin()).save_pretrained(folder)
    MaskFormerImageProcessorPil(size=SIZE, size_divisor=32).save_pretrained(folder)


MASKS: dict[str, Callable[[Path], object]] = {
    "mask2former": lambda folder: mask2former(folder, swin()),
    "mask2former-resnet": lambda folder: mask2former(folder, resnet()),
    "maskformer": maskformer,
}
