"""The best candidates of small arrays."""

import numpy as np
import pytest

from onnxtasks.ops.top import best

SCORES = np.array([0.1, 0.4, 0.2, 0.4, 0.3], np.float32)


@pytest.mark.parametrize(
    ("count", "answer"),
    [
        (1, [1]),
        (2, [1, 3]),
        (3, [1, 3, 4]),
        (5, [1, 3, 4, 2, 0]),
        (9, [1, 3, 4, 2, 0]),
        (None, [1, 3, 4, 2, 0]),
    ],
)
def test_the_highest_come_first_and_equal_ones_in_their_order(count, answer):
    assert best(SCORES, count).tolist() == answer


def test_where_all_are_equal_the_lowest_indices_are_taken():
    assert best(np.full(6, 0.5, np.float32), 3).tolist() == [0, 1, 2]


def test_large_arrays_agree_with_sorting_all():
    scores = np.random.default_rng(3).integers(0, 50, 5000).astype(np.float32)
    assert best(scores, 700).tolist() == np.argsort(-scores, kind="stable")[:700].tolist()
