"""Attention over slots: what a decoder reads its past with, handed to transformers.

Every token read takes one slot of a buffer that only grows; an additive bias says which slots a new
token sees. So one operator serves prompts of different lengths, beams that share their past and
drafts, and nothing is moved (docs/design.md, "Generation"). The operator is com.microsoft's
MultiHeadAttention with `past_sequence_length`: with past and present bound to one buffer it writes
in place and reads the filled part only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface, EncoderDecoderCache

from onnxtasks.errors import UnsupportedModelError

SLOTS = "onnxtasks_slots"
FLOAT = 1  # ONNX's number of the type
UNKNOWN = {
    "softcap": "limits its attention scores (softcapping)",
    "s_aux": "has attention sinks",
}
"""Settings that models hand to their attention, and that MultiHeadAttention does not have."""


@dataclass
class Reading:
    """What the attention layers of one run read and write."""

    positions: torch.Tensor
    """int64 [batch, row]: of each new token in its own text."""
    filled: torch.Tensor
    """int32 [1]: slots that are taken."""
    read: torch.Tensor | None = None
    """int64 [batch, read]: which new tokens' scores are wanted."""
    keys: tuple[torch.Tensor, ...] = ()
    """A layer: [batch, kv_head, capacity, size]."""
    values: tuple[torch.Tensor, ...] = ()
    source_keys: tuple[torch.Tensor, ...] = ()
    """A layer: [batch, head, size, source], transposed already."""
    source_values: tuple[torch.Tensor, ...] = ()
    """A layer: [batch, head, source, size]."""
    slot_positions: torch.Tensor | None = None
    """int64 [batch, total]: of the token in each slot; for relative positions."""
    new_keys: dict[int, torch.Tensor] = field(default_factory=dict)
    new_values: dict[int, torch.Tensor] = field(default_factory=dict)
    source_weights: list[torch.Tensor] = field(default_factory=list)
    """A layer: [batch, head, row, source]: how much each new token looks at the source."""
    layer: int | None = None
    """Whose keys and values were handed over last and wait for their attention."""
    biases: list[tuple[Any, Any, torch.Tensor]] = field(default_factory=list)
    """Mask, position bias and what was made of them; few, and compared by identity."""

    def bias(
        self, mask: torch.Tensor, position_bias: torch.Tensor | None, group: int
    ) -> torch.Tensor:
        """What is added to the scores, [batch, 1 or head, row * group, total]; made once a run.

        Args:
            mask: [batch, 1, row, total] of 0 and the lowest float.
            position_bias: [batch, head, row, total] of relative positions, the same in all layers.
            group: Query heads of one key head, the same in all layers; they are neighbouring rows
                of the operator.
        """
        for known, known_positions, whole in self.biases:
            if known is mask and known_positions is position_bias:
                return whole
        whole = mask if position_bias is None else mask + position_bias
        if group > 1:
            batch, heads, row, total = whole.shape
            whole = whole[:, :, :, None].expand(-1, -1, -1, group, -1)
            whole = whole.reshape(batch, heads, row * group, total)
        self.biases.append((mask, position_bias, whole))
        return whole


_READING: ContextVar[Reading | None] = ContextVar("reading", default=None)


def current() -> Reading | None:
    """What is being read; None outside `reading`."""
    return _READING.get()


@contextmanager
def reading(state: Reading) -> Iterator["SlotCache"]:
    """Let the attention layers of a `SLOTS` model read a state; gives what they take for a cache.

    transformers hands no more than keys and values from a cache to an attention function.
    """
    token = _READING.set(state)
    try:
        yield SlotCache(state)
    finally:
        _READING.reset(token)


@dataclass
class _SourceLayer:
    keys: torch.Tensor
    values: torch.Tensor


@dataclass
class _SourceCache:
    layers: list[_SourceLayer]


class _Always(dict[int, bool]):
    """The keys and values of the source are there, in every layer."""

    def get(self, *_: Any) -> bool:
        return True


