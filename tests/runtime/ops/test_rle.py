import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.ops.rle import area, decode, encode

MASKS = [
    ([[0, 0], [0, 0]], "4"),
    ([[1, 1], [1, 1]], "04"),  # the first run, of zeros, is empty
    ([[0, 1], [1, 1]], "13"),  # down the columns: 0 1 1 1
    ([[0, 1, 0], [1, 0, 1]], "122O"),  # runs 1 2 2 1; the fourth is 1 - 2 = -1, five bits of 1
]


@pytest.mark.parametrize(("mask", "counts"), MASKS)
def test_the_runs_of_a_mask(mask, counts):
    encoded = encode(np.array(mask, np.bool_))
    assert encoded == {"size": [2, len(mask[0])], "counts": counts}
    assert decode(encoded).tolist() == np.array(mask, bool).tolist()
    assert area(encoded) == np.sum(mask)


def test_long_runs_take_several_characters():
    mask = np.repeat([0, 1, 0, 1], [20, 3, 40, 2])[:, None]
    # 20 has the sign's bit, so "0" follows; 40 = 8 + 1 * 32; 2 - 3 = -1.
    assert encode(mask) == {"size": [65, 1], "counts": "d0" + "3" + "X1" + "O"}
    assert np.array_equal(decode(encode(mask)), mask == 1)


def test_a_mask_may_be_of_numbers():
    assert encode(np.array([[0, 255]], np.uint8)) == encode(np.array([[False, True]]))
    assert encode(np.array([[0.0, -0.5]])) == encode(np.array([[False, True]]))


@pytest.mark.parametrize("counts", ["", "d", "1\x1f", "1ü", "o" * 20 + "0"])
def test_what_is_no_encoding(counts):
    with pytest.raises(InputError, match="counts is not the compressed run-length encoding"):
        decode({"size": [1, 2], "counts": counts})


@pytest.mark.parametrize(("size", "counts"), [([2, 2], "13"), ([1, 1], "1O2")])
def test_runs_of_another_size(size, counts):
    with pytest.raises(InputError, match="the runs of this mask have .* pixels, its size is"):
        decode({"size": [size[0] + 1, size[1]], "counts": counts})
