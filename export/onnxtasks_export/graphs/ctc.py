"""Wav2Vec2, HuBERT and WavLM with a CTC head as a graph: samples in, symbol logits out."""

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.ctc import receptive_field
from onnxtasks.session import Array
from onnxtasks.tasks.speech_recognition import CtcSpeechSpec
from onnxtasks_export.attention import PLAIN
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes

ARCHITECTURES = ("HubertForCTC", "Wav2Vec2ForCTC", "WavLMForCTC")


class PlainCtc(nn.Module):
    """All recordings are of one length: nothing is masked."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        """[batch, samples] -> [batch, frame, symbol]."""
        logits: torch.Tensor = self.model(input_values).logits
        return logits


class MaskedCtc(nn.Module):
    """Wav2Vec2 and HuBERT over padded recordings.

    As their model's forward with an attention mask, whose masked assignments would put NonZero
    and ScatterND into the graph.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.base = getattr(model, model.base_model_prefix)
        self.head = model.lm_head
        self.norm_last = model.config.do_stable_layer_norm
        self.step = math.prod(model.config.conv_stride)
        self.field = receptive_field(model.config.conv_kernel, model.config.conv_stride)

    def forward(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """[batch, samples] and its mask -> [batch, frame, symbol]; padding's frames are noise."""
        features = self.base.feature_extractor(input_values).transpose(1, 2)
        projected = self.base.feature_projection(features)
        # Wav2Vec2 returns the features beside it.
        hidden = projected[0] if isinstance(projected, tuple) else projected
        mask = self.frame_mask(attention_mask, hidden.shape[1])
        hidden = hidden.masked_fill(~mask[:, :, None], 0)
        lowest = torch.finfo(hidden.dtype).min
        bias = torch.zeros_like(mask, dtype=hidden.dtype).masked_fill(~mask, lowest)

        encoder = self.base.encoder
        hidden = hidden + encoder.pos_conv_embed(hidden)
        if not self.norm_last:
            hidden = encoder.layer_norm(hidden)
        for layer in encoder.layers:
            hidden = layer(hidden, attention_mask=bias[:, None, None, :])
        if self.norm_last:
            hidden = encoder.layer_norm(hidden)
        logits: torch.Tensor = self.head(hidden)
        return logits

    def frame_mask(self, attention_mask: torch.Tensor, frames: int) -> torch.Tensor:
        """[batch, samples] -> bool [batch, frame]: true where every sample is the recording's."""
        lengths = attention_mask.sum(-1)
        # One past the last sample of each frame: no division, which ONNX would do in float32.
        ends = torch.arange(frames, device=lengths.device) * self.step + self.field
        return ends[None] <= lengths[:, None]


class MaskedWavLm(nn.Module):
    """WavLM over padded recordings; its layers hand a position bias on, so its own forward runs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """[batch, samples] and its mask -> [batch, frame, symbol]; padding's frames are noise."""
        logits: torch.Tensor = self.model(input_values, attention_mask=attention_mask).logits
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
    step = math.prod(spec.conv_strides)

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        batch, samples = sizes["batch"], sizes["samples"]
        values = rng.normal(size=(batch, samples)).astype(np.float32)
        if not spec.attention_mask:
            return {"input_values": values}
        lengths = rng.integers(field, samples + 1, size=batch)
        lengths[0] = samples
        mask = (np.arange(samples) < lengths[:, None]).astype(np.int64)
        return {"input_values": values * mask.astype(np.float32), "attention_mask": mask}

    inputs: dict[str, Axes] = {"input_values": ("batch", "samples")}
    module: nn.Module = PlainCtc(model)
    if spec.attention_mask:
        inputs["attention_mask"] = ("batch", "samples")
        module = MaskedWavLm(model) if kind == "WavLMForCTC" else MaskedCtc(model)
    return Graph(
        module=module.eval(),
        inputs=inputs,
        outputs={"logits": ("batch", "frame", len(spec.ctc.symbols))},
        feeds=feeds,
        sizes=(
            {"batch": 3, "samples": field + 23 * step + 5},
            {"batch": 1, "samples": field},
            {"batch": 2, "samples": field + 11 * step + 1},
            {"batch": 5, "samples": field + 37 * step + step - 1},
        ),
    )


def fold_weight_norms(model: nn.Module) -> None:
    """Replace convolutions whose weight is computed by a norm by plain ones of the same weight.

    Not by `remove_parametrizations`: deep copies share the class that it strips of the weight, so
    it would break the model that was copied.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv1d) and parametrize.is_parametrized(child):
                setattr(parent, name, _plain(child))


def _plain(norm: nn.Conv1d) -> nn.Conv1d:
    conv = nn.Conv1d(
        norm.in_channels,
        norm.out_channels,
        norm.kernel_size,
        norm.stride,
        norm.padding,
        norm.dilation,
        norm.groups,
        bias=norm.bias is not None,
    )
    with torch.no_grad():
        conv.weight.copy_(norm.weight)
        if norm.bias is not None and conv.bias is not None:
            conv.bias.copy_(norm.bias)
    return conv.eval()
