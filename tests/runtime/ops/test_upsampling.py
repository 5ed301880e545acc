import numpy as np
import pytest

from onnxtasks.ops.upsampling import (
    bands,
    bilinear,
    cells,
    corners_at,
    mix,
    nearest,
    over_corners,
    resize_columns,
    resize_rows,
    resized,
    through,
)


def dense(axis, size):
    """The axis as a matrix [output, input]."""
    matrix = np.zeros((len(axis.start), size))
    for tap in range(axis.taps):
        matrix[np.arange(len(matrix)), axis.start + tap] += axis.weights[:, tap]
    return matrix


def test_pixels_are_mixed_by_the_distance_of_their_centres():
    # Centres of 4 in 2: -0.25 (clamped to 0), 0.25, 0.75, 1.25 (clamped to the last).
    assert dense(bilinear(2, 4), 2).tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    # Of 2 in 4: 0.5 and 2.5; nothing is averaged over.
    assert dense(bilinear(4, 2), 4).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    assert dense(bilinear(3, 3), 3).tolist() == np.eye(3).tolist()
    assert dense(bilinear(1, 3), 1).tolist() == [[1], [1], [1]]


@pytest.mark.parametrize("lengths", [(3, 7, 20), (5, 3, 11), (2, 2, 9), (1, 4, 6), (8, 30, 7)])
def test_two_steps_are_one_axis(lengths):
    first, second = bilinear(*lengths[:2]), bilinear(*lengths[1:])
    expected = dense(second, lengths[1]) @ dense(first, lengths[0])
    assert dense(through(first, second), lengths[0]) == pytest.approx(expected, abs=1e-6)
    assert dense(resized(lengths), lengths[0]) == pytest.approx(expected, abs=1e-6)
    axis = through(first, second)
    assert (np.diff(axis.start) >= 0).all() and axis.start[-1] + axis.taps <= lengths[0]


def test_nearest_takes_the_lower_input():
    assert nearest(2, 5).tolist() == [0, 0, 0, 1, 1]
    assert nearest(5, 2).tolist() == [0, 2]
    assert nearest(3, 3).tolist() == [0, 1, 2]


def test_rows_and_columns():
    values = np.array([[0, 4], [8, 12]], np.float32)
    axis = bilinear(2, 4)
    assert resize_rows(values, axis).tolist() == [[0, 4], [2, 6], [6, 10], [8, 12]]
    assert resize_columns(values, axis).tolist() == [[0, 1, 3, 4], [8, 9, 11, 12]]


def test_bands_need_few_inputs_and_leave_nothing_out():
    axis = bilinear(6, 20)
    cut = list(bands(axis, 3))
    assert [outputs.start for outputs, _, _ in cut[1:]] == [
        outputs.stop for outputs, _, _ in cut[:-1]
    ]
    assert cut[0][0].start == 0 and cut[-1][0].stop == 20
    for outputs, inputs, band in cut:
        assert inputs.stop - inputs.start <= 3
        whole = dense(axis, 6)[outputs, inputs]
        assert np.array_equal(dense(band, inputs.stop - inputs.start), whole)
    assert len(list(bands(axis, 0))) == 5  # two inputs are needed at least


def test_cells_share_their_inputs():
    grid = cells(bilinear(3, 9))  # positions 0 0 1/3 2/3 1 4/3 5/3 2 2
    assert grid.first.tolist() == [0, 1]
    assert grid.count.tolist() == [4, 5]
    assert grid.outputs[:, 0].tolist() == [0, 1, 2, 3, 3]


def test_long_cells_are_cut():
    grid = cells(bilinear(2, 100))
    assert grid.count.tolist() == [16] * 6 + [4]
    assert grid.first.tolist() == [0] * 7


def test_corners_and_pixels_of_a_cell():
    values = np.array([[[0, 4], [8, 12]], [[1, 1], [5, 5]]], np.float32)
    grid = (cells(bilinear(2, 4)), cells(bilinear(2, 4)))
    at = (np.array([0]), np.array([0]))
    assert corners_at(values, grid, at)[:, :, 0].tolist() == [[0, 1], [4, 1], [8, 5], [12, 5]]
    corners = corners_at(values, grid, at, np.array([0]))
    assert corners[:, :, 0].tolist() == [[0, 4], [8, 12]]
    pixels = np.empty((4, 4, 1), np.float32)
    mix(corners, grid[0].weights, grid[1].weights, out=pixels, spare=np.empty_like(pixels))
    assert pixels[:, :, 0].tolist() == [[0, 1, 3, 4], [2, 3, 5, 6], [6, 7, 9, 10], [8, 9, 11, 12]]


def test_joining_corners():
    values = np.array([[[1, 5, 2], [3, 4, 9]]], np.float32)
    grid = (cells(bilinear(2, 2)), cells(bilinear(3, 3)))
    assert over_corners(np.maximum, values, *grid).tolist() == [[[5, 9]]]
    assert over_corners(np.minimum, values, *grid).tolist() == [[[1, 2]]]
