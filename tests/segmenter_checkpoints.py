"""Small random segmenters, built from configs with fixed seeds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.beit.image_processing_pil_beit import BeitImageProcessorPil
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import (
    MobileNetV2ImageProcessorPil,
)
from transformers.models.mobilevit.image_processing_pil_mobilevit import MobileViTImageProcessorPil
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

LABELS = ("wall", "sky", "tree", "road", "car")
NAMES = {
    "id2label": dict(enumerate(LABELS)),
    "label2id": {label: index for index, label in enumerate(LABELS)},
}
SIZE = {"height": 64, "width": 96}
SQUARE = {"height": 64, "width": 64}
STAGES = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}
ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.2,
}


def varied(model: Any) -> Any:
    """Give norms, biases and other parameters that start as constants a value that matters."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif bool((tensor == tensor.flatten()[0]).all()):
                tensor.add_(torch.randn_like(tensor) * 0.2)
    return model


def balanced(model: Any, classifier: Any, size: dict[str, int], spread: float = 1.0) -> Any:
    """Give every class its share of a picture: random logits have one class win everywhere.

    Norms get the statistics of some random pictures, and the last layer makes the logits of each
    class on them 0 on average, with this spread.
    """
    pixels = pictures(size)
    for module in varied(model).modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        model.train()(pixel_values=pixels)
        logits = model.eval()(pixel_values=pixels).logits
        deviation, mean = torch.std_mean(logits, dim=(0, 2, 3))
        classifier.weight.mul_((spread / deviation)[:, None, None, None])
        classifier.bias.sub_(mean).mul_(spread / deviation)
    return model


def pictures(size: dict[str, int]) -> torch.Tensor:
    """Random pixel values, with coarse shapes and with noise alone: [8, 3, height, width]."""
    shape = (size["height"], size["width"])
    coarse = torch.nn.functional.interpolate(torch.randn(5, 3, 4, 5), size=shape, mode="bicubic")
    return torch.cat([coarse + 0.3 * torch.randn_like(coarse), torch.randn(3, 3, *shape)])


def scaled(layer: Any, outputs: torch.Tensor, spread: float) -> None:
    """Make the last layer's outputs [..., channel] 0 on average, with this spread."""
    factor = spread / outputs.std()
    layer.weight.mul_(factor)
    layer.bias.sub_(outputs.flatten(0, -2).mean(0)).mul_(factor)


def different_queries(model: Any) -> Any:
    """Make DETR's queries look at different places and find different things."""
    detr, channels = varied(model).detr, model.config.d_model
    with torch.no_grad():
        detr.model.query_position_embeddings.weight.normal_(0, 2)
        for layer in detr.model.decoder.layers:
            layer.encoder_attn.q_proj.weight.mul_(2)
            layer.encoder_attn.v_proj.weight.mul_(2)
        model.bbox_attention.q_proj.weight.mul_(0.1)
        # Masks follow the attention, which is small numbers, rather than the picture.
        model.mask_head.conv1.conv.weight[:, :channels].mul_(0.1)
        model.mask_head.conv1.conv.weight[:, channels:].mul_(20)
        for stage in model.mask_head.fpn_stages:
            stage.fpn_adapter.weight.mul_(0.2)
        outputs = model.eval()(pixel_values=pictures(SIZE))
        scaled(detr.class_labels_classifier, outputs.logits, 2)
        scaled(model.mask_head.output_conv, outputs.pred_masks[..., None], 1.5)
    return model


def segformer(folder: Path) -> None:
    """SegFormer, whose graph takes any size."""
    config = transformers.SegformerConfig(
        **STAGES,
        **NAMES,
        num_attention_heads=[1, 2, 2, 4],
        mlp_ratios=[2, 2, 2, 2],
        decoder_hidden_size=16,
        initializer_range=0.2,
    )
    model = transformers.SegformerForSemanticSegmentation(config)
    balanced(model, model.decode_head.classifier, SIZE).save_pretrained(folder)
    SegformerImageProcessorPil(size=SIZE).save_pretrained(folder)


