import numpy as np
import pytest

from onnxtasks.ops.depth import cubic_taps, grey_picture, resize_bicubic


def floats(values):
    return np.array(values, np.float32)


def test_taps_are_keys_kernel_at_minus_three_quarters():
    indices, weights = cubic_taps(4, 8)
    # Half way between two values, a quarter from the nearer: places -0.25, 0.25, 0.75, 1.25, ...
    assert indices[:3].tolist() == [[0, 0, 0, 1], [0, 0, 1, 2], [0, 0, 1, 2]]
    assert weights[2].tolist() == [-0.03515625, 0.26171875, 0.87890625, -0.10546875]
    assert weights[1].tolist() == [-0.10546875, 0.87890625, 0.26171875, -0.03515625]
    assert weights.sum(-1).tolist() == [1.0] * 8


def test_a_step_overshoots_on_both_sides():
    step = floats([[0, 0, 0, 1, 1, 1]])
    expected = [0, 0, 0, -0.03515625, -0.10546875, 0.2265625, 0.7734375, 1.10546875, 1.03515625]
    assert resize_bicubic(step, 1, 12)[0, :9].tolist() == expected


def test_both_axes_are_resized():
    values = floats([[0, 1], [2, 3]])
    assert resize_bicubic(values, 1, 1).tolist() == [[1.5]]
    assert resize_bicubic(values, 2, 1).tolist() == [[0.5], [2.5]]
    assert resize_bicubic(values, 1, 2).tolist() == [[1.0, 2.0]]
    np.testing.assert_allclose(resize_bicubic(floats([[7]]), 2, 3), [[7] * 3] * 2, rtol=1e-6)


def test_the_same_size_keeps_every_value():
    values = floats([[1e-30, 3.3, -7], [0.1, 1e30, 5]])
    assert resize_bicubic(values, 2, 3).tolist() == values.tolist()


def test_a_shrunk_map_is_not_smoothed():
    # The middle of 5 is its third value alone: torch reads four neighbours, not all that shrink.
    assert resize_bicubic(floats([[0, 0, 1, 0, 0]]), 1, 1).tolist() == [[1.0]]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("size", [(3, 200), (200, 3), (5, 7), (130, 65)])
def test_blocks_and_memory_orders_change_nothing(order, size):
    rng = np.random.default_rng(0)
    values = np.asarray(rng.standard_normal((20, 30), np.float32), order=order)
    found = resize_bicubic(values, *size)
    assert found.dtype == np.float32
    assert found.shape == size
    assert found.flags.c_contiguous
    rows, row_weights = cubic_taps(20, size[0])
    columns, column_weights = cubic_taps(30, size[1])
    neighbours = values[rows[:, None, :, None], columns[None, :, None, :]]  # [row, column, 4, 4]
    expected = np.einsum("rcij,ri,cj->rc", neighbours, row_weights, column_weights)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_grey_picture_is_scaled_and_cut_to_whole_numbers():
    picture = grey_picture(floats([[2, 4, 3], [2.5, 3.999, 2.01]]))
    assert (picture.mode, picture.size) == ("L", (3, 2))
    assert np.asarray(picture).tolist() == [[0, 255, 127], [63, 254, 1]]


def test_a_constant_map_is_a_black_picture():
    assert np.asarray(grey_picture(floats([[3, 3]]))).tolist() == [[0, 0]]


def test_the_map_is_not_changed():
    depth = floats([[1, 2]])
    grey_picture(depth)
    resize_bicubic(depth, 4, 4)
    assert depth.tolist() == [[1.0, 2.0]]
