"""Small random audio classifiers of every exported family."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AudioClassificationPipeline

from onnxtasks_export.originals.speech_recognition import recordings
from onnxtasks_export.quiet import quiet

RATE = 16000
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
WAVE = {
    "hidden_size": 48,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 24,
    "initializer_range": 0.3,
    "num_labels": 5,
    **SIZES,
}


def awaken(model: Any, extractor: Any, spread: float = 1.5) -> None:
    """Give a random model a head by which its answers differ between recordings.

    The mean over all frames of a random encoder is nearly the same whatever it hears.

    Args:
        model: Changed in place.
        extractor: What stands before it.
        spread: Standard deviation of its logits between recordings. The more, the more of the
            encoder's rounding is in the scores.
    """
    generator = torch.Generator().manual_seed(0)
    pipeline = AudioClassificationPipeline(model=model, feature_extractor=extractor, device="cpu")
    with quiet(), torch.no_grad():
        items = recordings(RATE, np.random.default_rng(0))
        heard = [item[0] for item in items if isinstance(item, tuple)]
        logits = torch.cat([pipeline.forward(pipeline.preprocess(one))["logits"] for one in heard])
        head = model.classifier.dense if hasattr(model.classifier, "dense") else model.classifier
        scale = spread / logits.std(0).mean()
        # Around the mean answer, so that no class is always far ahead.
        head.bias.copy_((head.bias - logits.mean(0)) * scale)
        head.bias.add_(torch.randn(head.bias.shape, generator=generator), alpha=0.3)
        head.weight.mul_(scale)


def save(folder: Path, model: Any, extractor: Any) -> None:
    """Write a classifier and what stands before it."""
    awaken(model.eval(), extractor)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)


def wave(folder: Path, family: str, norm: str, **settings: Any) -> None:
    """A classifier of samples; "group" takes no attention mask, "layer" takes one."""
    config = getattr(transformers, f"{family}Config")(
        feat_extract_norm=norm, do_stable_layer_norm=norm == "layer", **WAVE, **settings
    )
    model = getattr(transformers, f"{family}ForSequenceClassification")(config)
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer")
    save(folder, model, extractor)


def spectrogram_transformer(folder: Path) -> None:
    """The Audio Spectrogram Transformer, which hears 4 s."""
    config = transformers.ASTConfig(
        hidden_size=48,
        max_length=400,
        num_mel_bins=32,
        num_labels=6,
        problem_type="multi_label_classification",
        initializer_range=0.2,
        **SIZES,
    )
    extractor = transformers.ASTFeatureExtractor(max_length=400, num_mel_bins=32)
    save(folder, transformers.ASTForAudioClassification(config), extractor)


def whisper(folder: Path) -> None:
    """Whisper's encoder with a head; it hears 4 s."""
    config = transformers.WhisperConfig(
        d_model=48,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=96,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=96,
        vocab_size=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
        max_source_positions=200,
        classifier_proj_size=24,
        num_labels=4,
        init_std=0.2,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    extractor = transformers.WhisperFeatureExtractor(chunk_length=4)
    save(folder, transformers.WhisperForAudioClassification(config), extractor)


SOUNDS: dict[str, Callable[[Path], object]] = {
    "audio-spectrogram-transformer": spectrogram_transformer,
    "hubert-sounds": lambda folder: wave(folder, "Hubert", "layer"),
    "wav2vec2-sounds": lambda folder: wave(
        folder, "Wav2Vec2", "layer", use_weighted_layer_sum=True
    ),
    "wav2vec2-sounds-group": lambda folder: wave(folder, "Wav2Vec2", "group"),
    "wavlm-sounds": lambda folder: wave(folder, "WavLM", "layer"),
    "whisper-sounds": whisper,
}
