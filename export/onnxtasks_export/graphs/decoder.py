"""What all decoder graphs have in common: new tokens and slots -> scores and slots.

Inputs and outputs are described in docs/design.md, "Generation".
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.session import Array
from onnxtasks_export.graphs.base import Axes, Graph, Sizes
from onnxtasks_export.graphs.decoder_parts import FlatHead, replace
from onnxtasks_export.slot_attention import Reading, SlotCache, current, reading

LOWEST = float(np.finfo(np.float32).min)
INT64 = 7  # ONNX's number of the type
Heads = Sequence[tuple[int, int]]
"""(layer, head) of each."""


@dataclass(frozen=True)
class Dimensions:
    """Fixed sizes of a decoder."""

    layers: int
    kv_heads: int
    size: int
    """Numbers of a head's key."""
    words: int
    """Scores of a token."""
    ids: int
    """Token ids that can be read."""
    room: int | None
    """Largest number of positions; None without limit."""
    source_heads: int = 0
    """Heads that look at the source; 0 for a decoder without one."""


class ReadRows(nn.Module):
    """Stands where a model has its decoder; lets only the rows that are read reach the head."""

    def __init__(self, stack: Any) -> None:
        super().__init__()
        self.stack = stack
        self.config = stack.config

    def forward(self, *inputs: Any, **settings: Any) -> BaseModelOutputWithPastAndCrossAttentions:
        """Return what the decoder returns, with hidden states [batch, read, hidden]."""
        hidden = self.stack(*inputs, **settings).last_hidden_state
        state = current()
        if state is None or state.read is None:
            raise RuntimeError("which rows are read is a part of `reading`")
        rows = state.read[:, :, None].expand(-1, -1, hidden.shape[2])
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=torch.gather(hidden, 1, rows)
        )


