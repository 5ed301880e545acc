import msgspec
import numpy as np
import pytest
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.image import (
    ExactSize,
    ImageSpec,
    LargestSize,
    ShortestEdge,
    Size,
    resized_size,
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


@pytest.mark.parametrize(
    ("height", "width", "resize", "expected"),
    [
        (30, 40, ExactSize(height=7, width=9), (7, 9)),
        (30, 40, ShortestEdge(shortest_edge=15), (15, 20)),
        (40, 30, ShortestEdge(shortest_edge=15), (20, 15)),
        (3, 5, ShortestEdge(shortest_edge=7), (7, 11)),  # 7 * 5 / 3 = 11.67, cut
        (20, 20, ShortestEdge(shortest_edge=7), (7, 7)),
        (30, 40, ShortestEdge(shortest_edge=15, longest_edge=30), (15, 20)),
        (10, 40, ShortestEdge(shortest_edge=15, longest_edge=30), (8, 30)),  # 7.5 rounds to even
        (40, 10, ShortestEdge(shortest_edge=15, longest_edge=30), (30, 8)),
        (30, 41, ShortestEdge(shortest_edge=30, longest_edge=90), (30, 41)),
        (100, 200, LargestSize(max_height=50, max_width=50), (25, 50)),
        (100, 200, LargestSize(max_height=200, max_width=500), (200, 400)),
    ],
)
def test_resized_size(height, width, resize, expected):
    assert resized_size(height, width, resize) == expected


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
    ],
)
def test_extreme_shapes_are_refused(size, resize, target):
    spec = ImageSpec(resize=resize)
    message = f"an image of {size[0]} x 2 pixels is too elongated: it would be resized to {target}"
    with pytest.raises(InputError, match=f"{message}; crop it first"):
        to_pixels(Image.new("RGB", size), spec)
    with pytest.raises(InputError, match=message):
        tensor_size(2, size[0], spec)


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
        LargestSize(max_height=3, max_width=4),
        None,
    ],
)
def test_settings_survive_json(resize):
    spec = ImageSpec(resize=resize, mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 0.7), rescale=1 / 255)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=ImageSpec) == spec
