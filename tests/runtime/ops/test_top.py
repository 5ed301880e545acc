"""The best candidates of small arrays."""

import numpy as np
import pytest

from onnxtasks.ops.top import BLOCK, around_the_best, best

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


@pytest.mark.parametrize(
    ("count", "answer"),
    [(1, [1, 3]), (2, [1, 3]), (3, [1, 3, 4]), (4, [1, 2, 3, 4]), (5, [0, 1, 2, 3, 4])],
)
def test_what_equals_the_last_one_wanted_is_taken_too(count, answer):
    assert [row.tolist() for row in around_the_best(SCORES[None], count)] == [answer]


def test_each_row_has_its_own_and_minus_infinity_is_never_taken():
    scores = np.array([[1, -np.inf, 3, 2], [-np.inf, 5, -np.inf, -np.inf]], np.float32)
    assert [row.tolist() for row in around_the_best(scores, 2)] == [[2, 3], [1]]
    assert [row.tolist() for row in around_the_best(scores, 9)] == [[0, 2, 3], [1]]
    assert around_the_best(np.full((1, 4), -np.inf, np.float32), 2)[0].tolist() == []


@pytest.mark.parametrize("count", [1, 7, 50, 600, 4999])
@pytest.mark.parametrize("kinds", [3, 200, 10**6])
def test_large_rows_agree_with_sorting_all_of_them(count, kinds):
    scores = np.random.default_rng(count).integers(0, kinds, (3, 5003)).astype(np.float32)
    scores[1, :4990] = -np.inf
    for row, found in zip(scores, around_the_best(scores, count), strict=True):
        wanted = np.flatnonzero((row >= np.sort(row)[-count]) & (row > -np.inf))
        assert set(wanted) <= set(found)
        assert (np.diff(found) > 0).all() and (row[found] > -np.inf).all()
        assert len(found) <= 2 * len(wanted) + 20
        assert best(row, count).tolist() == np.argsort(-row, kind="stable")[:count].tolist()


def test_the_best_may_all_lie_in_one_block():
    scores = np.zeros((1, 20 * BLOCK), np.float32)
    scores[0, ::20] = np.arange(1, BLOCK + 1)
    assert set(around_the_best(scores, 5)[0]) >= {20 * (BLOCK - n) for n in (1, 2, 3, 4, 5)}
    assert best(scores[0], 5).tolist() == [20 * (BLOCK - n) for n in (1, 2, 3, 4, 5)]
