"""The encoders of Wav2Vec2, HuBERT and WavLM: samples in, hidden states of frames out."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from onnxtasks.ops.ctc import receptive_field
from onnxtasks.session import Array
from onnxtasks_export.graphs.base import Axes, Sizes


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of recordings."""

    last: torch.Tensor
    """[batch, frame, dim]; padding's frames are noise."""
    layers: tuple[torch.Tensor, ...]
    """What went into the first layer and what came out of each, as the model's hidden states."""
    mask: torch.Tensor | None
    """bool [batch, frame]: which frames are the recording's; None where all are."""


class WaveEncoder(nn.Module):
    """An encoder over recordings of one length, or over padded ones with a mask.

    As its model's forward, whose masked assignments would put NonZero and ScatterND into the graph.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        config = model.config
        self.base = getattr(model, model.base_model_prefix)
        self.norm_last = config.do_stable_layer_norm
        self.hands_bias_on = config.model_type == "wavlm"  # from each layer to the next
        self.step = math.prod(config.conv_stride)
        self.field = receptive_field(config.conv_kernel, config.conv_stride)

    def forward(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> Encoded:
        """[batch, samples] and their mask -> hidden states."""
        features = self.base.feature_extractor(input_values).transpose(1, 2)
        projected = self.base.feature_projection(features)
        # Wav2Vec2 and WavLM return the features beside it.
        hidden = projected[0] if isinstance(projected, tuple) else projected
        mask = None
        if attention_mask is not None:
            mask = self.frame_mask(attention_mask, hidden.shape[1])
            hidden = hidden.masked_fill(~mask[:, :, None], 0)
        encoder = self.base.encoder
        hidden = hidden + encoder.pos_conv_embed(hidden)
        if not self.norm_last:
            hidden = encoder.layer_norm(hidden)
        layers = self.run_layers(hidden, mask)
        last = encoder.layer_norm(layers[-1]) if self.norm_last else layers[-1]
        return Encoded(last, layers, mask)

    def run_layers(
        self, hidden: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        """[batch, frame, dim] and the frames' mask -> the input and the output of each layer."""
        layers = [hidden]
        if self.hands_bias_on:
            bias = None
            for layer in self.base.encoder.layers:
                hidden, bias = layer(hidden, attention_mask=mask, position_bias=bias)
                layers.append(hidden)
            return tuple(layers)
        added = None
        if mask is not None:
            lowest = torch.finfo(hidden.dtype).min
            added = torch.zeros_like(mask, dtype=hidden.dtype).masked_fill(~mask, lowest)
            added = added[:, None, None, :]
        for layer in self.base.encoder.layers:
            hidden = layer(hidden, attention_mask=added)
            layers.append(hidden)
        return tuple(layers)

    def frame_mask(self, attention_mask: torch.Tensor, frames: int) -> torch.Tensor:
        """[batch, samples] -> bool [batch, frame]: true where every sample is the recording's."""
        lengths = attention_mask.sum(-1)
        # One past the last sample of each frame: no division, which ONNX would do in float32.
        ends = torch.arange(frames, device=lengths.device) * self.step + self.field
        return ends[None] <= lengths[:, None]


def wave_inputs(*, masked: bool) -> dict[str, Axes]:
    """The inputs of a graph that hears samples."""
    inputs: dict[str, Axes] = {"input_values": ("batch", "samples")}
    if masked:
        inputs["attention_mask"] = ("batch", "samples")
    return inputs


def wave_feeds(
    sizes: Sizes, rng: np.random.Generator, *, field: int, masked: bool
) -> dict[str, Array]:
    """Noise of these sizes; with a mask, recordings of different lengths of a frame or more."""
    batch, samples = sizes["batch"], sizes["samples"]
    values = rng.normal(size=(batch, samples)).astype(np.float32)
    if not masked:
        return {"input_values": values}
    lengths = rng.integers(field, samples + 1, size=batch)
    lengths[0] = samples
    mask = (np.arange(samples) < lengths[:, None]).astype(np.int64)
    return {"input_values": values * mask.astype(np.float32), "attention_mask": mask}


def wave_sizes(field: int, step: int) -> tuple[Sizes, ...]:
    """Sizes at which a graph that hears samples is captured and checked.

    Args:
        field: Samples of the first frame.
        step: Samples from a frame to the next.
    """
    return (
        {"batch": 3, "samples": field + 23 * step + 5},
        {"batch": 1, "samples": field},
        {"batch": 2, "samples": field + 11 * step + 1},
        {"batch": 5, "samples": field + 37 * step + step - 1},
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
