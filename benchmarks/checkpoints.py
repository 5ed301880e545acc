"""Base-size checkpoints with random weights: speed does not depend on what a model has learnt."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil
from transformers.models.mask2former.image_processing_pil_mask2former import (
    Mask2FormerImageProcessorPil,
)
from transformers.models.segformer.image_processing_pil_segformer import (
    SegformerImageProcessorPil,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from benchmarks.inputs import RATE, word_pieces

CERTAINTY = 30.0  # on the weights of a class head that is random
CTC_SYMBOLS = ("<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")  # English


def build(name: str, folder: Path) -> None:
    """Write a checkpoint of `BUILDERS` into a folder, always with the same weights."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    for part in BUILDERS[name](folder):
        part.save_pretrained(str(folder))


def _bert_base(folder: Path) -> tuple[Any, ...]:
    pieces = word_pieces()
    config = transformers.BertConfig(vocab_size=len(pieces), num_labels=2)
    tokenizer = transformers.BertTokenizer(vocab=pieces, model_max_length=512)
    return transformers.BertForSequenceClassification(config), tokenizer


def _minilm_l6(folder: Path) -> tuple[Any, ...]:
    """The shape of the sentence-transformers of that name, but for texts of up to 512 tokens."""
    pieces = word_pieces()
    config = transformers.BertConfig(
        vocab_size=len(pieces),
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=6,
    )
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(vocab=pieces, model_max_length=512).save_pretrained(folder)
    encoder = Transformer(str(folder))
    pooling = Pooling(config.hidden_size, "mean")
    return (SentenceTransformer(modules=[encoder, pooling, Normalize()], device="cpu"),)


def _vit_base(folder: Path) -> tuple[Any, ...]:
    model = transformers.ViTForImageClassification(transformers.ViTConfig(num_labels=1000))
    return model, ViTImageProcessorPil()


def _convnext_tiny(folder: Path) -> tuple[Any, ...]:
    config = transformers.ConvNextConfig(num_labels=1000)
    processor = ConvNextImageProcessorPil(size={"shortest_edge": 224}, crop_pct=224 / 256)
    return transformers.ConvNextForImageClassification(config), processor


def _detr_r50(folder: Path) -> tuple[Any, ...]:
    config = transformers.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone_config=transformers.ResNetConfig(out_features=["stage4"]),
        num_labels=91,
    )
    return transformers.DetrForObjectDetection(config), DetrImageProcessorPil()


def _mask2former_tiny(folder: Path) -> tuple[Any, ...]:
    """As published for panoptic segmentation: 133 classes, 100 queries, pictures of 384 x 384."""
    backbone = transformers.SwinConfig(
        embed_dim=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = transformers.Mask2FormerConfig(backbone_config=backbone, num_labels=133)
    model = transformers.Mask2FormerForUniversalSegmentation(config)
    with torch.no_grad():  # surer of its queries than random weights are
        model.class_predictor.weight.mul_(CERTAINTY)
    processor = Mask2FormerImageProcessorPil(size={"height": 384, "width": 384})
    return model, processor


def _segformer_b0(folder: Path) -> tuple[Any, ...]:
    model = transformers.SegformerForSemanticSegmentation(
        transformers.SegformerConfig(num_labels=150)
    )
    return model, SegformerImageProcessorPil()


def _glpn(folder: Path) -> tuple[Any, ...]:
    return transformers.GLPNForDepthEstimation(transformers.GLPNConfig()), GLPNImageProcessorPil()


def _wav2vec2_base(folder: Path) -> tuple[Any, ...]:
    symbols = folder / "vocab.json"
    symbols.write_text(json.dumps({symbol: i for i, symbol in enumerate(CTC_SYMBOLS)}))
    config = transformers.Wav2Vec2Config(vocab_size=len(CTC_SYMBOLS), pad_token_id=0)
    processor = transformers.Wav2Vec2Processor(
        feature_extractor=transformers.Wav2Vec2FeatureExtractor(
            sampling_rate=RATE, return_attention_mask=False
        ),
        tokenizer=transformers.Wav2Vec2CTCTokenizer(str(symbols)),
    )
    return transformers.Wav2Vec2ForCTC(config), processor


BUILDERS: dict[str, Callable[[Path], tuple[Any, ...]]] = {
    "bert-base": _bert_base,
    "convnext-tiny": _convnext_tiny,
    "detr-r50": _detr_r50,
    "glpn": _glpn,
    "mask2former-tiny": _mask2former_tiny,
    "minilm-l6": _minilm_l6,
    "segformer-b0": _segformer_b0,
    "vit-base": _vit_base,
    "wav2vec2-base": _wav2vec2_base,
}
"""Name -> what makes the parts to save; transformers' default configs are the base sizes."""
