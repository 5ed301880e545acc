"""Small random object detectors, built from configs with fixed seeds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.conditional_detr.image_processing_pil_conditional_detr import (
    ConditionalDetrImageProcessorPil,
)
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import (
    DeformableDetrImageProcessorPil,
)
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil
from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil

LABELS = ("cat", "dog", "bird", "tree", "car")
EDGES = {"shortest_edge": 96, "longest_edge": 150}
DECODER = {"decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 48}
SIZES = {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 4, "encoder_ffn_dim": 48}
NAMES = {
    "id2label": dict(enumerate(LABELS)),
    "label2id": {label: index for index, label in enumerate(LABELS)},
}


def resnet(**changes: Any) -> Any:
    """A ResNet of four stages, as DETR's, of a few channels."""
    settings = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
    settings |= {"layer_type": "bottleneck", "out_features": ["stage4"], **changes}
    return transformers.ResNetConfig(**settings)


def shake(model: torch.nn.Module, spread: float = 0.15) -> Any:
    """Make every weight matter: heads as trained ones are, and batch norms that do something."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() < 2:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif "query" in name and "embed" in name:
                parameter.normal_(0, 2)  # queries that differ
            elif "predictor" in name or "classifier" in name:
                parameter.add_(torch.randn_like(parameter) * 3 * spread)
            elif "backbone" not in name:
                parameter.add_(torch.randn_like(parameter) * spread)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.2)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            elif "running" not in name and buffer.dim() == 1 and "normalization" in name:
                buffer.add_(torch.randn_like(buffer) * 0.1)
    return model


def calibrate(model: torch.nn.Module, height: int, width: int, offset: float = 0.0) -> Any:
    """Give batch norms the statistics of some pictures: without, all cells look the same.

    With an offset fewer values are cut off, and rounding grows less from layer to layer.
    """
    for part in model.modules():
        if isinstance(part, torch.nn.Conv2d):  # so large that rounding stays small beside it
            torch.nn.init.kaiming_normal_(part.weight)
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(part.bias, offset)
            part.momentum = None  # the mean over all batches
            part.reset_running_stats()
    coarse = torch.randn(6, 3, 5, 7) * 1.5
    pictures = torch.nn.functional.interpolate(coarse, size=(height, width))
    with torch.no_grad():
        model.train()(pixel_values=pictures + torch.randn_like(pictures) * 0.5)
    return model.eval()


def detr(folder: Path, **changes: Any) -> None:
    """DETR with a ResNet backbone of transformers."""
    config = transformers.DetrConfig(
        use_timm_backbone=False,
        backbone_config=changes.pop("backbone_config", None) or resnet(),
        num_queries=9,
        **SIZES,
        **DECODER,
        **NAMES,
        **changes,
    )
    shake(transformers.DetrForObjectDetection(config)).save_pretrained(folder)
    DetrImageProcessorPil(size=EDGES).save_pretrained(folder)


def table_transformer(folder: Path) -> None:
    """Table Transformer: DETR that normalises before its layers, and uses its processor."""
    config = transformers.TableTransformerConfig(
        use_timm_backbone=False,
        backbone_config=resnet(),
        num_queries=9,
        **SIZES,
        **DECODER,
        **NAMES,
    )
    shake(transformers.TableTransformerForObjectDetection(config)).save_pretrained(folder)
    DetrImageProcessorPil(size={"longest_edge": 140, "shortest_edge": 90}).save_pretrained(folder)


def conditional_detr(folder: Path) -> None:
    """Conditional DETR: sigmoid scores over pairs of query and class."""
    config = transformers.ConditionalDetrConfig(
        use_timm_backbone=False,
        backbone_config=resnet(),
        num_queries=30,  # more pairs than the 100 that count
        **SIZES,
        **DECODER,
        **NAMES,
    )
    shake(transformers.ConditionalDetrForObjectDetection(config)).save_pretrained(folder)
    ConditionalDetrImageProcessorPil(size=EDGES).save_pretrained(folder)


def dab_detr(folder: Path) -> None:
    """DAB-DETR: queries that are boxes."""
    config = transformers.DabDetrConfig(
        use_timm_backbone=False,
        backbone_config=resnet(),
        num_queries=11,
        hidden_size=32,
        encoder_layers=1,
        encoder_attention_heads=4,
        encoder_ffn_dim=48,
        **DECODER,
        **NAMES,
    )
    shake(transformers.DabDetrForObjectDetection(config)).save_pretrained(folder)
    ConditionalDetrImageProcessorPil(size=EDGES).save_pretrained(folder)


def deformable_detr(folder: Path, **changes: Any) -> None:
    """Deformable DETR over three levels, one of them beyond the backbone."""
    config = transformers.DeformableDetrConfig(
        use_timm_backbone=False,
        backbone_config=resnet(out_features=["stage3", "stage4"]),
        num_feature_levels=3,
        num_queries=12,
        two_stage_num_proposals=20,
        **SIZES,
        **DECODER,
        **NAMES,
        **changes,
    )
    shake(transformers.DeformableDetrForObjectDetection(config)).save_pretrained(folder)
    DeformableDetrImageProcessorPil(size=EDGES).save_pretrained(folder)


def yolos(folder: Path, **changes: Any) -> None:
    """YOLOS: a ViT with detection tokens, its positions interpolated to any size."""
    config = transformers.YolosConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=[80, 112],
        patch_size=16,
        num_detection_tokens=9,
        initializer_range=0.15,
        **NAMES,
        **changes,
    )
    shake(transformers.YolosForObjectDetection(config)).save_pretrained(folder)
    YolosImageProcessorPil(size=EDGES).save_pretrained(folder)


HYBRID = {
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [16, 24, 32],
    "encoder_ffn_dim": 48,
    "encoder_attention_heads": 4,
    "d_model": 32,
    "num_queries": 15,
    "decoder_in_channels": [32, 32, 32],
    "num_denoising": 0,
    "hidden_expansion": 0.5,
}


def rt_detr(folder: Path, version: str = "RTDetr", **changes: Any) -> None:
    """RT-DETR, version 1 or 2: a hybrid encoder; its processor makes one size."""
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = getattr(transformers, f"{version}Config")(
        backbone_config=backbone, **HYBRID, **DECODER, **NAMES, **changes
    )
    model = getattr(transformers, f"{version}ForObjectDetection")(config)
    calibrate(shake(model), 96, 128).save_pretrained(folder)
    RTDetrImageProcessorPil(size={"height": 96, "width": 128}).save_pretrained(folder)


def d_fine(folder: Path, **changes: Any) -> None:
    """D-FINE: RT-DETR whose decoder refines distributions of the boxes' sides."""
    backbone = transformers.HGNetV2Config(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 8, 16, 24],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[8, 16, 24, 32],
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )
    config = transformers.DFineConfig(
        backbone_config=backbone,
        depth_mult=0.34,
        max_num_bins=8,
        lqe_hidden_dim=8,
        freeze_backbone_batch_norms=False,
        **HYBRID,
        **DECODER,
        **NAMES,
        **changes,
    )
    model = shake(transformers.DFineForObjectDetection(config), 0.08)
    calibrate(model, 96, 96, offset=1.0).save_pretrained(folder)
    RTDetrImageProcessorPil(size={"height": 96, "width": 96}).save_pretrained(folder)


DETECTORS: dict[str, Callable[[Path], object]] = {
    "conditional-detr": conditional_detr,
    "d-fine": d_fine,
    "dab-detr": dab_detr,
    "deformable-detr": deformable_detr,
    "deformable-detr-two-stage": lambda folder: deformable_detr(
        folder, two_stage=True, with_box_refine=True
    ),
    "detr": detr,
    "rt-detr": rt_detr,
    "rt-detr-v2": lambda folder: rt_detr(folder, "RTDetrV2"),
    "table-transformer": table_transformer,
    "yolos": yolos,
}
