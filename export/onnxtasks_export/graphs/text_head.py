"""A text encoder with its head: token ids -> what the head gives (logits, starts and ends)."""

from collections.abc import Sequence

import torch
from torch import nn

from onnxtasks.ops.text import TextSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph
from onnxtasks_export.graphs.encoder import TEXT_AXES, plain_model, text_feeds, text_sizes


class TextHeadGraph(nn.Module):
    """Token ids -> outputs of the model, by name."""

    def __init__(self, model: nn.Module, outputs: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.outputs = tuple(outputs)

    def forward(
        self,
        input_ids: torch.Tensor,  # int64 [batch, token]
        attention_mask: torch.Tensor,  # int64 [batch, token], 1 where there is a token
        token_type_ids: torch.Tensor | None = None,  # int64 [batch, token]
    ) -> tuple[torch.Tensor, ...]:
        """Return the outputs in their order."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        found = self.model(input_ids=input_ids, attention_mask=attention_mask, **types)
        return tuple(getattr(found, name) for name in self.outputs)


def text_head_graph(checkpoint: Checkpoint, text: TextSpec, outputs: dict[str, Axes]) -> Graph:
    """Build the graph of a text model with its head.

    Args:
        checkpoint: The model.
        text: Names the graph's inputs.
        outputs: Fields of what the model returns, with their axes.
    """
    return Graph(
        module=TextHeadGraph(plain_model(checkpoint), tuple(outputs)).eval(),
        inputs=dict.fromkeys(text.inputs, TEXT_AXES),
        outputs=outputs,
        feeds=lambda sizes, rng: text_feeds(checkpoint, text, sizes, rng),
        sizes=text_sizes(text),
    )
