"""Whether a decoder, read in steps through slots, is still the original."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from onnxtasks.errors import UnsupportedModelError
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.decoder import LOWEST, Dimensions
from onnxtasks_export.quiet import quiet

TOLERANCE = 1e-4
"""Largest difference from the original's logits, relative where they exceed 1."""
STEPS = ((0, 3), (3, 5))
"""Which tokens each run reads."""


def causal_bias(batch: int, filled: int, row: int) -> torch.Tensor:
    """What the tokens of a text see: all before them -> [batch, 1, row, filled + row]."""
    slots = torch.arange(filled + row)
    later = slots[None, :] > slots[filled:, None]
    return torch.where(later, LOWEST, 0.0).expand(batch, 1, -1, -1)


@contextmanager
def refusals(model: Any) -> Iterator[None]:
    """Turn what a family's code raises, given masks and slots of ours, into one sentence."""
    try:
        yield
    except UnsupportedModelError:
        raise
    except Exception as error:  # whatever its code raises
        raise UnsupportedModelError(
            f"{model.config.model_type}: its code does not take a ready mask and a memory of slots "
            f"({type(error).__name__}: {error}); this family cannot be exported"
        ) from error


def check_decoder(
    graph: Graph,
    dimensions: Dimensions,
    model: Any,
    source: Mapping[str, torch.Tensor] | None = None,
    source_inputs: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Read a few tokens in two runs with the module, and compare with the original.

    Args:
        graph: Of the decoder.
        dimensions: Of the decoder.
        model: The original.
        source: Of an encoder-decoder: what the original reads (`input_ids`, `attention_mask`) of
            two sentences.
        source_inputs: The same for the graph: its inputs that begin with "source_".

    Raises:
        UnsupportedModelError: The logits differ: something that the model does is lost.
    """
    ids = torch.arange(10).reshape(2, 5) * 7 % dimensions.ids
    name = "input_ids" if source is None else "decoder_input_ids"
    with quiet(), torch.no_grad():
        expected = model(**(source or {}), **{name: ids}).logits
        with refusals(model):
            found = _in_steps(graph, dimensions, ids, dict(source_inputs or {}))
    far = (found - expected).abs().max() / expected.abs().max().clamp(min=1.0)
    if not float(far) <= TOLERANCE:  # also catches NaN
        raise UnsupportedModelError(
            f"{model.config.model_type}: read token by token, its logits are {float(far):.2g} away "
            "from the original's; this family cannot be exported"
        )


def _in_steps(
    graph: Graph, dimensions: Dimensions, ids: torch.Tensor, inputs: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Logits of all tokens, [batch, token, word]."""
    batch, _ = ids.shape
    layers = range(dimensions.layers)
    slots = torch.zeros(batch, dimensions.kv_heads, STEPS[-1][1] + 1, dimensions.size)
    inputs |= {f"{name}.{layer}": slots for name in ("keys", "values") for layer in layers}
    inputs["top"] = torch.tensor([1])
    logits = []
    for start, end in STEPS:
        seen = causal_bias(batch, start, end - start)
        places = torch.arange(end).expand(batch, -1)
        inputs |= {
            "input_ids": ids[:, start:end],
            "positions": places[:, start:],
            "slot_positions": places,
            "attention_bias": seen,
            "window_bias": seen,  # a window of fewer than five tokens is not made
            "filled": torch.tensor([start], dtype=torch.int32),
            "read": places[:, start:] - start,
        }
        outputs = dict(
            zip(graph.outputs, graph.module(*map(inputs.get, graph.inputs)), strict=True)
        )
        logits.append(outputs["logits"])
        inputs |= {name.removeprefix("new_"): tensor for name, tensor in outputs.items()}
    return torch.cat(logits, 1)
