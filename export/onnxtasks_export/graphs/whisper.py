"""Whisper: log-mel features -> what the decoder needs of them; and the decoder over slots.

Both are those of other encoder-decoders (graphs/sequence_decoder.py). A window has a fixed number
of frames, of which none is padding to the model; so nothing hides the source, and the decoder's
`source_bias` is not looked at.
"""

import copy
from typing import Any

import numpy as np
import torch

from onnxtasks.session import Array
from onnxtasks.speech.whisper_spec import WhisperSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Graph, Sizes
from onnxtasks_export.graphs.decoder import Dimensions
from onnxtasks_export.graphs.decoder_check import check_decoder, refusals
from onnxtasks_export.graphs.decoder_parts import plain_parts
from onnxtasks_export.graphs.sequence_decoder import (
    SourceEncoder,
    source_decoder_graph,
    source_layers,
    source_outputs,
)
from onnxtasks_export.quiet import quiet

BATCHES = (2, 1, 3)
"""Windows of a run, at each size that is checked."""


class WindowEncoder(SourceEncoder):
    """Features of windows -> keys and values of the source for every layer of the decoder."""

    def forward(
        self,
        input_features: torch.Tensor,  # float32 [batch, band, frame]
    ) -> tuple[torch.Tensor, ...]:
        """Return keys [batch, head, size, source] and values [batch, head, source, size]."""
        return self.seen(self.encoder(input_features).last_hidden_state)


def whisper_graphs(checkpoint: Checkpoint, spec: WhisperSpec) -> dict[str, Graph]:
    """Build the graphs of a Whisper model.

    Args:
        checkpoint: The model.
        spec: Names the heads that are an output, "alignment".

    Raises:
        UnsupportedModelError: The model's code does something that the graphs cannot.
    """
    model = checkpoint.model
    copied = copy.deepcopy(model)  # the original keeps its own attention
    plain_parts(copied.get_decoder())  # the encoder's positions are a table that it reads whole
    fold_scaling(copied)
    dimensions = whisper_dimensions(model)
    with refusals(model):
        encoder = window_graph(copied, dimensions)
        decoder = source_decoder_graph(copied, dimensions, spec.alignment_heads)
    _check(model, dimensions, encoder, decoder)
    return {"encoder": encoder, "decoder": decoder}


def fold_scaling(model: Any) -> None:
    """Scale what makes queries, instead of queries.

    Whisper scales them itself, before its attention. Heads are 64 wide as a rule, whose scale of
    1/8 changes no digit.
    """
    for part in model.modules():
        if hasattr(part, "q_proj") and hasattr(part, "scaling"):
            with torch.no_grad():
                for parameter in part.q_proj.parameters():
                    parameter.mul_(part.scaling)
            part.scaling = 1.0


def whisper_dimensions(model: Any) -> Dimensions:
    """The sizes of Whisper's decoder, from its config and its weights."""
    config = model.config
    heads = config.decoder_attention_heads
    return Dimensions(
        layers=config.decoder_layers,
        kv_heads=heads,
        size=config.d_model // heads,
        words=model.get_output_embeddings().weight.shape[0],
        ids=model.get_decoder().get_input_embeddings().weight.shape[0],
        room=config.max_target_positions,
        source_heads=heads,
    )


def window_graph(model: Any, dimensions: Dimensions) -> Graph:
    """Build the encoder's graph from a copy of a model."""
    config = model.config
    frames = 2 * config.max_source_positions  # its second convolution takes every other one
    bands = config.num_mel_bins
    module = WindowEncoder(model.get_encoder(), source_layers(model), dimensions.source_heads)

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        shape = (sizes["batch"], bands, frames)
        return {"input_features": rng.standard_normal(shape, np.float32)}

    return Graph(
        module=module.eval(),
        inputs={"input_features": ("batch", bands, frames)},
        outputs=source_outputs(dimensions, config.max_source_positions),
        feeds=feeds,
        sizes=tuple({"batch": batch} for batch in BATCHES),
    )


def _check(model: Any, dimensions: Dimensions, encoder: Graph, decoder: Graph) -> None:
    """Compare both graphs with the original, on two windows."""
    feeds = encoder.feeds({"batch": 2}, np.random.default_rng(3))
    features = torch.from_numpy(feeds["input_features"])
    with quiet(), torch.no_grad(), refusals(model):
        made = dict(zip(encoder.outputs, encoder.module(features), strict=True))
    made["source_bias"] = torch.zeros(2, 1, 1, model.config.max_source_positions)
    check_decoder(decoder, dimensions, model, {"input_features": features}, made)
