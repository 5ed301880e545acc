"""Hidden states of a text's tokens -> one vector, and how alike two vectors are."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.ops.scores import Float

Pooling: TypeAlias = Literal["none", "mean", "cls", "max", "last"]
Similarity: TypeAlias = Literal["cosine", "dot", "euclidean", "manhattan"]
Vectors: TypeAlias = npt.ArrayLike | Sequence[Float]
"""One vector [dim], or several: [vector, dim] or a list of them."""

_POOL: dict[str, Callable[[Float], Float]] = {
    "none": lambda hidden: hidden,
    "mean": lambda hidden: hidden.mean(0),
    "cls": lambda hidden: hidden[0].copy(),  # a view would hold all tokens in memory
    "max": lambda hidden: hidden.max(0),
    "last": lambda hidden: hidden[-1].copy(),
}


def pool(hidden: Float, pooling: Pooling) -> Float:
    """Make one vector of a text's hidden states.

    Args:
        hidden: [token, hidden], special tokens included, padding left out; at least one token.
        pooling: "mean" or "max" over the tokens, "cls" the first, "last" the last; "none" all.

    Returns:
        [hidden], or [token, hidden] with "none".
    """
    return _POOL[pooling](hidden)


def normalise(vectors: Float) -> Float:
    """Length 1 over the last axis, as torch.nn.functional.normalize; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Float = vectors / np.maximum(lengths, 1e-12)
    return scaled


def similarity(a: Vectors, b: Vectors, function: Similarity = "cosine") -> Float:
    """How alike each vector of `a` is to each of `b`; more is closer.

    The functions are those of sentence-transformers (`util.similarity`).

    Args:
        a: Vectors [n, dim], a list of them, or a single one [dim].
        b: Vectors [m, dim], likewise.
        function: "cosine" of the angle, -1 to 1; "dot" product; "euclidean" and "manhattan" are
            distances with a minus sign, 0 for equal vectors.

    Returns:
        [n, m].

    Raises:
        InputError: An unknown function, or arrays that are no vectors of one size.
    """
    check_similarity(function)
    left, right = _rows(a), _rows(b)
    if left.shape[1] != right.shape[1]:
        raise InputError(
            f"vectors of {left.shape[1]} numbers are not comparable with vectors of "
            f"{right.shape[1]}; embed both with the same bundle and the same dimensions"
        )
    if function == "cosine":
        left, right = normalise(left), normalise(right)
    if function in ("cosine", "dot"):
        products: Float = left @ right.T
        return products
    made = np.empty((len(left), len(right)), np.float32)
    for row, vector in zip(made, left, strict=True):  # one row at a time: [m, dim] fits memory
        far = np.abs(right - vector)
        row[:] = -far.sum(-1) if function == "manhattan" else -np.linalg.norm(far, axis=-1)
    return made


def check_pooling(pooling: Pooling | None) -> None:
    """Refuse an unknown pooling; None stands for the checkpoint's own.

    Raises:
        InputError: Neither None nor a known name.
    """
    if pooling is not None and pooling not in get_args(Pooling):
        known = ", ".join(get_args(Pooling))
        raise InputError(
            f"pooling is {pooling!r}; it is one of {known}, or None for the checkpoint's own"
        )


def check_similarity(function: Similarity) -> None:
    """Refuse an unknown similarity.

    Raises:
        InputError: Not a known name.
    """
    if function not in get_args(Similarity):
        known = ", ".join(get_args(Similarity))
        raise InputError(f"function is {function!r}; it is one of {known}")


def _rows(vectors: Vectors) -> Float:
    """[n, dim] of whatever holds n vectors, or one."""
    try:
        array: Float = np.asarray(vectors, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"not an array of vectors of one size: {error}") from None
    if array.ndim not in (1, 2) or array.shape[-1] == 0:
        raise InputError(f"vectors are [dim] or [vector, dim], got {list(array.shape)}")
    return array.reshape(-1, array.shape[-1])
