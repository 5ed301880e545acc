"""Decoders without an encoder: GPT-2, Llama-style and others, whatever their family.

A family goes through when its layers hand their keys and values to a cache and ask the attention
interface of transformers, and when its positions are an input; the rest is its own code.
"""

import copy
import inspect
from typing import Any

import torch

from onnxtasks.errors import UnsupportedModelError
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.decoder import (
    Dimensions,
    decoder_graph,
    decoder_inputs,
    read_rows,
)
from onnxtasks_export.graphs.decoder_check import check_decoder
from onnxtasks_export.graphs.decoder_parts import plain_parts
from onnxtasks_export.quiet import quiet
from onnxtasks_export.slot_attention import SLOTS, SlotCache

FULL, SLIDING = "full_attention", "sliding_attention"
LENGTH_BOUND = ("dynamic", "longrope")
"""Rotary positions that change with the length of the text, for all of its tokens."""


def causal_graphs(checkpoint: Checkpoint, spec: object) -> dict[str, Graph]:
    """Build the graph of a decoder-only model.

    Args:
        checkpoint: The model.
        spec: Of the task; the graph needs nothing of it.

    Raises:
        UnsupportedModelError: The family does something that the graph cannot.
    """
    model = checkpoint.model
    kinds = layer_kinds(model.config)
    check_family(model)
    dimensions = causal_dimensions(model)
    slots = slot_model(model)

    def logits(model: Any, given: dict[str, torch.Tensor], cache: SlotCache) -> torch.Tensor:
        masks = {FULL: given["attention_bias"], SLIDING: given.get("window_bias")}
        found: torch.Tensor = model(
            input_ids=given["input_ids"],
            position_ids=given["positions"],
            # Models with layers of several kinds take a mask for each kind, others one mask.
            attention_mask=masks if len(kinds) > 1 else masks[min(kinds)],
            past_key_values=cache,
            use_cache=True,
        ).logits
        return found

    inputs = decoder_inputs(dimensions, windows=SLIDING in kinds, relative=False)
    graph = decoder_graph(slots, dimensions, inputs, logits)
    check_decoder(graph, dimensions, model)
    return {"decoder": graph}


def slot_model(model: Any) -> Any:
    """A copy of a decoder-only model that reads its past in slots, and only what is asked for."""
    copied = copy.deepcopy(model)  # the original keeps its own attention
    plain_parts(copied)
    copied.set_attn_implementation(SLOTS)
    read_rows(copied, decoder_of(copied))
    return copied.eval()


def decoder_of(model: Any) -> Any:
    """The part of a model that gives hidden states: what stands before its head."""
    found = model.get_decoder()
    return model.base_model if found is None or found is model else found


def layer_kinds(config: Any) -> set[str]:
    """Which kinds of attention the layers have.

    Raises:
        UnsupportedModelError: One that is neither full nor sliding.
    """
    kinds = set(getattr(config, "layer_types", None) or ())
    if not kinds:  # Mistral: one window for all layers
        kinds = {SLIDING if getattr(config, "sliding_window", None) else FULL}
    if other := sorted(kinds - {FULL, SLIDING}):
        raise UnsupportedModelError(
            f"{config.model_type} has layers of the kind {other[0]}; only {FULL} and {SLIDING} can "
            "be exported"
        )
    return kinds


def check_family(model: Any) -> None:
    """Refuse what is known not to work, with its reason.

    Raises:
        UnsupportedModelError: It is not exported.
    """
    family = model.config.model_type
    if not getattr(model, "_supports_attention_backend", False) and not _asks_interface(model):
        raise UnsupportedModelError(
            f"{family} computes its attention itself, not through the attention interface of "
            "transformers; it cannot be exported"
        )
    if "position_ids" not in inspect.signature(model.forward).parameters:
        raise UnsupportedModelError(
            f"{family} takes no position_ids: its positions are part of its attention, and it "
            "cannot be exported"
        )
    for part in model.modules():
        kind = getattr(part, "rope_type", None)
        kinds = kind.values() if isinstance(kind, dict) else (kind,)
        if bound := next((name for name in LENGTH_BOUND if name in kinds), None):
            raise UnsupportedModelError(
                f"{family} has rotary positions of the kind {bound}, which change with the "
                "length of the text; it cannot be exported"
            )


def _asks_interface(model: Any) -> bool:
    """Whether the code of a family asks the attention interface."""
    module = inspect.getmodule(type(model))
    return module is not None and hasattr(module, "ALL_ATTENTION_FUNCTIONS")


def causal_dimensions(model: Any) -> Dimensions:
    """Ask the model: one token gives the shapes of its keys and values.

    Raises:
        UnsupportedModelError: It has no cache, or layers of different shapes.
    """
    with quiet(), torch.no_grad():
        cache = model(input_ids=torch.zeros(1, 1, dtype=torch.int64), use_cache=True)
    kv_heads, size, layers = key_shape(model, getattr(cache, "past_key_values", None))
    return Dimensions(
        layers=layers,
        kv_heads=kv_heads,
        size=size,
        words=model.get_output_embeddings().weight.shape[0],
        ids=model.get_input_embeddings().weight.shape[0],
        room=getattr(model.config, "max_position_embeddings", None),
    )


def key_shape(model: Any, cache: Any) -> tuple[int, int, int]:
    """Heads and size of keys and values, and the number of layers.

    Args:
        model: For the message.
        cache: What the model returned.

    Raises:
        UnsupportedModelError: There is none, or its layers have different shapes.
    """
    layers = getattr(cache, "layers", None) or []
    shapes = set()
    for tensor in (getattr(layer, name, None) for layer in layers for name in ("keys", "values")):
        if isinstance(tensor, torch.Tensor) and tensor.dim() == 4:
            shapes.add((tensor.shape[1], tensor.shape[3]))
        else:
            shapes.add((0, 0))
    if len(shapes) != 1 or (0, 0) in shapes:
        raise UnsupportedModelError(
            f"{model.config.model_type}: keys and values must have one shape in all layers (heads "
            f"and size); it has {sorted(shapes) or 'no cache'}, and cannot be exported"
        )
    kv_heads, size = shapes.pop()
    return kv_heads, size, len(layers)
