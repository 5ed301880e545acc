"""Parts of decoders in the form in which they are captured: same values, fewer operators."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from onnxtasks_export.slot_attention import current


class PlainConv1D(nn.Module):
    """GPT-2's `Conv1D`, a linear layer, as a product and a sum of three dimensions.

    Its own form flattens to two dimensions and back, which costs a step eight small operators a
    layer and hides the bias from the fusions of the engine.
    """

    def __init__(self, layer: Conv1D) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., input] -> [..., output]."""
        return torch.matmul(hidden, self.weight) + self.bias


class RmsNorm(nn.Module):
    """Root-mean-square norm in the one form that ONNX Runtime turns into one operator at load.

    Its fusion wants a division by the root; models write a product with `rsqrt`.
    """

    def __init__(self, scale: torch.Tensor, epsilon: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(scale, requires_grad=False)
        self.epsilon = epsilon

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Any shape, normed over its last axis."""
        mean = hidden.pow(2).mean(-1, keepdim=True)
        return self.scale * (hidden / torch.sqrt(mean + self.epsilon))


class PositionTable(nn.Module):
    """Embeddings of the positions that are read, instead of positions counted from a cache."""

    def __init__(self, table: torch.Tensor, offset: int) -> None:
        """Args: the table [position, hidden] and where in it position 0 stands."""
        super().__init__()
        self.table = nn.Parameter(table.detach(), requires_grad=False)
        self.offset = offset

    def forward(self, given: Any, *_: Any, **__: Any) -> torch.Tensor:
        """[batch, token, hidden] in a decoder; of an encoder, [1, token, hidden].

        Args:
            given: What an encoder hands over: token ids [batch, token], or their shape.
        """
        state = current()
        if state is not None:
            return nn.functional.embedding(state.positions + self.offset, self.table)
        length = (given.shape if isinstance(given, torch.Tensor) else given)[1]
        places = torch.arange(length, device=self.table.device)[None]
        return nn.functional.embedding(places + self.offset, self.table)


class FlatHead(nn.Module):
    """A head over rows: one product with the embedding's own table, transposed by the operator.

    In three dimensions it would be a MatMul, which wants a second, transposed table.
    """

    def __init__(self, weight: nn.Parameter, bias: torch.Tensor | None) -> None:
        """Args: the table [word, hidden], the same tensor where it is tied, and [word]."""
        super().__init__()
        self.weight = weight
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[batch, row, hidden] -> [batch, row, word]."""
        rows = hidden.reshape(-1, hidden.shape[2])
        logits = nn.functional.linear(rows, self.weight, self.bias)
        return logits.reshape(hidden.shape[0], hidden.shape[1], -1)


def plain_parts(model: nn.Module) -> None:
    """Put the forms above in the place of a model's own parts."""
    replace(model, _plain)


def replace(model: nn.Module, form: Callable[[str, nn.Module], nn.Module | None]) -> None:
    """Replace parts of a model.

    Args:
        model: What is changed.
        form: Name of an attribute and the part there -> what takes its place, None for nothing.
    """
    for module in list(model.modules()):
        for name, part in list(module.named_children()):
            other = form(name, part)
            if other is not None:
                setattr(module, name, other.eval())


def _plain(name: str, part: nn.Module) -> nn.Module | None:
    kind = type(part).__name__
    if isinstance(part, Conv1D):
        return PlainConv1D(part)
    if kind in ("NewGELUActivation", "FastGELUActivation"):  # its formula, as one operator
        return nn.GELU(approximate="tanh")
    if kind.endswith(("RMSNorm", "T5LayerNorm")):
        return _rms_norm(part)
    if name == "embed_positions":
        return _position_table(part)
    return None


def _rms_norm(part: Any) -> RmsNorm | None:
    """The same norm, where it is one: some families add 1 to their weights."""
    weight, epsilon = getattr(part, "weight", None), None
    for name in ("variance_epsilon", "eps"):
        epsilon = getattr(part, name, epsilon)
    if weight is None or epsilon is None or weight.dim() != 1:
        return None
    hidden = torch.linspace(-2, 3, 2 * len(weight)).reshape(2, -1)
    with torch.no_grad():
        expected = part(hidden)
        for scale in (weight.detach(), 1.0 + weight.detach()):
            norm = RmsNorm(scale, float(epsilon))
            if torch.allclose(norm(hidden), expected, rtol=1e-5, atol=1e-6):
                return norm
    return None


def _position_table(part: Any) -> PositionTable | None:
    if isinstance(part, nn.Embedding):  # BART's offset is 2; Marian's and others' there is none
        return PositionTable(part.weight, int(getattr(part, "offset", 0)))
    if isinstance(getattr(part, "weights", None), torch.Tensor):  # M2M100: after the padding's row
        return PositionTable(part.weights, int(part.padding_idx) + 1)
    return None
