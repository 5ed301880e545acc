"""A text encoder that pools: token ids -> one vector a text, and the hidden states."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from onnxtasks.session import Array
from onnxtasks.tasks.feature_extraction import FeatureExtractionSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Axes, Graph, Sizes
from onnxtasks_export.graphs.encoder import TEXT_AXES, plain_model, text_feeds, text_sizes

Outputs = tuple[torch.Tensor, torch.Tensor]


class EmbedderGraph(nn.Module):
    """Encoder, pooling, and what stands behind it.

    A run that asks for the vectors alone copies [batch, dim] out of the engine, not
    [batch, token, hidden].
    """

    def __init__(self, encoder: nn.Module, modes: Sequence[str], layers: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.modes = tuple(modes)
        self.layers = layers

    def forward(
        self,
        input_ids: torch.Tensor,  # int64 [batch, token]
        attention_mask: torch.Tensor,  # int64 [batch, token], 1 where there is a token
        token_type_ids: torch.Tensor | None = None,  # int64 [batch, token]
    ) -> Outputs:
        """Return the vectors [batch, dim] and the hidden states [batch, token, hidden]."""
        hidden = self.hidden(input_ids, attention_mask, token_type_ids)
        return self.embed(hidden, attention_mask), hidden

    def hidden(
        self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the hidden states of the last layer."""
        more = {} if types is None else {"token_type_ids": types}
        hidden: torch.Tensor = self.encoder(input_ids=ids, attention_mask=mask, **more)[0]
        return hidden

    def embed(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Pool what the mask shows, and run the layers behind."""
        pooled = torch.cat([pooled_by(mode, hidden, mask) for mode in self.modes], dim=-1)
        vectors: torch.Tensor = self.layers(pooled)
        return vectors


class PromptlessEmbedderGraph(EmbedderGraph):
    """The same for checkpoints that leave the prompt's tokens out of their pooling."""

    def forward(  # type: ignore[override]  # a graph's inputs are its own
        self,
        input_ids: torch.Tensor,  # int64 [batch, token]
        attention_mask: torch.Tensor,  # int64 [batch, token], 1 where there is a token
        pooling_mask: torch.Tensor,  # int64 [batch, token], 1 where a token is pooled
        token_type_ids: torch.Tensor | None = None,  # int64 [batch, token]
    ) -> Outputs:
        """Return the vectors [batch, dim] and the hidden states [batch, token, hidden]."""
        hidden = self.hidden(input_ids, attention_mask, token_type_ids)
        return self.embed(hidden, pooling_mask), hidden


def pooled_by(mode: str, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Pool as `Pooling` of sentence-transformers 6.2 does with padding on the right.

    Args:
        mode: One of its names.
        hidden: [batch, token, hidden].
        mask: int64 [batch, token], 1 where a token is pooled; at least one a text.

    Returns:
        [batch, hidden].
    """
    at = torch.arange(mask.shape[1], device=mask.device)[None]  # [1, token]
    keep = mask[..., None].to(hidden.dtype)  # [batch, token, 1]
    rows = torch.arange(mask.shape[0], device=mask.device)
    if mode == "cls":
        return hidden[rows, torch.where(mask == 1, at, mask.shape[1] - 1).amin(1)]
    if mode == "lasttoken":
        return hidden[rows, torch.where(mask == 1, at, 0).amax(1)]
    if mode == "max":
        return torch.where(mask[..., None] == 1, hidden, -torch.inf).amax(1)
    if mode == "weightedmean":  # a token weighs as much as its position, from 1
        keep = keep * (at[..., None] + 1).to(hidden.dtype)
    total = torch.clamp(keep.sum(1), min=1e-9)
    if mode == "mean_sqrt_len_tokens":
        total = torch.sqrt(total)
    return (hidden * keep).sum(1) / total


def embedder_graph(checkpoint: Checkpoint, spec: FeatureExtractionSpec, layers: nn.Module) -> Graph:
    """Build the graph of an encoder that pools.

    Args:
        checkpoint: The model.
        spec: Names the inputs and the ways to pool.
        layers: What stands behind the pooling.
    """
    kind = EmbedderGraph if spec.include_prompt else PromptlessEmbedderGraph
    names: list[str] = list(spec.text.inputs)
    if not spec.include_prompt:
        names.insert(2, "pooling_mask")
    inputs: dict[str, Axes] = dict.fromkeys(names, TEXT_AXES)

    def feeds(sizes: Sizes, rng: np.random.Generator) -> dict[str, Array]:
        made = text_feeds(checkpoint, spec.text, sizes, rng)
        if not spec.include_prompt:
            mask = made["attention_mask"]
            prompt = rng.integers(0, mask.sum(1))[:, None]  # [batch, 1], leaves one token
            made["pooling_mask"] = np.where(np.arange(mask.shape[1]) < prompt, 0, mask)
        return made

    return Graph(
        module=kind(plain_model(checkpoint), spec.pooling, layers).eval(),
        inputs=inputs,
        outputs={
            "embeddings": ("batch", spec.dim),
            "last_hidden_state": ("batch", "token", spec.hidden_size),
        },
        feeds=feeds,
        sizes=text_sizes(spec.text),
    )