class DecoderGraph(nn.Module):
    """New tokens and slots -> scores and slots; the module that is captured."""

    def __init__(
        self,
        model: nn.Module,
        inputs: dict[str, Axes],
        layers: int,
        logits: Callable[[Any, dict[str, torch.Tensor], SlotCache], torch.Tensor],
        alignment: Heads = (),
    ) -> None:
        """Build the module.

        Args:
            model: A copy with slot attention, `ReadRows` and `FlatHead`.
            inputs: Names of the inputs, in the order of the arguments.
            layers: Layers with slots.
            logits: Asks the model: (model, inputs by name, cache) -> [batch, read, word].
            alignment: Heads whose attention to the source is an output, too.
        """
        super().__init__()
        self.model = model
        self.layers = layers
        self.names = tuple(inputs)
        self.logits = logits
        self.alignment = tuple(alignment)
        # torch.export matches dynamic axes with named parameters; how many there are depends on
        # the model.
        self.forward = _with_names(self._run, self.names)

    def _run(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = dict(zip(self.names, inputs, strict=True))
        state = Reading(
            positions=given["positions"],
            filled=given["filled"],
            read=given["read"],
            keys=numbered(given, "keys"),
            values=numbered(given, "values"),
            source_keys=numbered(given, "source_keys"),
            source_values=numbered(given, "source_values"),
            slot_positions=given.get("slot_positions"),
        )
        with reading(state) as cache:
            logits = self.logits(self.model, given, cache)
        if len(state.new_keys) != self.layers:
            raise UnsupportedModelError(
                f"{len(state.new_keys)} of {self.layers} layers read their past through the "
                "attention interface of transformers; the others cannot be exported"
            )
        log_probs = torch.log_softmax(logits, dim=-1)
        return (
            logits,
            log_probs,
            *best(log_probs, given["top"]),
            *(state.new_keys[layer] for layer in range(self.layers)),
            *(state.new_values[layer] for layer in range(self.layers)),
            *([alignment_weights(state.source_weights, self.alignment)] if self.alignment else ()),
        )


def _with_names(
    run: Callable[..., tuple[torch.Tensor, ...]], names: tuple[str, ...]
) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The same function, with a parameter of its own for each name, as `inspect` sees it."""

    def forward(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return run(*inputs)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name.replace(".", "_"), kind) for name in names]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # settable
    return forward


def numbered(given: dict[str, torch.Tensor], name: str) -> tuple[torch.Tensor, ...]:
    """The tensors `<name>.0`, `<name>.1`, ..."""
    return tuple(tensor for key, tensor in given.items() if key.partition(".")[0] == name)


def best(scores: torch.Tensor, top: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest scores of each row and their ids, best first: [batch, read, k].

    Args:
        scores: [batch, read, word].
        top: int64 [1]: how many, k.
    """
    if torch.compiler.is_exporting():
        shape = (*scores.shape[:2], 2)  # k is known when it runs
        found = torch.onnx.ops.symbolic_multi_out(
            "TopK", (scores, top), {"axis": -1}, dtypes=(1, INT64), shapes=(shape, shape)
        )
        return found[0], found[1]
    values, ids = scores.topk(int(top[0]))
    return values, ids


def alignment_weights(weights: Sequence[torch.Tensor], heads: Heads) -> torch.Tensor:
    """How some heads look at the source: [batch, head, row, source], in the order of `heads`.

    Args:
        weights: Of each layer, all its heads: [batch, head, row, source].
        heads: At least one.
    """
    found = []
    for layer, named in groupby(heads, key=lambda one: one[0]):  # one operator for neighbours
        index = torch.tensor([head for _, head in named])
        found.append(weights[layer].index_select(1, index))
    return torch.cat(found, dim=1)


def read_rows(model: Any, stack: nn.Module) -> None:
    """Put `ReadRows` around the decoder of a model, and `FlatHead` in the place of its head."""
    head = model.get_output_embeddings()
    bias = head.bias
    extra = getattr(model, "final_logits_bias", None)  # BART's, [1, word]; most often nothing
    if extra is not None:
        if bool(extra.any()):
            bias = extra[0].clone() if bias is None else bias + extra[0]
        model.final_logits_bias = torch.zeros((), dtype=extra.dtype)
    flat, reader = FlatHead(head.weight, bias), ReadRows(stack)
    replace(model, lambda _, part: {id(head): flat, id(stack): reader}.get(id(part)))


def decoder_inputs(dimensions: Dimensions, *, windows: bool, relative: bool) -> dict[str, Axes]:
    """The inputs of a decoder graph, in their order."""
    seen: Axes = ("batch", 1, "row", "total")
    slots: Axes = ("batch", dimensions.kv_heads, "capacity", dimensions.size)
    heads, size = dimensions.source_heads, dimensions.size
    inputs: dict[str, Axes] = {
        "input_ids": ("batch", "row"),
        "positions": ("batch", "row"),
        "attention_bias": seen,
    }
    inputs |= {"window_bias": seen} if windows else {}
    inputs |= {"slot_positions": ("batch", "total")} if relative else {}
    inputs |= {"filled": (1,), "read": ("batch", "read"), "top": (1,)}
    inputs |= {"source_bias": ("batch", 1, 1, "source")} if heads else {}
    layers = range(dimensions.layers)
    inputs |= {f"{name}.{layer}": slots for name in ("keys", "values") for layer in layers}
    if heads:
        inputs |= {f"source_keys.{layer}": ("batch", heads, size, "source") for layer in layers}
        inputs |= {f"source_values.{layer}": ("batch", heads, "source", size) for layer in layers}
    return inputs


def decoder_graph(
    model: nn.Module,
    dimensions: Dimensions,
    inputs: dict[str, Axes],
    logits: Callable[[Any, dict[str, torch.Tensor], SlotCache], torch.Tensor],
    alignment: Heads = (),
) -> Graph:
    """Build a decoder graph; see `DecoderGraph` for the arguments."""
    slots: Axes = ("batch", dimensions.kv_heads, "capacity", dimensions.size)
    layers = range(dimensions.layers)
    looks: Axes = ("batch", len(alignment), "row", "source")
    return Graph(
        module=DecoderGraph(model, inputs, dimensions.layers, logits, alignment).eval(),
        inputs=inputs,
        outputs={
            "logits": ("batch", "read", dimensions.words),
            "log_probs": ("batch", "read", dimensions.words),
            "top_scores": ("batch", "read", "top"),
            "top_ids": ("batch", "read", "top"),
            **{f"new_keys.{layer}": slots for layer in layers},
            **{f"new_values.{layer}": slots for layer in layers},
            **({"alignment": looks} if alignment else {}),
        },
        feeds=lambda sizes, rng: decoder_feeds(dimensions, inputs, sizes, rng),
        sizes=tuple(_sizes(*numbers) for numbers in SIZES),
    )


# batch, row, filled, read, capacity, source, top
SIZES = (
    (2, 5, 4, 3, 13, 7, 4),
    (1, 1, 70, 1, 80, 1, 5),
    (3, 6, 0, 2, 8, 12, 3),
    (4, 4, 9, 4, 32, 33, 8),
)


def _sizes(*numbers: int) -> Sizes:
    names = ("batch", "row", "filled", "read", "capacity", "source", "top")
    found = dict(zip(names, numbers, strict=True))
    return found | {"total": found["filled"] + found["row"]}


def decoder_feeds(
    dimensions: Dimensions, inputs: dict[str, Axes], sizes: Sizes, rng: np.random.Generator
) -> dict[str, Array]:
    """Random tokens that each see some slots, and themselves."""
    batch, row, filled, total = (sizes[name] for name in ("batch", "row", "filled", "total"))
    room = dimensions.room or total
    fixed: dict[str, Array] = {
        "input_ids": rng.integers(0, dimensions.ids, (batch, row)),
        "positions": rng.integers(0, min(room, total), (batch, row)),
        "slot_positions": rng.integers(0, min(room, total), (batch, total)),
        "filled": np.array([filled], np.int32),
        "read": rng.integers(0, row, (batch, sizes["read"])),
        "top": np.array([sizes["top"]]),
    }
    feeds: dict[str, Array] = {}
    for name, axes in inputs.items():
        shape = tuple(sizes[axis] if isinstance(axis, str) else axis for axis in axes)
        if name in fixed:
            feeds[name] = fixed[name]
        elif name.endswith("_bias"):
            hidden = rng.random(shape) < 0.3
            hidden[..., 0] = False  # a softmax over nothing has no value
            feeds[name] = np.where(hidden, np.float32(LOWEST), np.float32(0))
        else:
            feeds[name] = rng.standard_normal(shape, np.float32)
    return feeds
