import msgspec
import numpy as np
import pytest
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.image import (
    ExactSize,
    FlooredEdge,
    FlooredSides,
    ImageSpec,
    LargestSize,
    NearestScale,
    Share,
    ShortestEdge,
    Size,
    tensor_size,
    to_batch,
    to_pixels,
    value_table,
)


def picture(values):
    """Grey values [height, width] as an RGB image."""
    return Image.fromarray(np.array(values, np.uint8)).convert("RGB")


def first_channel(image, **settings):
    return to_pixels(image, ImageSpec(**settings))[..., 0].tolist()


def test_resize_modes_and_filters():
    image = picture([[0, 100], [100, 200]])
    assert first_channel(image, resize=ExactSize(height=1, width=1)) == [[100]]
    nearest = first_channel(image, resize=ExactSize(height=2, width=4), resample="nearest")
    assert nearest == [[0, 0, 100, 100], [100, 100, 200, 200]]
    assert first_channel(image, resize=ShortestEdge(shortest_edge=2)) == [[0, 100], [100, 200]]


@pytest.mark.parametrize(
    ("values", "height", "width", "expected"),
    [
        ([[1, 2, 3], [4, 5, 6]], 2, 1, [[2], [5]]),
        ([[1, 2, 3, 4]] * 2, 1, 2, [[2, 3]]),
        ([[1, 2, 3]] * 2, 2, 2, [[1, 2], [1, 2]]),  # 1 too wide: the left ones stay
        ([[1, 2], [3, 4]], 2, 3, [[0, 1, 2], [0, 3, 4]]),  # 1 too narrow: black on the left
        ([[1, 2], [3, 4]], 4, 4, [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]]),
        ([[1, 2, 3], [4, 5, 6]], 3, 1, [[0], [2], [5]]),
    ],
)
def test_centre_crop(values, height, width, expected):
    assert first_channel(picture(values), crop=Size(height=height, width=width)) == expected