class SlotCache(EncoderDecoderCache):
    """Looks like a cache to a model; only notes whose keys and values come next."""

    is_sliding = is_linear = is_dummy = ()
    is_compileable = False

    def __init__(self, state: Reading) -> None:
        # Not the parent's: it wants caches of its own kinds.
        self.state = state
        pairs = zip(state.source_keys, state.source_values, strict=True)
        self.self_attention_cache = self
        self.cross_attention_cache = _SourceCache([_SourceLayer(*pair) for pair in pairs])
        self.is_updated = _Always()

    def __len__(self) -> int:
        return 1  # a cache is also asked whether it is true

    def update(
        self, key: torch.Tensor, value: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give back the new keys and values: the operator adds them to the past itself."""
        self.state.layer = layer_idx
        return key, value

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        """Nothing: positions are an input."""
        return 0


def slot_attention(
    module: torch.nn.Module,
    query: torch.Tensor,  # [batch, head, row, size]
    key: torch.Tensor,  # [batch, kv_head, row, size], or [batch, head, size, source]
    value: torch.Tensor,  # [batch, kv_head, row, size], or [batch, head, source, size]
    attention_mask: torch.Tensor | None,  # additive, [batch, 1, row, total]; of a source, see below
    scaling: float | None = None,
    position_bias: torch.Tensor | None = None,
    **settings: Any,  # transformers passes what other implementations need
) -> tuple[torch.Tensor, None]:
    """Attention of a layer to its slots, or to the source -> [batch, row, head, size].

    Raises:
        UnsupportedModelError: The model wants what the operator cannot do.
    """
    state = current()
    if state is None:
        raise RuntimeError("slot attention runs inside `reading` only")
    for name, what in UNKNOWN.items():
        if settings.get(name) is not None:
            kind = getattr(getattr(module, "config", None), "model_type", "this model")
            raise UnsupportedModelError(
                f"{kind} {what}, which the attention operator of decoders cannot do"
            )
    scaling = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    layer, state.layer = state.layer, None
    if layer is None:
        seen = state.source_weights
        return source_attention(query, key, value, attention_mask, scaling, seen), None
    if attention_mask is None:
        raise RuntimeError("what the new tokens see is a mask; there is none")
    batch, heads, row, size = query.shape
    kv_heads = key.shape[1]
    group = heads // kv_heads
    # Heads that share a key head become neighbouring rows, which share keys as rows do.
    rows = query.view(batch, kv_heads, group, row, size).permute(0, 3, 2, 1, 4)
    mixed, state.new_keys[layer], state.new_values[layer] = shared_attention(
        query=rows.reshape(batch, row * group, kv_heads * size) if group > 1 else _flat(query),
        key=_flat(key),
        value=_flat(value),
        bias=state.bias(attention_mask, position_bias, group),
        past_key=state.keys[layer],
        past_value=state.values[layer],
        filled=state.filled,
        scale=scaling,
    )
    if group > 1:
        mixed = mixed.view(batch, row, group, kv_heads, size).permute(0, 1, 3, 2, 4)
    return mixed.reshape(batch, row, heads, size), None


def _flat(heads: torch.Tensor) -> torch.Tensor:
    """[batch, head, row, size] -> [batch, row, head * size]."""
    batch, count, row, size = heads.shape
    return heads.transpose(1, 2).reshape(batch, row, count * size)


def source_attention(
    query: torch.Tensor,  # [batch, head, row, size]
    key: torch.Tensor,  # [batch, head, size, source]
    value: torch.Tensor,  # [batch, head, source, size]
    mask: torch.Tensor | None,  # additive, [batch, 1, 1, source]; None hides nothing
    scaling: float,
    seen: list[torch.Tensor] | None = None,  # takes the weights, [batch, head, row, source]
) -> torch.Tensor:
    """Attention to the source -> [batch, row, head, size]; the rows of a sentence share its keys.

    Repeating keys and values for each beam is slower at 32 rows (EXPORT_NOTES.md, 33).
    """
    scores = torch.matmul(query if scaling == 1.0 else query * scaling, key)
    weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
    if seen is not None:
        seen.append(weights)
    return torch.matmul(weights, value).transpose(1, 2)


def shared_attention(
    query: torch.Tensor,  # [batch, row * group, kv_head * size]
    key: torch.Tensor,  # [batch, row, kv_head * size]
    value: torch.Tensor,  # [batch, row, kv_head * size]
    bias: torch.Tensor,  # [batch, 1 or kv_head, row * group, filled + row]
    past_key: torch.Tensor,  # [batch, kv_head, capacity, size]
    past_value: torch.Tensor,  # [batch, kv_head, capacity, size]
    filled: torch.Tensor,  # int32 [1]
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ONNX Runtime's MultiHeadAttention -> mixed values, and the buffers with the new slots.

    In a graph it is the operator; called as it is, the same in torch.
    """
    kv_heads, size = past_key.shape[1], past_key.shape[3]
    if torch.compiler.is_exporting():
        mixed, new_key, new_value = torch.onnx.ops.symbolic_multi_out(
            "com.microsoft::MultiHeadAttention",
            (query, key, value, None, None, bias, past_key, past_value, filled),
            {"num_heads": kv_heads, "scale": scale},
            dtypes=(FLOAT,) * 3,
            shapes=(query.shape, past_key.shape, past_value.shape),
            version=1,
        )
        return mixed, new_key, new_value
    batch, rows, _ = query.shape
    start, end = int(filled[0]), int(filled[0]) + key.shape[1]
    new_key, new_value = past_key.clone(), past_value.clone()
    new_key[:, :, start:end] = key.view(batch, -1, kv_heads, size).transpose(1, 2)
    new_value[:, :, start:end] = value.view(batch, -1, kv_heads, size).transpose(1, 2)
    heads = query.view(batch, rows, kv_heads, size).transpose(1, 2)
    scores = heads @ new_key[:, :, :end].transpose(2, 3) * scale + bias
    mixed = torch.softmax(scores, dim=-1) @ new_value[:, :, :end]
    return mixed.transpose(1, 2).reshape(batch, rows, -1), new_key, new_value


AttentionInterface.register(SLOTS, slot_attention)
