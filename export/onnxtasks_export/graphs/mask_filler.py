"""A masked language model: token ids and where the masks are -> scores of the vocabulary there."""

from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from onnxtasks.ops.text import TextSpec
from onnxtasks.session import Array
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes
from onnxtasks_export.graphs.encoder import TEXT_AXES, plain_model, text_feeds, text_sizes


class HiddenStates(nn.Module):
    """Stands where a model has its encoder, and returns what it is given: the head is left.

    Every family's forward runs its head over the first thing that its encoder returns.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.config = encoder.config
        # Some heads look the vocabulary's weights up in the encoder (DeBERTa's).
        self.embeddings = getattr(encoder, "embeddings", None)

    def forward(self, *_: Any, inputs_embeds: torch.Tensor, **__: Any) -> BaseModelOutput:
        """Return the embeddings as hidden states, [batch, token, size]."""
        return BaseModelOutput(last_hidden_state=inputs_embeds)


class MaskFillerGraph(nn.Module):
    """Encoder, then the head at the masks alone.

    Scoring the vocabulary for every token would be a sixth of a run of BERT-base at 128 tokens
    (benchmarks/mask_positions.py), and 15 MB of output.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(
        self,
        input_ids: torch.Tensor,  # int64 [batch, token]
        attention_mask: torch.Tensor,  # int64 [batch, token], 1 where there is a token
        mask_positions: torch.Tensor,  # int64 [mask, 2]: row, column
        token_type_ids: torch.Tensor | None = None,  # int64 [batch, token]
    ) -> torch.Tensor:
        """Return logits [mask, vocabulary]."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        found = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types)
        hidden = found[0]  # [batch, token, size]
        flat = mask_positions[:, 0] * hidden.shape[1] + mask_positions[:, 1]  # [mask]
        masks = hidden.flatten(0, 1).index_select(0, flat)  # [mask, size]
        logits: torch.Tensor = self.head(inputs_embeds=masks[None]).logits[0]
        return logits


def mask_filler_graph(checkpoint: Checkpoint, text: TextSpec, vocabulary: int) -> Graph:
    """Build the graph of a masked language model.

    Args:
        checkpoint: The model.
        text: Names the graph's inputs.
        vocabulary: How many tokens it scores.
    """
    model = plain_model(checkpoint)
    encoder = getattr(model, checkpoint.model.base_model_prefix)
    setattr(model, checkpoint.model.base_model_prefix, HiddenStates(encoder.encoder))
    inputs: dict[str, Axes] = {"input_ids": TEXT_AXES, "attention_mask": TEXT_AXES}
    inputs["mask_positions"] = ("mask", 2)
    if "token_type_ids" in text.inputs:  # last, for the module can do without
        inputs["token_type_ids"] = TEXT_AXES
    masks = (3, 1, 5, 2, 4)  # 3 is captured: it differs from the captured batch and tokens
    return Graph(
        module=MaskFillerGraph(encoder, model).eval(),
        inputs=inputs,
        outputs={"logits": ("mask", vocabulary)},
        feeds=lambda sizes, rng: _feeds(checkpoint, text, sizes, rng),
        sizes=tuple(
            {**sizes, "mask": count} for sizes, count in zip(text_sizes(text), masks, strict=True)
        ),
    )


def _feeds(
    checkpoint: Checkpoint, text: TextSpec, sizes: Sizes, rng: np.random.Generator
) -> dict[str, Array]:
    """Random token ids, and masks anywhere but in the padding."""
    feeds = text_feeds(checkpoint, text, sizes, rng)
    places = np.argwhere(feeds["attention_mask"] == 1)
    chosen = rng.integers(0, len(places), sizes["mask"])
    return {**feeds, "mask_positions": places[chosen].astype(np.int64)}
