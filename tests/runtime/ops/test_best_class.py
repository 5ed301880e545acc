import numpy as np
import pytest

from onnxtasks.ops.best_class import best_classes, candidates
from onnxtasks.ops.mask_areas import areas_above
from onnxtasks.ops.upsampling import bilinear, cells, resize_columns, resize_rows, resized


def best(values, height, width):
    values = np.array(values, np.float32)
    return best_classes(values, bilinear(values.shape[1], height), bilinear(values.shape[2], width))


def test_a_border_lies_where_the_scores_cross():
    # Class 0 falls from 3 to 0, class 1 is 1: they cross after two thirds.
    assert best([[[3, 0]], [[1, 1]]], 1, 10).tolist() == [[0, 0, 0, 0, 0, 0, 1, 1, 1, 1]]


def test_a_class_that_leads_at_no_corner_may_win_in_the_middle():
    assert best([[[4, 0]], [[3, 3]], [[0, 4]]], 1, 6).tolist() == [[0, 0, 1, 1, 2, 2]]


def test_of_classes_that_are_equal_everywhere_the_first_wins():
    assert best([[[1, 1]], [[1, 1]]], 2, 3).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert best([[[0, 0]], [[1, 1]], [[1, 1]]], 1, 3).tolist() == [[1, 1, 1]]


def test_one_class_and_one_point():
    assert best([[[5]]], 2, 2).tolist() == [[0, 0], [0, 0]]
    assert best([[[5]], [[7]]], 1, 2).tolist() == [[1, 1]]


def test_scores_that_are_no_numbers_do_not_stop_the_others():
    values = np.zeros((3, 1, 3), np.float32)
    values[1, 0, 0], values[2, 0, 1:] = np.nan, 5
    assert best(values, 1, 6)[0, 3:].tolist() == [2, 2, 2]  # those not mixed with it


def test_a_class_below_another_at_all_corners_is_no_candidate():
    corners = np.array([[5, 4, 1], [0, 3, 2]], np.float32)[..., None]  # [corner, class, cell]
    assert candidates(corners)[:, 0].tolist() == [True, True, False]


def naive(values, rows, columns):
    return resize_columns(resize_rows(values, rows), columns).argmax(0)


@pytest.mark.parametrize("classes", [2, 9, 60])
@pytest.mark.parametrize(
    "lengths", [((6, 50), (8, 70)), ((20, 7), (9, 11)), ((4, 9, 31), (5, 8, 40))]
)
def test_noise_and_two_steps_and_smaller_pictures(classes, lengths):
    rng = np.random.default_rng(classes)
    rows, columns = (resized(steps) for steps in lengths)
    values = rng.normal(0, 1, (classes, lengths[0][0], lengths[1][0])).astype(np.float32)
    assert (best_classes(values, rows, columns) != naive(values, rows, columns)).sum() <= 1


def test_areas():
    values = np.array([[[0, 1]], [[1, 1]], [[0, 0]]], np.float32)
    grid = (cells(bilinear(1, 2)), cells(bilinear(2, 4)))
    # The first is 0, 0.25, 0.75, 1 along a row.
    assert areas_above(values, 0.5, grid).tolist() == [4, 8, 0]
    assert areas_above(values, 0.25, grid).tolist() == [6, 8, 0]
    assert areas_above(values, 0.0, grid).tolist() == [8, 8, 8]


def test_areas_of_noise_count_each_pixel_once():
    values = np.random.default_rng(0).random((5, 9, 7)).astype(np.float32)
    rows, columns = bilinear(9, 100), bilinear(7, 33)
    expected = (resize_columns(resize_rows(values, rows), columns) >= 0.6).sum((1, 2))
    assert areas_above(values, 0.6, (cells(rows), cells(columns))).tolist() == expected.tolist()
