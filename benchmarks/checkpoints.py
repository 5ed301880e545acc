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
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from benchmarks.inputs import RATE, word_pieces

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
    "minilm-l6": _minilm_l6,
    "vit-base": _vit_base,
    "wav2vec2-base": _wav2vec2_base,
}
"""Name -> what makes the parts to save; transformers' default configs are the base sizes."""
