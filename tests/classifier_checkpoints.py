"""Random image classifiers and embedders of many families, each a config and its processor."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from onnxtasks_export.originals.image_classification import textured

LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4}
VIT = {"image_size": 64, "patch_size": 16, "hidden_size": 48, "intermediate_size": 96, **LAYERS}
SQUARE = {"size": {"height": 64, "width": 64}}
EDGE = {"size": {"shortest_edge": 64}}
CROP = {"crop_size": {"height": 64, "width": 64}}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
TOWER = {**VIT, "num_channels": 3}

CLASSIFIERS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "beit": ("Beit", VIT, "beit.Beit", {**SQUARE, **CROP, "do_center_crop": True}),
    "convnextv2": ("ConvNextV2", STAGES, "convnext.ConvNext", EDGE),
    "cvt": (
        "Cvt",
        {"embed_dim": [16, 32, 48], "num_heads": [1, 2, 3], "depth": [1, 2, 3]},
        "convnext.ConvNext",
        EDGE,
    ),
    "deit": ("DeiT", VIT, "deit.DeiT", {"size": {"height": 72, "width": 72}, **CROP}),
    "dinov2": (
        "Dinov2",
        {"image_size": 56, "patch_size": 14, "hidden_size": 48, **LAYERS},
        "bit.Bit",
        {"size": {"shortest_edge": 80}, "crop_size": {"height": 70, "width": 70}},
    ),
    "efficientnet": (
        "EfficientNet",
        {
            "image_size": 64,
            "width_coefficient": 0.25,
            "depth_coefficient": 0.2,
            "hidden_dim": 320,
        },
        "efficientnet.EfficientNet",
        {"size": {"height": 64, "width": 64}},
    ),
    "levit": (
        "Levit",
        {
            "image_size": 64,
            "hidden_sizes": [16, 32, 48],
            "num_attention_heads": [2, 2, 3],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
        },
        "levit.Levit",
        {**EDGE, **CROP},
    ),
    "mobilenet_v2": (
        "MobileNetV2",
        {"depth_multiplier": 0.35},
        "mobilenet_v2.MobileNetV2",
        {"size": {"shortest_edge": 72}, **CROP},
    ),
    "resnet": (
        "ResNet",
        {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 2]},
        "convnext.ConvNext",
        EDGE,
    ),
    "siglip": (
        "Siglip",
        {"vision_config": TOWER, "text_config": {"vocab_size": 32, **VIT}},
        "siglip.Siglip",
        SQUARE,
    ),
    "swin": (
        "Swin",
        {
            "image_size": 64,
            "patch_size": 4,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
        "vit.ViT",
        SQUARE,
    ),
}
"""Name -> family, its config, its image processor and that one's settings."""

EMBEDDERS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "clip-features": ("CLIPVision", VIT, "clip.CLIP", {**EDGE, **CROP}),
    "convnext-features": ("ConvNext", STAGES, "convnext.ConvNext", EDGE),
    "dinov2-features": (
        "Dinov2",
        {"image_size": 56, "patch_size": 14, "hidden_size": 48, **LAYERS},
        "bit.Bit",
        {"size": {"shortest_edge": 80}, "crop_size": {"height": 70, "width": 70}},
    ),
    "siglip-features": ("SiglipVision", TOWER, "siglip.Siglip", SQUARE),
    "vit-features": ("ViT", VIT, "vit.ViT", SQUARE),
}


def image_processor(name: str, **settings: Any) -> Any:
    """A Pillow image processor of transformers, such as "vit.ViT"."""
    family, _, prefix = name.partition(".")
    module = import_module(f"transformers.models.{family}.image_processing_pil_{family}")
    return getattr(module, f"{prefix}ImageProcessorPil")(**settings)


def awaken(model: Any, processor: Any) -> None:
    """Give a random model statistics and a head by which its answers differ between pictures.

    As initialised, batch norms know nothing of their inputs, and heads are nearly 0.
    """
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    images = [textured(rng, width, height) for width, height in rng.integers(40, 400, (16, 2))]
    pictures = processor(images, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = 0.5  # what it was initialised with is soon forgotten
        for _ in range(20):
            model(pictures)
        model.eval()
        outputs = model(pictures)
        if not hasattr(outputs, "logits"):
            return
        labels = outputs.logits.shape[-1]
        heads = [
            module
            for module in model.modules()
            if isinstance(module, torch.nn.Linear) and module.out_features == labels
        ]
        spread = outputs.logits.std(0).mean()
        for head in heads:
            head.weight.mul_(0.4 / spread)
            head.bias.normal_(generator=generator)


def build_classifier(folder: Path, name: str) -> None:
    """Write the classifier `name` into a folder."""
    family, settings, processor, sizes = CLASSIFIERS[name]
    config = getattr(transformers, f"{family}Config")(num_labels=5, **settings)
    model = getattr(transformers, f"{family}ForImageClassification")(config)
    prepare = image_processor(processor, **sizes)
    awaken(model, prepare)
    model.save_pretrained(folder)
    prepare.save_pretrained(folder)


def build_embedder(folder: Path, name: str) -> None:
    """Write the embedder `name` into a folder."""
    family, settings, processor, sizes = EMBEDDERS[name]
    model = getattr(transformers, f"{family}Model")(
        getattr(transformers, f"{family}Config")(**settings)
    )
    model.save_pretrained(folder)
    image_processor(processor, **sizes).save_pretrained(folder)


def builder(name: str) -> Callable[[Path], None]:
    """What writes `name`."""
    build = build_classifier if name in CLASSIFIERS else build_embedder
    return lambda folder: build(folder, name)


SEEING = {name: builder(name) for name in (*CLASSIFIERS, *EMBEDDERS)}
