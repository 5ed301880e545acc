"""T5's relative positions, looked up in a table over distances.

A graph that computes the buckets can differ from torch by one bucket where a logarithm is rounded
the other way; a table made by the model's own code cannot, and a step looks up instead of computing
logarithms.
"""

from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface

from onnxtasks_export.attention import plain_attention
from onnxtasks_export.slot_attention import current

RELATIVE = "onnxtasks_relative"


def relative_attention(
    module: nn.Module,
    query: torch.Tensor,  # [batch, head, query, size]
    key: torch.Tensor,  # [batch, head, key, size]
    value: torch.Tensor,  # [batch, head, key, size]
    attention_mask: torch.Tensor | None,  # additive, broadcast to [batch, head, query, key]
    scaling: float | None = None,
    position_bias: torch.Tensor | None = None,  # [1, head, query, key]
    **_: Any,  # transformers passes what other implementations need (dropout, is_causal, ...)
) -> tuple[torch.Tensor, None]:
    """`plain_attention` whose scores also depend on distances, as T5's encoder has it."""
    mask = attention_mask
    if position_bias is not None:
        mask = position_bias if mask is None else position_bias + mask
    return plain_attention(module, query, key, value, mask, scaling)


class RelativeBias(nn.Module):
    """What distances add to the scores of each head.

    The buckets are T5's (Raffel et al. 2020), computed by `T5Attention.compute_bias` of
    transformers.
    """

    table: torch.Tensor  # [head, distance], for key - query = -far .. far

    def __init__(self, attention: Any) -> None:
        """Tabulate an attention layer that `has_relative_attention_bias`."""
        super().__init__()
        self.far = int(attention.relative_attention_max_distance)  # farther ones share a bucket
        with torch.no_grad():  # one query at position `far`, among keys at 0 .. 2 * far
            bias = attention.compute_bias(1, 2 * self.far + 1, past_seen_tokens=self.far)
        table = bias[0, :, 0].contiguous()
        self.register_buffer("table", table)

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Positions [batch, query] and [batch, key] -> [batch, head, query, key]."""
        distances = keys[:, None, :] - queries[:, :, None]
        index = distances.clamp(-self.far, self.far) + self.far
        found = self.table.index_select(1, index.reshape(-1))
        return found.reshape(-1, *index.shape).transpose(0, 1)


class LookedUpBias:
    """Stands where an attention layer computes its bias, in a decoder or an encoder."""

    def __init__(self, bias: RelativeBias) -> None:
        self.bias = bias

    def __call__(self, query_length: int, key_length: int, **_: Any) -> torch.Tensor:
        """[batch or 1, head, query, key], for the run that is on."""
        state = current()
        if state is not None and state.slot_positions is not None:
            return self.bias(state.positions, state.slot_positions)
        places = torch.arange(query_length, device=self.bias.table.device)[None]
        return self.bias(places, places)


def look_up_relative_positions(stack: nn.Module) -> bool:
    """Let the layers of an encoder or decoder look their biases up; False if it has none."""
    found = False
    for attention in list(stack.modules()):
        if getattr(attention, "has_relative_attention_bias", False):
            bias = RelativeBias(attention)
            attention.looked_up = bias
            attention.compute_bias = LookedUpBias(bias)
            found = True
    return found


AttentionInterface.register(RELATIVE, relative_attention)
