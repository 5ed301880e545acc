"""Audio classifiers as graphs: samples or features in, class logits out."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.ctc import receptive_field
from onnxtasks.ops.fbank import FbankSpec
from onnxtasks.session import Array
from onnxtasks.tasks.audio_classification import (
    AudioClassificationSpec,
    LogMelFeatures,
    RawSamples,
)
from onnxtasks_export.attention import plain_copy
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes
from onnxtasks_export.graphs.wave_encoder import (
    WaveEncoder,
    fold_weight_norms,
    wave_feeds,
    wave_inputs,
    wave_sizes,
)

SAMPLES = (
    *("HubertForSequenceClassification", "Wav2Vec2ForSequenceClassification"),
    "WavLMForSequenceClassification",
)
"""Architectures that hear samples."""
FEATURES = ("ASTForAudioClassification", "WhisperForAudioClassification")
"""Architectures that hear features of one length."""


class WaveClassifier(nn.Module):
    """Samples -> classes, by the mean of the frames' hidden states.

    The mean is taken before the projection, which is linear: one row to project, not one a frame.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = WaveEncoder(model)
        self.projector = model.projector
        self.classifier = model.classifier
        self.shares: list[float] | None = None  # of the hidden states, where all are heard
        if model.config.use_weighted_layer_sum:
            self.shares = torch.softmax(model.layer_weights.detach(), -1).tolist()

    def forward(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[batch, samples] and its mask -> [batch, class]."""
        encoded = self.encoder(input_values, attention_mask)
        hidden = encoded.last
        if self.shares is not None:
            weighted = [
                layer * share for layer, share in zip(encoded.layers, self.shares, strict=True)
            ]
            hidden = torch.stack(weighted).sum(0)
        if encoded.mask is None:
            mean = hidden.mean(1)
        else:
            heard = encoded.mask[:, :, None]
            mean = hidden.masked_fill(~heard, 0).sum(1) / heard.sum(1)
        logits: torch.Tensor = self.classifier(self.projector(mean))
        return logits


class FeatureClassifier(nn.Module):
    """Features of one length -> classes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[batch, frame, band] or [batch, band, frame], as the model wants -> [batch, class]."""
        logits: torch.Tensor = self.model(features).logits
        return logits


def audio_graph(checkpoint: Checkpoint, spec: AudioClassificationSpec) -> Graph:
    """Build the graph of an audio classifier; the checkpoint's model stays as it is.

    Raises:
        UnsupportedModelError: Another architecture.
    """
    kind = type(checkpoint.model).__name__
    if kind not in SAMPLES + FEATURES:
        raise UnsupportedModelError(
            f"no audio classifier's graph for {kind}; supported: {', '.join(SAMPLES + FEATURES)}"
        )
    model = plain_copy(checkpoint.model)
    outputs: dict[str, Axes] = {"logits": ("batch", len(spec.labels))}
    if isinstance(spec.hears, RawSamples):
        return _wave_graph(model, spec.hears.attention_mask, outputs)
    return _feature_graph(model, spec.hears, outputs)


def _wave_graph(model: Any, masked: bool, outputs: dict[str, Axes]) -> Graph:
    fold_weight_norms(model)
    kernels, strides = model.config.conv_kernel, model.config.conv_stride
    field = receptive_field(kernels, strides)

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        return wave_feeds(sizes, rng, field=field, masked=masked)

    return Graph(
        module=WaveClassifier(model).eval(),
        inputs=wave_inputs(masked=masked),
        outputs=outputs,
        feeds=feeds,
        sizes=wave_sizes(field, math.prod(strides)),
    )


def _feature_graph(
    model: nn.Module, hears: FbankSpec | LogMelFeatures, outputs: dict[str, Axes]
) -> Graph:
    if isinstance(hears, FbankSpec):
        name, shape = "input_values", (hears.frames, hears.n_mels)
    else:
        name, shape = "input_features", (hears.mel.n_mels, hears.mel.frames)

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        return {name: rng.standard_normal((sizes["batch"], *shape), dtype=np.float32)}

    return Graph(
        module=FeatureClassifier(model).eval(),
        inputs={name: ("batch", *shape)},
        outputs=outputs,
        feeds=feeds,
        sizes=({"batch": 2}, {"batch": 1}, {"batch": 5}),
    )
