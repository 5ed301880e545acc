"""Drawing on pictures: sizes, places and colours."""

import numpy as np
import pytest
from PIL import Image

from onnxtasks import InputError
from onnxtasks.ops.drawing import (
    DEPTHS,
    SMALLEST,
    colour_of,
    depth_colours,
    draw_boxes,
    draw_depth,
    draw_regions,
    middle_of,
)

GREY = (128, 128, 128)


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def changed(picture, before=GREY):
    """Where a picture is not as before, [height, width]."""
    return (np.asarray(picture) != before).any(-1)


def test_colours_of_classes_are_fixed_and_far_apart():
    colours = np.array([colour_of(index) for index in range(24)], float)
    apart = np.abs(colours[:, None] - colours[None]).sum(-1) + 1000 * np.eye(24)
    assert apart.min() > 30
    assert colour_of(3) == colour_of(3)
    assert colour_of(10_000) != colour_of(10_001)


@pytest.mark.parametrize("size", [(640, 480), (400, 90), (1920, 1080)])
def test_a_box_is_drawn_where_it_is(size):
    image = Image.new("RGB", size, GREY)
    xmin, ymin, xmax, ymax = size[0] * 0.5, size[1] * 0.5, size[0] * 0.9, size[1] * 0.9
    drawn = draw_boxes(image, boxes((xmin, ymin, xmax, ymax)), ["cat 0.98"], [4])
    assert drawn.size == size
    assert drawn.getpixel((int(xmin), int(ymax) - 4)) == colour_of(4)
    assert drawn.getpixel((int((xmin + xmax) / 2), int(ymax))) == colour_of(4)
    found = changed(drawn)
    assert not found[:, : int(xmin)].any()
    assert not found[int(ymax) + 1 :].any()
    assert image.getpixel((int(xmin), int(ymax))) == GREY  # the user's picture stays as it is


def test_a_small_picture_is_enlarged_so_that_captions_can_be_read():
    drawn = draw_boxes(Image.new("RGB", (32, 20), GREY), boxes((2, 12, 30, 18)), ["dog 0.5"], [0])
    assert drawn.size == (416, 260)
    assert drawn.width >= SMALLEST
    caption = changed(drawn)[: 12 * 13]  # above the box
    assert caption.sum() > 500


def test_captions_do_not_hide_each_other_and_stay_inside():
    image = Image.new("RGB", (600, 400), GREY)
    same = boxes(*[(100, 5, 300, 200)] * 3)
    one = changed(draw_boxes(image, same[:1], ["first"], [0])).sum()
    three = changed(draw_boxes(image, same, ["first", "second", "third"], [0, 1, 2])).sum()
    assert three > one + 2 * 500
    far = draw_boxes(image, boxes((590, -20, 900, 10)), ["outside " * 40], [1])
    assert far.size == image.size


def test_the_first_box_is_on_top():
    image = Image.new("RGB", (500, 500), GREY)
    same = boxes((100, 100, 400, 400), (100, 100, 400, 400))
    assert draw_boxes(image, same, ["", ""], [1, 2]).getpixel((400, 250)) == colour_of(1)


def test_no_boxes_leave_the_picture_as_it_is():
    image = Image.new("RGB", (500, 400), GREY)
    assert not changed(draw_boxes(image, boxes(), [], [])).any()


def test_regions_are_coloured_and_bordered():
    image = Image.new("RGB", (500, 400), GREY)
    regions = np.zeros((400, 500), np.int32)
    regions[100:300, 50:250] = 1
    regions[100:300, 250:450] = 2
    drawn = draw_regions(image, regions, ["cat", "dog"], [3, 5])
    half = [(128 + value) // 2 for value in colour_of(3)]
    np.testing.assert_allclose(np.asarray(drawn)[120, 60], half, atol=1)
    assert drawn.getpixel((60, 100)) == colour_of(3)
    assert drawn.getpixel((250, 280)) == colour_of(5)
    assert drawn.getpixel((20, 20)) == GREY
    hidden = draw_regions(image, np.zeros_like(regions), ["nowhere"], [1])
    assert not changed(hidden).any()


def test_the_middle_is_inside_the_region():
    ring = np.zeros((9, 9), bool)
    ring[1:8, 1:8] = True
    ring[3:6, 3:6] = False
    x, y = middle_of(ring) or (-1, -1)
    assert x >= 0
    assert ring[int(y), int(x)]
    disc = np.hypot(*np.mgrid[-100:101, -100:101]) < 90
    assert np.hypot(*np.subtract(middle_of(disc) or (0, 0), 100)) < 8
    thin = np.eye(300, dtype=bool)
    x, y = middle_of(thin) or (-1, -1)
    assert x >= 0
    assert thin[int(y), int(x)]
    assert middle_of(np.zeros((4, 4), bool)) is None


def test_depth_is_coloured_from_the_smallest_to_the_largest():
    np.testing.assert_allclose(depth_colours(np.array([0.0, 1.0])), [DEPTHS[0], DEPTHS[-1]])
    depth = np.linspace(1, 9, 500, dtype=np.float32)[None].repeat(400, 0)
    drawn = np.asarray(draw_depth(Image.new("RGB", (500, 400), "white"), depth, "m"), int)
    light = drawn[200, :480].sum(-1)
    assert light[0] < light[240] < light[479]
    flat = draw_depth(Image.new("RGB", (500, 400), "white"), np.ones((400, 500), np.float32))
    assert flat.getpixel((100, 200)) == DEPTHS[0]


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(InputError, match=r"the image is 8 x 9 pixels, the result .* 5 x 4"):
        draw_depth(Image.new("RGB", (8, 9)), np.ones((4, 5), np.float32))
    with pytest.raises(InputError, match="draw on the image that was answered"):
        draw_regions(Image.new("RGB", (8, 9)), np.ones((4, 5), np.int32), ["a"], [0])
