"""Wav2Vec2, HuBERT and WavLM with a CTC head as a graph: samples in, symbol logits out."""

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.ctc import receptive_field
from onnxtasks.session import Array
from onnxtasks.tasks.speech_recognition import CtcSpeechSpec
from onnxtasks_export.attention import PLAIN
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Graph, Sizes
from onnxtasks_export.graphs.wave_encoder import (
    WaveEncoder,
    fold_weight_norms,
    wave_feeds,
    wave_inputs,
    wave_sizes,
)

ARCHITECTURES = ("HubertForCTC", "Wav2Vec2ForCTC", "WavLMForCTC")


class CtcGraph(nn.Module):
    """Samples -> symbol scores of each frame."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = WaveEncoder(model)
        self.head = model.lm_head

    def forward(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[batch, samples] and its mask -> [batch, frame, symbol]; padding's frames are noise."""
        logits: torch.Tensor = self.head(self.encoder(input_values, attention_mask).last)
        return logits


def ctc_graph(checkpoint: Checkpoint, spec: CtcSpeechSpec) -> Graph:
    """Build the graph of a CTC model; the checkpoint's model stays as it is.

    Raises:
        UnsupportedModelError: Another architecture.
    """
    kind = type(checkpoint.model).__name__
    if kind not in ARCHITECTURES:
        raise UnsupportedModelError(f"no CTC graph for {kind}; supported: {ARCHITECTURES}")
    model = copy.deepcopy(checkpoint.model).eval()
    if kind != "WavLMForCTC":  # its attention has a position bias of its own
        model.set_attn_implementation(PLAIN)
    fold_weight_norms(model)
    field = receptive_field(spec.conv_kernels, spec.conv_strides)

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        return wave_feeds(sizes, rng, field=field, masked=spec.attention_mask)

    return Graph(
        module=CtcGraph(model).eval(),
        inputs=wave_inputs(masked=spec.attention_mask),
        outputs={"logits": ("batch", "frame", len(spec.ctc.symbols))},
        feeds=feeds,
        sizes=wave_sizes(field, math.prod(spec.conv_strides)),
    )
