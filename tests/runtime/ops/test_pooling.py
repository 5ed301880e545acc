"""Pooling and similarity on arrays of a few numbers."""

import numpy as np
import pytest

import onnxtasks
from onnxtasks import InputError
from onnxtasks.ops.pooling import check_pooling, normalise, pool, similarity

HIDDEN = np.array([[1, 4], [3, -2], [2, 1]], np.float32)  # [token, hidden]


@pytest.mark.parametrize(
    ("pooling", "vector"),
    [
        ("mean", [2, 1]),
        ("cls", [1, 4]),
        ("max", [3, 4]),
        ("last", [2, 1]),
        ("none", [[1, 4], [3, -2], [2, 1]]),
    ],
)
def test_the_poolings(pooling, vector):
    found = pool(HIDDEN, pooling)
    assert (found.tolist(), found.dtype.name) == (vector, "float32")


def test_vectors_get_length_1_and_zeros_stay():
    found = normalise(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("cosine", [[1, 0.6], [0, 0.8]]),
        ("dot", [[2, 6], [0, 4]]),
        ("euclidean", [[-1, -(17**0.5)], [-(2**0.5), -(18**0.5)]]),
        ("manhattan", [[-1, -5], [-2, -6]]),
    ],
)
def test_the_similarities(function, expected):
    found = similarity([[2, 0], [0, 1]], [np.array([1, 0]), np.array([3, 4])], function)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_vector_is_a_row_and_cosine_is_the_default():
    assert onnxtasks.similarity([3, 4], [[6, 8], [-3, -4], [0, 0]]).tolist() == [[1, -1, 0]]


@pytest.mark.parametrize(
    ("a", "b", "function", "message"),
    [
        ([1, 2], [1, 2, 3], "dot", "vectors of 2 numbers are not comparable with vectors of 3"),
        ([[[1]]], [1], "dot", r"vectors are \[dim\] or \[vector, dim\], got \[1, 1, 1\]"),
        (1.0, [1], "dot", r"got \[\]"),
        ([], [1], "dot", r"got \[0\]"),
        ([[1, 2], [3]], [1, 2], "dot", "not an array of vectors of one size"),
        ("text", [1], "dot", "not an array of vectors of one size"),
        ([1], [1], "angle", "function is 'angle'; it is one of cosine, dot, euclidean, manhattan"),
    ],
)
def test_what_is_not_comparable_is_refused(a, b, function, message):
    with pytest.raises(InputError, match=message):
        similarity(a, b, function)


def test_an_unknown_pooling_is_refused():
    check_pooling(None)
    check_pooling("last")
    with pytest.raises(InputError, match="pooling is 'sum'; it is one of none, mean, cls, max, la"):
        check_pooling("sum")  # type: ignore[arg-type]  # what users write
