"""Encoder-decoders: BART, mBART, Marian, PEGASUS, M2M100, T5 and their like.

The encoder's graph ends with what the decoder needs of it: the keys and values of the source in
every layer, computed once a sentence. Rows of a sentence (beams) share them.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.session import Array
from onnxtasks_export.attention import additive_mask
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes
from onnxtasks_export.graphs.causal_decoder import key_shape
from onnxtasks_export.graphs.decoder import (
    Dimensions,
    Heads,
    decoder_graph,
    decoder_inputs,
    read_rows,
)
from onnxtasks_export.graphs.decoder_check import check_decoder, refusals
from onnxtasks_export.graphs.decoder_parts import plain_parts
from onnxtasks_export.graphs.relative_positions import RELATIVE, look_up_relative_positions
from onnxtasks_export.quiet import quiet
from onnxtasks_export.slot_attention import SLOTS, SlotCache

SOURCE_LAYERS = {"encoder_attn": ("k_proj", "v_proj"), "EncDecAttention": ("k", "v")}
"""What families call a layer's attention to the source, and in it the layers of keys and values."""


class SourceEncoder(nn.Module):
    """Base of the encoders that end with the keys and values of the source for every layer."""

    def __init__(self, encoder: Any, source_layers: list[nn.Module], heads: int) -> None:
        """Args: a copy of the encoder; keys' and values' layers, by turns; heads of each."""
        super().__init__()
        self.encoder = encoder
        self.source_layers = nn.ModuleList(source_layers)
        self.heads = heads

    def seen(self, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the decoder needs of the source.

        Args:
            hidden: The encoder's hidden states [batch, source, hidden].

        Returns:
            Keys [batch, head, size, source] and values [batch, head, source, size].
        """
        found = [layer(hidden).unflatten(2, (self.heads, -1)) for layer in self.source_layers]
        keys = [tensor.permute(0, 2, 3, 1) for tensor in found[::2]]
        return (*keys, *(tensor.transpose(1, 2) for tensor in found[1::2]))


class SequenceEncoder(SourceEncoder):
    """Source tokens -> keys and values of the source for every layer of the decoder."""

    def forward(
        self,
        input_ids: torch.Tensor,  # int64 [batch, source]
        attention_mask: torch.Tensor,  # int64 [batch, source], 1 where there is a token
    ) -> tuple[torch.Tensor, ...]:
        """Return keys [batch, head, size, source] and values [batch, head, source, size]."""
        mask = additive_mask(attention_mask)
        return self.seen(self.encoder(input_ids, attention_mask=mask).last_hidden_state)


def sequence_graphs(checkpoint: Checkpoint, spec: object) -> dict[str, Graph]:
    """Build the graphs of an encoder-decoder.

    Args:
        checkpoint: The model.
        spec: Of the task; the graphs need nothing of it.

    Raises:
        UnsupportedModelError: The family does something that the graphs cannot.
    """
    model = checkpoint.model
    copied = copy.deepcopy(model)  # the original keeps its own attention
    plain_parts(copied)
    dimensions = sequence_dimensions(model)
    with refusals(model):  # LongT5 counts distances otherwise
        encoder = encoder_graph(copied, dimensions)
        decoder = source_decoder_graph(copied, dimensions)
    _check(model, dimensions, encoder, decoder)
    return {"encoder": encoder, "decoder": decoder}


def encoder_graph(model: Any, dimensions: Dimensions) -> Graph:
    """Build the encoder's graph from a copy of a model, which is changed."""
    encoder = model.get_encoder()
    look_up_relative_positions(encoder)
    module = SequenceEncoder(encoder, source_layers(model), dimensions.source_heads)
    inputs = ("input_ids", "attention_mask")
    return Graph(
        module=module.eval(),
        inputs=dict.fromkeys(inputs, ("batch", "source")),
        outputs=source_outputs(dimensions, "source"),
        feeds=lambda sizes, rng: source_feeds(dimensions, sizes, rng),
        sizes=tuple(
            {"batch": batch, "source": min(source, dimensions.room or source)}
            for batch, source in ((2, 7), (1, 1), (3, 33), (1, 300))
        ),
    )


def source_outputs(dimensions: Dimensions, source: str | int) -> dict[str, Axes]:
    """The outputs of an encoder's graph.

    Args:
        dimensions: Of the decoder.
        source: The axis of the source: its name, or its size where that is fixed.
    """
    heads, size, layers = dimensions.source_heads, dimensions.size, range(dimensions.layers)
    return {
        **{f"source_keys.{layer}": ("batch", heads, size, source) for layer in layers},
        **{f"source_values.{layer}": ("batch", heads, source, size) for layer in layers},
    }


def source_decoder_graph(model: Any, dimensions: Dimensions, alignment: Heads = ()) -> Graph:
    """Build the decoder's graph from a copy of an encoder-decoder, which is changed.

    Args:
        model: The copy, its encoder's graph already built.
        dimensions: Of the decoder.
        alignment: Heads whose attention to the source is an output, too.
    """
    decoder = model.get_decoder()
    relative = look_up_relative_positions(decoder)
    # Encoder and decoder are parts of one copy, each with its own attention.
    _set_attention(model.get_encoder(), RELATIVE)
    _set_attention(decoder, SLOTS)
    read_rows(model, decoder)

    def logits(model: Any, given: dict[str, torch.Tensor], cache: SlotCache) -> torch.Tensor:
        values = given["source_values.0"]  # its shape is all that is used of it
        found: torch.Tensor = model(
            attention_mask=given["source_bias"],
            decoder_input_ids=given["input_ids"],
            decoder_attention_mask=given["attention_bias"],
            encoder_outputs=BaseModelOutput(last_hidden_state=values[:, 0]),
            past_key_values=cache,
            use_cache=True,
        ).logits
        return found

    inputs = decoder_inputs(dimensions, windows=False, relative=relative)
    return decoder_graph(model.eval(), dimensions, inputs, logits, alignment)


def _set_attention(stack: Any, name: str) -> None:
    """Choose the attention of one half of a model, whose halves may share a config."""
    config = copy.deepcopy(stack.config)
    config._attn_implementation = name
    for part in stack.modules():
        if getattr(part, "config", None) is not None:
            part.config = config


def source_layers(model: Any) -> list[nn.Module]:
    """The layers that make keys and values of the source, by turns, in the decoder's order.

    Raises:
        UnsupportedModelError: The decoder calls its attention to the source otherwise.
    """
    found: list[nn.Module] = []
    for path, part in model.get_decoder().named_modules():
        names = SOURCE_LAYERS.get(path.rpartition(".")[2])
        if names is not None:
            found += [getattr(part, name) for name in names]
    if not found:
        raise UnsupportedModelError(
            f"{model.config.model_type}: its decoder has no attention to the source that is known "
            f"here ({', '.join(SOURCE_LAYERS)}); it cannot be exported"
        )
    return found


def sequence_dimensions(model: Any) -> Dimensions:
    """Ask the model: one token gives the shapes of its keys and values.

    Raises:
        UnsupportedModelError: It has no cache, or layers of different shapes.
    """
    token = torch.zeros(1, 1, dtype=torch.int64)
    with quiet(), torch.no_grad():
        found = model(input_ids=token, decoder_input_ids=token, use_cache=True)
    cache = getattr(found, "past_key_values", None)
    kv_heads, size, layers = key_shape(model, getattr(cache, "self_attention_cache", None))
    heads = key_shape(model, getattr(cache, "cross_attention_cache", None))[0]
    return Dimensions(
        layers=layers,
        kv_heads=kv_heads,
        size=size,
        words=model.get_output_embeddings().weight.shape[0],
        ids=model.get_decoder().get_input_embeddings().weight.shape[0],
        room=getattr(model.config, "max_position_embeddings", None),
        source_heads=heads,
    )


def source_feeds(
    dimensions: Dimensions, sizes: Sizes, rng: np.random.Generator
) -> dict[str, Array]:
    """Random sources, padded on the right to several lengths."""
    shape = (sizes["batch"], sizes["source"])
    lengths = rng.integers(1, shape[1] + 1, shape[0])
    lengths[0] = shape[1]
    mask = (np.arange(shape[1]) < lengths[:, None]).astype(np.int64)
    return {"input_ids": rng.integers(0, dimensions.ids, shape), "attention_mask": mask}


def _check(model: Any, dimensions: Dimensions, encoder: Graph, decoder: Graph) -> None:
    """Compare both graphs with the original, on a source that is padded."""
    pad = model.config.pad_token_id or 0
    ids = torch.arange(12).reshape(2, 6) * 5 % dimensions.ids
    ids = torch.where(ids == pad, (pad + 1) % dimensions.ids, ids)
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    ids = torch.where(mask == 1, ids, pad)
    with quiet(), torch.no_grad(), refusals(model):
        made = dict(zip(encoder.outputs, encoder.module(ids, mask), strict=True))
    source = {"input_ids": ids, "attention_mask": mask}
    made["source_bias"] = additive_mask(mask)
    check_decoder(decoder, dimensions, model, source, made)
