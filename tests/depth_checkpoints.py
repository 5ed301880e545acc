"""Small random depth estimators, built from configs with fixed seeds."""

from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from torch import nn
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil

BACKBONE = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.2,
}
NECK = {
    "neck_hidden_sizes": [8, 12, 16, 20],
    "fusion_hidden_size": 16,
    "initializer_range": 0.1,
}


def vary(model: nn.Module) -> nn.Module:
    """Give every parameter that starts as a constant, and every batch norm, other values.

    As built, norms and position embeddings do nothing, so a mistake in them would not show.
    """
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if not tensor.is_floating_point():
            continue
        with torch.no_grad():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif bool((tensor == tensor.flatten()[0]).all()):
                tensor.add_(torch.randn_like(tensor) * 0.2)
    return model


def sharpen(convolution: nn.Module, gain: float = 10.0) -> None:
    """Make the last convolution's depths differ, and mostly positive: a ReLU follows."""
    with torch.no_grad():
        convolution.weight.mul_(gain)
        convolution.bias.fill_(1)


def glpn(folder: Path) -> None:
    """GLPN, whose depths are metres."""
    config = transformers.GLPNConfig(
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 3, 4],
        mlp_ratios=[2, 2, 2, 2],
        decoder_hidden_size=16,
        initializer_range=0.2,
    )
    vary(transformers.GLPNForDepthEstimation(config)).save_pretrained(folder)
    GLPNImageProcessorPil().save_pretrained(folder)


def dpt(folder: Path) -> None:
    """DPT with its own ViT: one size."""
    config = transformers.DPTConfig(
        **{**BACKBONE, **NECK},
        image_size=64,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
    )
    model = vary(transformers.DPTForDepthEstimation(config))
    sharpen(model.head.head[-2])
    model.save_pretrained(folder)
    DPTImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)


def dinov2(patch_size: int, positions: int) -> transformers.Dinov2Config:
    """A DINOv2 backbone that was trained on a square of so many positions a side."""
    return transformers.Dinov2Config(
        **{name: value for name, value in BACKBONE.items() if name != "intermediate_size"},
        mlp_ratio=2,
        image_size=patch_size * positions,
        patch_size=patch_size,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )


def dpt_dinov2(folder: Path) -> None:
    """DPT on DINOv2, as published: pictures keep their size and are padded around."""
    config = transformers.DPTConfig(**NECK, backbone_config=dinov2(14, 5))
    model = vary(transformers.DPTForDepthEstimation(config))
    sharpen(model.head.head[-2], 3.0)
    model.save_pretrained(folder)
    DPTImageProcessorPil(do_resize=False, do_pad=True, size_divisor=14).save_pretrained(folder)


def dpt_hybrid(folder: Path) -> None:
    """DPT on a convolutional BiT backbone: one size."""
    backbone = transformers.BitConfig(
        global_padding="same",
        layer_type="bottleneck",
        embedding_dynamic_padding=True,
        embedding_size=8,
        hidden_sizes=[32, 32, 64],
        depths=[1, 1, 1],
        num_groups=4,
        out_features=["stage1", "stage2", "stage3"],
    )
    config = transformers.DPTConfig(
        **{**BACKBONE, **NECK, "neck_hidden_sizes": [32, 32, 16, 20]},
        is_hybrid=True,
        backbone_config=backbone,
        backbone_featmap_shape=[1, 64, 4, 4],
        image_size=64,
        backbone_out_indices=[0, 1, 2, 3],
    )
    model = vary(transformers.DPTForDepthEstimation(config))
    sharpen(model.head.head[-2])
    model.save_pretrained(folder)
    DPTImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)


def depth_anything(folder: Path, kind: str = "relative") -> None:
    """Depth Anything on DINOv2: any size that is a multiple of its patches."""
    config = transformers.DepthAnythingConfig(
        **NECK,
        backbone_config=dinov2(14, 5),
        reassemble_hidden_size=32,
        head_hidden_size=8,
        depth_estimation_type=kind,
        max_depth=20 if kind == "metric" else 1,
    )
    model = vary(transformers.DepthAnythingForDepthEstimation(config))
    sharpen(model.head.conv3)
    model.save_pretrained(folder)
    DPTImageProcessorPil(
        size={"height": 70, "width": 70}, keep_aspect_ratio=True, ensure_multiple_of=14
    ).save_pretrained(folder)


DEPTH: dict[str, Callable[[Path], object]] = {
    "glpn": glpn,
    "dpt": dpt,
    "dpt-dinov2": dpt_dinov2,
    "dpt-hybrid": dpt_hybrid,
    "depth-anything": depth_anything,
    "depth-anything-metric": lambda folder: depth_anything(folder, "metric"),
}