def detr(folder: Path) -> None:
    """DETR with its mask head."""
    backbone = transformers.ResNetConfig(
        embedding_size=8,
        **STAGES,
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = transformers.DetrConfig(
        backbone_config=backbone,
        **NAMES,
        num_queries=9,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        init_std=0.5,
        init_xavier_std=4.0,
    )
    different_queries(transformers.DetrForSegmentation(config)).save_pretrained(folder)
    edges = {"shortest_edge": 80, "longest_edge": 120}
    DetrImageProcessorPil(size=edges).save_pretrained(folder)


def upernet(folder: Path, backbone: Any, processor: Any) -> None:
    """UPerNet on a backbone, which resizes its logits itself."""
    config = transformers.UperNetConfig(
        backbone_config=backbone,
        **NAMES,
        hidden_size=16,
        initializer_range=0.2,
        pool_scales=[1, 2, 3],
        use_auxiliary_head=False,
    )
    model = transformers.UperNetForSemanticSegmentation(config)
    balanced(model, model.decode_head.classifier, SIZE).save_pretrained(folder)
    processor.save_pretrained(folder)


STAGE_NAMES = ["stage1", "stage2", "stage3", "stage4"]


def upernet_convnext(folder: Path) -> None:
    """UPerNet on ConvNeXT, of any size."""
    backbone = transformers.ConvNextConfig(
        **STAGES, initializer_range=0.2, out_features=STAGE_NAMES
    )
    edges = {"shortest_edge": 70}
    upernet(folder, backbone, SegformerImageProcessorPil(size=edges))


def upernet_swin(folder: Path) -> None:
    """UPerNet on Swin."""
    backbone = transformers.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 2],
        num_heads=[1, 2],
        window_size=4,
        initializer_range=0.2,
        out_features=STAGE_NAMES[:2],
    )
    upernet(folder, backbone, SegformerImageProcessorPil(size=SIZE))


def beit(folder: Path, family: str = "Beit") -> None:
    """BEiT, and Data2VecVision, its copy."""
    config = getattr(transformers, f"{family}Config")(
        **ENCODER,
        **NAMES,
        image_size=64,
        patch_size=16,
        out_indices=[1, 2, 3, 4],
        pool_scales=[1, 2, 3],
        use_relative_position_bias=True,
        use_auxiliary_head=False,
    )
    model = getattr(transformers, f"{family}ForSemanticSegmentation")(config)
    balanced(model, model.decode_head.classifier, SQUARE).save_pretrained(folder)
    BeitImageProcessorPil(size=SQUARE, crop_size=SQUARE).save_pretrained(folder)


def dpt(folder: Path) -> None:
    """DPT with its own ViT."""
    config = transformers.DPTConfig(
        **ENCODER,
        **NAMES,
        image_size=64,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 12, 16, 20],
        fusion_hidden_size=16,
        use_auxiliary_head=False,
    )
    model = transformers.DPTForSemanticSegmentation(config)
    balanced(model, model.head.head[4], SQUARE).save_pretrained(folder)
    DPTImageProcessorPil(size=SQUARE).save_pretrained(folder)


def mobilevit(folder: Path) -> None:
    """MobileViT with DeepLabV3's head."""
    config = transformers.MobileViTConfig(
        **NAMES,
        image_size=64,
        hidden_sizes=[16, 24, 32],
        neck_hidden_sizes=[4, 8, 12, 16, 20, 24, 32],
        num_attention_heads=2,
        expand_ratio=2.0,
        output_stride=16,
        aspp_out_channels=16,
        atrous_rates=[1, 2, 3],
        initializer_range=0.3,
    )
    model = transformers.MobileViTForSemanticSegmentation(config)
    balanced(model, model.segmentation_head.classifier.convolution, SQUARE).save_pretrained(folder)
    size = {"shortest_edge": 72}
    MobileViTImageProcessorPil(size=size, crop_size=SQUARE).save_pretrained(folder)


def mobilenet(folder: Path) -> None:
    """MobileNetV2 with DeepLabV3+'s head."""
    config = transformers.MobileNetV2Config(
        **NAMES, image_size=64, depth_multiplier=0.25, output_stride=8, initializer_range=0.3
    )
    model = transformers.MobileNetV2ForSemanticSegmentation(config)
    classifier = model.segmentation_head.classifier.convolution
    balanced(model, classifier, SQUARE, spread=0.3).save_pretrained(folder)
    size = {"shortest_edge": 72}
    MobileNetV2ImageProcessorPil(size=size, crop_size=SQUARE).save_pretrained(folder)


SEGMENTERS: dict[str, Callable[[Path], object]] = {
    "beit-segments": beit,
    "data2vec-vision-segments": lambda folder: beit(folder, "Data2VecVision"),
    "detr-masks": detr,
    "dpt-segments": dpt,
    "mobilenet_v2-segments": mobilenet,
    "mobilevit-segments": mobilevit,
    "segformer": segformer,
    "upernet-convnext": upernet_convnext,
    "upernet-swin": upernet_swin,
}