def test_cut_before_resizing():
    values = [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert first_channel(picture(values), cut=Share(height=1, width=0.5)) == [[2], [6]]
    size = ExactSize(height=1, width=2)
    found = first_channel(picture(values), cut=Share(height=0.5, width=1), resize=size)
    assert found == [[2, 3]]


def test_channels():
    image = Image.new("RGB", (2, 2), (10, 20, 30))
    assert to_pixels(image, ImageSpec())[0, 0].tolist() == [10, 20, 30]
    assert to_pixels(image, ImageSpec(channels="bgr"))[0, 0].tolist() == [30, 20, 10]
    grey = to_pixels(image, ImageSpec(channels="grey"))
    assert (grey.shape, grey[0, 0].tolist()) == ((2, 2, 1), [18])  # .299 R + .587 G + .114 B


def test_a_transparent_colour_becomes_white_where_asked():
    image = picture([[10, 20], [10, 30]])
    image.info["transparency"] = (10, 10, 10)
    assert first_channel(image) == [[10, 20], [10, 30]]
    assert first_channel(image, whiten=True) == [[255, 20], [255, 30]]


def test_values():
    spec = ImageSpec(rescale=1 / 255, mean=(0.5, 0.0, 0.25), std=(0.5, 1.0, 0.25))
    table = value_table(spec)
    assert table.dtype == np.float32
    assert table[:, 0].tolist() == [-1, 0, -1]
    assert table[:, 255].tolist() == [1, 1, 3]
    assert value_table(ImageSpec(rescale=0.5, channels="grey"))[0, :4].tolist() == [0, 0.5, 1, 1.5]
    assert value_table(ImageSpec())[2, 250:].tolist() == [250, 251, 252, 253, 254, 255]
    assert value_table(ImageSpec(mean=(1, 2, 3), std=(2, 2, 2)))[:, 5].tolist() == [2, 1.5, 1]


def test_values_that_are_shifted_or_divided_twice():
    shifted = ImageSpec(rescale=1 / 127.5, offset=-1, channels="grey")
    assert value_table(shifted)[0, [0, 255]].tolist() == [-1, 1]
    twice = ImageSpec(mean=(1, 1, 1), std=(2, 4, 1), std_twice=True)
    assert value_table(twice)[:, 17].tolist() == [4, 1, 16]


def test_the_table_is_made_once_and_cannot_be_changed():
    spec = ImageSpec(rescale=0.5, channels="grey")
    assert value_table(spec) is value_table(ImageSpec(rescale=0.5, channels="grey"))
    with pytest.raises(ValueError, match="read-only"):
        value_table(spec)[0, 0] = 1


def test_batch():
    spec = ImageSpec(rescale=0.5, channels="grey")
    images = [picture([[2, 4], [6, 8]]), picture([[0, 0], [0, 10]])]
    batch = to_batch([to_pixels(image, spec) for image in images], spec)
    assert batch.dtype == np.float32
    assert batch.shape == (2, 1, 2, 2)
    assert batch.ravel().tolist() == [1, 2, 3, 4, 0, 0, 0, 5]


def test_padding_is_zero_after_normalising():
    spec = ImageSpec(mean=(4,), std=(1,), channels="grey", pad=Size(height=3, width=3))
    images = [picture([[5, 6], [7, 8]]), picture([[9, 9, 9]] * 2)]
    batch = to_batch([to_pixels(image, spec) for image in images], spec)
    assert batch[0, 0].tolist() == [[1, 2, 0], [3, 4, 0], [0, 0, 0]]
    assert batch[1, 0].tolist() == [[5, 5, 5], [5, 5, 5], [0, 0, 0]]


def test_padding_to_a_multiple_is_around_the_image():
    spec = ImageSpec(mean=(4,), std=(1,), channels="grey", pad_multiple=3)
    batch = to_batch([to_pixels(picture([[5, 6], [7, 8]]), spec)], spec)
    assert batch[0, 0].tolist() == [[1, 2, 0], [3, 4, 0], [0, 0, 0]]
    batch = to_batch([to_pixels(picture([[5], [6], [7]]), spec)], spec)
    assert batch[0, 0].tolist() == [[0, 1, 0], [0, 2, 0], [0, 3, 0]]
    whole = picture([[5, 5, 5]] * 3)
    assert to_batch([to_pixels(whole, spec)], spec)[0, 0].tolist() == [[1, 1, 1]] * 3


@pytest.mark.parametrize(
    ("spec", "expected", "fixed"),
    [
        (ImageSpec(), (30, 40), None),
        (ImageSpec(resize=ExactSize(height=5, width=6)), (5, 6), (5, 6)),
        (ImageSpec(resize=ShortestEdge(shortest_edge=15)), (15, 20), None),
        (
            ImageSpec(resize=ShortestEdge(shortest_edge=15), crop=Size(height=9, width=8)),
            (9, 8),
            (9, 8),
        ),
        (ImageSpec(pad=Size(height=50, width=60)), (50, 60), (50, 60)),
        (ImageSpec(pad_multiple=32), (32, 64), None),
        (
            ImageSpec(resize=ExactSize(height=5, width=6), pad_multiple=4),
            (8, 8),
            (8, 8),
        ),
        (ImageSpec(resize=FlooredSides(multiple=16)), (16, 32), None),
        (ImageSpec(cut=Share(height=0.5, width=1)), (15, 30), None),
    ],
)
def test_tensor_size(spec, expected, fixed):
    assert tensor_size(30, 40, spec) == expected
    assert spec.fixed_size == fixed


@pytest.mark.parametrize(
    ("size", "resize", "target"),
    [
        ((20_000, 2), ShortestEdge(shortest_edge=224), "2240000 x 224"),
        ((5_000, 2), ShortestEdge(shortest_edge=800, longest_edge=1000), "1000 x 0"),
        ((5_000, 2), LargestSize(max_height=100, max_width=100), "100 x 0"),
        ((5_000, 2), FlooredEdge(shortest_edge=800, longest_edge=1333, multiple=16), "1328 x 0"),
        ((5_000, 2), NearestScale(height=500, width=500, multiple=14), "504 x 0"),
    ],
)
def test_extreme_shapes_are_refused(size, resize, target):
    spec = ImageSpec(resize=resize)
    message = f"an image of {size[0]} x 2 pixels is too elongated: it would be resized to {target}"
    with pytest.raises(InputError, match=f"{message}; crop it first"):
        to_pixels(Image.new("RGB", size), spec)
    with pytest.raises(InputError, match=message):
        tensor_size(2, size[0], spec)


def test_images_smaller_than_a_multiple_are_refused():
    spec = ImageSpec(resize=FlooredSides(multiple=32))
    message = "an image of 45 x 31 pixels is too small: the model takes at least 32 x 32"
    with pytest.raises(InputError, match=f"{message}; make it larger first"):
        to_pixels(Image.new("RGB", (45, 31)), spec)


def test_images_of_which_nothing_is_left_are_refused():
    with pytest.raises(InputError, match="an image of 900 x 2 pixels is too elongated"):
        to_pixels(Image.new("RGB", (900, 2)), ImageSpec(cut=Share(height=0.4, width=0.4)))


def test_images_larger_than_the_padding_are_refused():
    spec = ImageSpec(pad=Size(height=3, width=3))
    message = "the image is 4 x 2 pixels when it reaches the model, which takes at most 3 x 3"
    with pytest.raises(InputError, match=message):
        to_pixels(Image.new("RGB", (4, 2)), spec)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mean": [0.5, 0.5, 0.5]}, "mean and std come together"),
        ({"mean": [0.5], "std": [0.5]}, "mean has 1 values for 3 channels"),
        ({"mean": [0, 0, 0], "std": [1, 1], "channels": "rgb"}, "std has 2 values for 3 channels"),
        ({"mean": [0, 0, 0], "std": [1, 0, 1]}, "none may be 0"),
        ({"max_pixels": 0}, "max_pixels is 0"),
        ({"crop": {"height": 0, "width": 4}}, "height is 0; it is at least 1"),
        ({"crop": {"height": 10_000, "width": 10_000}}, "more than 89478485 pixels"),
        ({"resize": {"type": "shortest_edge", "shortest_edge": -1}}, "shortest_edge is -1"),
        (
            {"resize": {"type": "shortest_edge", "shortest_edge": 9, "longest_edge": 0}},
            "longest_edge is 0",
        ),
        ({"resize": {"type": "largest", "max_height": 9, "max_width": 0}}, "max_width is 0"),
        (
            {"crop": {"height": 4, "width": 4}, "pad": {"height": 4, "width": 3}},
            "pad is smaller than the image it pads",
        ),
        ({"pad_multiple": 0}, "pad_multiple is 0; it is at least 1"),
        ({"pad_multiple": 4, "pad": {"height": 4, "width": 3}}, "exclude each other"),
        ({"cut": {"height": 0, "width": 1}}, "height is 0.0 of the shorter side"),
        ({"resample": "gaussian"}, "resample"),
        ({"do_flip": True}, "do_flip"),
        ({"resize": {"type": "exact", "height": 3, "width": 3, "depth": 3}}, "depth"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(settings, ImageSpec)


@pytest.mark.parametrize(
    "resize",
    [
        ExactSize(height=3, width=4),
        ShortestEdge(shortest_edge=3, longest_edge=9),
        FlooredEdge(shortest_edge=3, longest_edge=9, multiple=2),
        FlooredSides(multiple=3),
        LargestSize(max_height=3, max_width=4, multiple=2),
        NearestScale(height=3, width=4, multiple=2),
        None,
    ],
)
def test_settings_survive_json(resize):
    spec = ImageSpec(resize=resize, mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 0.7), rescale=1 / 255)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=ImageSpec) == spec
