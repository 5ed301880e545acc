"""Where the tokens of a Swin stage go: plain index arithmetic on a height and width not yet known.

Source: the Swin paper (arXiv 2103.14030) and transformers 5.23, models/swin/modeling_swin.py
(`SwinLayer`, `SwinPatchMerging`). There a map is padded to whole windows, rolled, cut, put together
again, rolled back and cropped, each step with branches on the size that a capture freezes. All of
it is one look-up: which token stands at which place of which window, and back.
"""

from dataclasses import dataclass
from typing import TypeAlias

import torch

Extent: TypeAlias = "int | torch.SymInt"
"""A height or width; during a capture it is a symbol."""

OUT_OF_REGION = -100.0
"""Added to the score of two tokens that only the roll made neighbours, as the original does."""


@dataclass(frozen=True)
class Windows:
    """The windows of a map of height x width tokens, shifted by a fixed number of tokens.

    A vector is one head's share of a token. What is cut up are the vectors of queries, keys and
    values side by side, [token, 3, head] and one token of padding at the end.
    """

    query: torch.Tensor  # int64 [window * head * place]: index of the vector
    key: torch.Tensor
    value: torch.Tensor
    home: torch.Tensor  # int64 [token * head]: index of the vector in [window, head, place]
    mask: torch.Tensor | None  # float32 [window, 1, place, place]; None without a shift


def shifted_windows(height: Extent, width: Extent, side: int, shift: int, heads: int) -> Windows:
    """Cut a map into windows of side x side tokens, after rolling it up and left by `shift`.

    Args:
        height: Rows of tokens; need not be a multiple of the side.
        width: Columns of tokens.
        side: Side of a window, in tokens.
        shift: 0 <= shift < side.
        heads: Vectors of a token.
    """
    rows, columns = (height + side - 1) // side, (width + side - 1) // side
    down, right = rows * side, columns * side  # with padding
    inside = torch.arange(side)
    y = (torch.arange(rows)[:, None] * side + inside)[:, None, :, None]  # [row, 1, side, 1]
    x = (torch.arange(columns)[:, None] * side + inside)[None, :, None, :]  # [1, column, 1, side]
    from_y, from_x = _wrapped(y + shift, down), _wrapped(x + shift, right)
    real = (from_y < height) & (from_x < width)
    token = torch.where(real, from_y * width + from_x, height * width).reshape(-1, 1, side**2)
    head = torch.arange(heads)
    query = (token * (3 * heads) + head[:, None]).reshape(-1)
    slot = _slots(
        _wrapped(torch.arange(height) + (down - shift), down)[:, None],
        _wrapped(torch.arange(width) + (right - shift), right),
        columns,
        side,
        heads,
    )
    return Windows(
        query=query,
        key=query + heads,
        value=query + 2 * heads,
        home=(slot.reshape(-1, 1) + head * side**2).reshape(-1),
        mask=_mask(y, x, down, right, side, shift) if shift else None,
    )


def _slots(
    y: torch.Tensor, x: torch.Tensor, columns: Extent, side: int, heads: int
) -> torch.Tensor:
    """Index in [window, head, place] of the first head of the token that the roll brought to y, x.

    Args:
        y: Rows after the roll, int64 [height, 1].
        x: Columns after the roll, int64 [width].
        columns: Windows beside each other.
        side: Of a window.
        heads: Vectors of a token.
    """
    row, column = y // side, x // side
    window = row * columns + column
    place = (y - row * side) * side + (x - column * side)
    return window * (heads * side**2) + place


def _mask(
    y: torch.Tensor, x: torch.Tensor, down: Extent, right: Extent, side: int, shift: int
) -> torch.Tensor:
    """0 between tokens that were neighbours before the roll, else `OUT_OF_REGION`."""
    band_y = (y >= down - side).to(torch.int64) + (y >= down - shift).to(torch.int64)
    band_x = (x >= right - side).to(torch.int64) + (x >= right - shift).to(torch.int64)
    region = (band_y * 3 + band_x).reshape(-1, 1, side**2)  # [window, 1, place]
    apart = region[..., None] != region[:, :, None]
    return torch.where(apart, OUT_OF_REGION, 0.0)


def _wrapped(index: torch.Tensor, length: Extent) -> torch.Tensor:
    """0 <= index < 2 * length, taken modulo length."""
    return torch.where(index >= length, index - length, index)


def merged_quads(height: Extent, width: Extent) -> torch.Tensor:
    """The four tokens of every 2 x 2 square, in the order in which patch merging joins them.

    Returns:
        int64 [square * 4]; height * width stands for padding where a side is odd.
    """
    quad = torch.arange(4)
    y = torch.arange((height + 1) // 2)[:, None, None] * 2 + quad % 2
    x = torch.arange((width + 1) // 2)[:, None] * 2 + quad // 2
    real = (y < height) & (x < width)
    return torch.where(real, y * width + x, height * width).reshape(-1)
