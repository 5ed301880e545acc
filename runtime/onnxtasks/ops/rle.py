"""COCO's run-length encoding of masks, in its compressed form.

Source: cocoapi, maskApi.c (`rleEncode`, `rleToString`, `rleFrString`, `rleDecode`). A mask is the
lengths of its runs down the columns, column after column; the first run is of zeros and may be
empty. From the fourth on, each is written as the difference to the one before the last, in groups
of 5 bits, lowest first, each a character from "0" on; bit 6 says that more groups follow.
"""

from typing import Any, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError

Lengths: TypeAlias = npt.NDArray[np.int64]

BITS = 5
MORE = 1 << BITS
SIGN = 1 << (BITS - 1)
MOST_GROUPS = 12  # of a number below 2 ** 55


class Rle(TypedDict):
    """A mask as pycocotools and other tools of COCO take it."""

    size: list[int]
    """Height and width."""
    counts: str


def encode(mask: npt.NDArray[Any]) -> Rle:
    """Encode a mask, byte by byte as `pycocotools.mask.encode`.

    Args:
        mask: [height, width]; bool, or numbers, of which 0 is outside.
    """
    pixels = np.ascontiguousarray((mask != 0).T).reshape(-1)
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    lengths = np.diff(changes, prepend=0, append=len(pixels))
    if pixels[:1].any():
        lengths = np.concatenate([[0], lengths])
    height, width = mask.shape
    return {"size": [int(height), int(width)], "counts": _characters(lengths)}


def decode(rle: Rle) -> npt.NDArray[np.bool_]:
    """The mask [height, width] of an encoded one.

    Raises:
        InputError: Not an encoding of a mask of its size.
    """
    height, width = rle["size"]
    lengths = _lengths(rle["counts"])
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise InputError(
            f"the runs of this mask have {int(lengths.sum())} pixels, its size is {height} x "
            f"{width}; counts is damaged, or of another mask"
        )
    inside = np.arange(len(lengths)) % 2 == 1
    pixels = np.repeat(inside, lengths).reshape(width, height)
    return np.ascontiguousarray(pixels.T)


def area(rle: Rle) -> int:
    """Pixels inside an encoded mask.

    Raises:
        InputError: Characters that no encoding has.
    """
    return int(_lengths(rle["counts"])[1::2].sum())


def _characters(lengths: Lengths) -> str:
    rest = lengths.astype(np.int64)
    rest[3:] -= lengths[1:-2]
    open_ = np.ones(len(rest), np.bool_)
    codes = np.zeros((MOST_GROUPS, len(rest)), np.uint8)
    used = np.zeros(codes.shape, np.bool_)
    for position in range(MOST_GROUPS):
        low = rest & (MORE - 1)
        rest >>= BITS
        more = np.where(low & SIGN, rest != -1, rest != 0)
        codes[position] = low + np.where(more, MORE, 0) + ord("0")
        used[position] = open_
        open_ &= more
        if not open_.any():
            break
    return codes.T[used.T].tobytes().decode("ascii")


def _lengths(counts: str) -> Lengths:
    codes = np.frombuffer(counts.encode("utf-8"), np.uint8).astype(np.int64) - ord("0")
    last = (codes & MORE) == 0
    if not len(codes) or codes.min() < 0 or codes.max() >= 2 * MORE or not last[-1]:
        raise InputError("counts is not the compressed run-length encoding of a mask")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    position = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    if position.max() >= MOST_GROUPS:
        raise InputError("counts is not the compressed run-length encoding of a mask")
    values = np.add.reduceat((codes & (MORE - 1)) << (BITS * position), starts)
    negative = (codes[ends] & SIGN) != 0
    values -= np.where(negative, np.int64(1) << (BITS * (position[ends] + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
