import msgspec
import pytest

from onnxtasks.ops.image import (
    ExactSize,
    FlooredEdge,
    FlooredSides,
    LargestSize,
    NearestScale,
    Resize,
    Share,
    ShortestEdge,
    resized_size,
)
from onnxtasks.ops.image_size import ceil_size

YOLOS = FlooredEdge(shortest_edge=800, longest_edge=1333, multiple=16)


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
        (960, 1280, ShortestEdge(shortest_edge=800, longest_edge=1333), (800, 1066)),
        (50, 1344, ShortestEdge(shortest_edge=800, longest_edge=1333), (50, 1344)),  # 49.6: 50
        (3, 5, ShortestEdge(shortest_edge=7, multiple=4), (8, 12)),
        (4, 8, ShortestEdge(shortest_edge=4, multiple=4), (4, 8)),
        (100, 200, LargestSize(max_height=50, max_width=50), (25, 50)),
        (100, 200, LargestSize(max_height=200, max_width=500), (200, 400)),
        (100, 200, LargestSize(max_height=50, max_width=50, multiple=8), (32, 56)),
        (960, 1280, YOLOS, (800, 1056)),
        (50, 1344, YOLOS, (48, 1344)),
        (1344, 50, YOLOS, (1328, 48)),  # 1333 - 5: upright images follow the unrounded edge
        (480, 640, FlooredSides(multiple=32), (480, 640)),
        (500, 333, FlooredSides(multiple=32), (480, 320)),
        (31, 64, FlooredSides(multiple=32), (0, 64)),
        (480, 640, NearestScale(height=518, width=518, multiple=14), (518, 686)),
        (640, 480, NearestScale(height=518, width=518, multiple=14), (686, 518)),
        (10, 20, NearestScale(height=30, width=30), (15, 30)),  # 1.5 is nearer to 1 than 3
        (3, 2000, NearestScale(height=14, width=14, multiple=14), (0, 14)),  # 0.02 rounds to 0
    ],
)
def test_resized_size(height, width, resize, expected):
    assert resized_size(height, width, resize) == expected


@pytest.mark.parametrize(
    ("size", "multiple", "expected"),
    [((1, 32), 32, (32, 32)), ((33, 64), 32, (64, 64)), ((0, 5), 1, (0, 5))],
)
def test_ceil_size(size, multiple, expected):
    assert ceil_size(size, multiple) == expected


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(8, 100, (7, 4)), (100, 9, (7, 4)), (1, 1, (0, 0))]
)
def test_share_of_the_shorter_side(height, width, expected):
    assert Share(height=0.875, width=0.5).size(height, width) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "shortest_edge", "shortest_edge": 9, "multiple": 0}, "multiple is 0"),
        (
            {"type": "floored_edge", "shortest_edge": 9, "longest_edge": 0, "multiple": 1},
            "longest_edge is 0",
        ),
        ({"type": "floored_sides", "multiple": -1}, "multiple is -1; it is at least 1"),
        ({"type": "nearest_scale", "height": 4, "width": 0}, "width is 0"),
        ({"type": "nearest_scale", "height": 10_000, "width": 10_000}, "more than 89478485 pixels"),
        ({"type": "smallest"}, "smallest"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(settings, Resize)


@pytest.mark.parametrize("value", [0, -0.5, 1.1, float("nan")])
def test_a_share_is_a_part(value):
    with pytest.raises(ValueError, match="of the shorter side; it is from 0 to 1"):
        Share(height=0.5, width=value)


def test_settings_of_older_bundles_are_read():
    old = b'{"type":"shortest_edge","shortest_edge":9,"longest_edge":null}'
    assert msgspec.json.decode(old, type=Resize) == ShortestEdge(shortest_edge=9)
