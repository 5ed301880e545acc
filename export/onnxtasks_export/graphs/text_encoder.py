"""Encoders with a sequence-classification head (BERT, DistilBERT)."""

import copy

import numpy as np
import torch
from torch import nn

from onnxtasks.session import Array
from onnxtasks.tasks.text_classification import TextClassificationSpec
from onnxtasks_export.attention import PLAIN, additive_mask
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes


class TextClassifierGraph(nn.Module):
    """Token ids -> logits."""

    def __init__(self, model: nn.Module, *, takes_types: bool) -> None:
        super().__init__()
        self.model = model
        self.takes_types = takes_types

    def forward(
        self,
        input_ids: torch.Tensor,  # int64 [batch, token]
        attention_mask: torch.Tensor,  # int64 [batch, token], 1 where there is a token
        token_type_ids: torch.Tensor | None = None,  # int64 [batch, token]
    ) -> torch.Tensor:
        """Return logits [batch, class]."""
        types = {"token_type_ids": token_type_ids} if self.takes_types else {}
        mask = additive_mask(attention_mask)
        logits: torch.Tensor = self.model(input_ids, attention_mask=mask, **types).logits
        return logits


def text_classifier_graph(checkpoint: Checkpoint, spec: TextClassificationSpec) -> Graph:
    """Build the graph of a text classifier."""
    model = copy.deepcopy(checkpoint.model)  # the original keeps its own attention
    model.set_attn_implementation(PLAIN)
    takes_types = "token_type_ids" in spec.text.inputs
    longest = spec.text.max_length

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        shape = (sizes["batch"], sizes["token"])
        lengths = rng.integers(1, shape[1] + 1, shape[0])
        lengths[0] = shape[1]
        mask = (np.arange(shape[1]) < lengths[:, None]).astype(np.int64)
        ids = rng.integers(0, checkpoint.config.vocab_size, shape) * mask
        made: dict[str, Array] = {"input_ids": ids, "attention_mask": mask}
        if takes_types:
            made["token_type_ids"] = rng.integers(0, checkpoint.config.type_vocab_size, shape)
        return made

    axes: Axes = ("batch", "token")
    return Graph(
        module=TextClassifierGraph(model, takes_types=takes_types).eval(),
        inputs=dict.fromkeys(spec.text.inputs, axes),
        outputs={"logits": ("batch", len(spec.labels))},
        feeds=feeds,
        sizes=tuple(
            {"batch": batch, "token": min(token, longest)}
            for batch, token in ((2, 7), (1, 1), (3, 16), (5, 33), (1, longest))
        ),
    )
