"""Attention as the target runs it best, handed to transformers through its AttentionInterface.

CPU encoders run plain MatMul-Softmax-MatMul fastest: the engine lays it out and fuses it at load,
and every product stays visible to the quantiser (docs/design.md, "Attention").
"""

import copy
from typing import Any

import torch
from transformers import AttentionInterface

PLAIN = "onnxtasks_plain"


def plain_attention(
    module: torch.nn.Module,
    query: torch.Tensor,  # [batch, head, query, size]
    key: torch.Tensor,  # [batch, head, key, size]
    value: torch.Tensor,  # [batch, head, key, size]
    attention_mask: torch.Tensor | None,  # additive, broadcast to [batch, head, query, key]
    scaling: float | None = None,
    **_: Any,  # transformers passes what other implementations need (dropout, is_causal, ...)
) -> tuple[torch.Tensor, None]:
    """Softmax(q k^T + mask) v -> [batch, query, head, size]; eager attention of transformers."""
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # Scaling the queries touches [query, size] numbers; scaling the weights, [query, key].
    weights = torch.matmul(query * scaling, key.transpose(2, 3))
    if attention_mask is not None:
        weights = weights + attention_mask
    mixed = torch.matmul(torch.softmax(weights, dim=-1), value)
    return mixed.transpose(1, 2).contiguous(), None


def plain_copy(model: Any) -> Any:
    """A copy of a model with plain attention, where it lets its attention be chosen."""
    copied = copy.deepcopy(model)  # the original keeps its own attention
    if getattr(copied, "_supports_attention_backend", False):
        copied.set_attn_implementation(PLAIN)
    return copied.eval()


def additive_mask(attention_mask: torch.Tensor) -> torch.Tensor:
    """[batch, key] of 1 and 0 -> [batch, 1, 1, key] of 0 and the lowest float.

    A ready 4-D mask is used by transformers as it is; this one needs no expansion to
    [batch, 1, query, key].
    """
    keep = attention_mask[:, None, None, :].to(torch.float32)
    return (1.0 - keep) * torch.finfo(torch.float32).min


def sliding_mask(mask: torch.Tensor, window: int) -> torch.Tensor:
    """[batch, 1, 1, key] additive -> [batch, 1, query, key] that also hides distant keys.

    Args:
        mask: From `additive_mask`.
        window: Largest distance at which a token is seen, as transformers'
            `sliding_window_bidirectional_overlay` counts it.
    """
    at = torch.arange(mask.shape[-1], device=mask.device)
    near = (at[None, :] - at[:, None]).abs() <= window  # [query, key]
    return torch.where(near[None, None], mask, torch.finfo(torch.float32).min)


AttentionInterface.register(PLAIN, plain_attention)
