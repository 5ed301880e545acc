"""Sizes of images on their way to the model, rounded exactly as transformers' Pillow backend.

Every kind of resizing that an image processor's settings can ask for is one struct here.
"""

import math
from typing import Any, TypeAlias

import msgspec

from onnxtasks.ops.image_reading import MAX_PIXELS


class Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Height and width in pixels."""

    height: int
    width: int

    def __post_init__(self) -> None:
        """Refuse an empty or absurd size."""
        _check_sides(height=self.height, width=self.width)


class ExactSize(Size, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="exact"):
    """Resize to this height and width, whatever the image's shape."""


class ShortestEdge(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="shortest_edge"
):
    """Resize until the shorter side has this length; keeps the shape."""

    shortest_edge: int
    longest_edge: int | None = None
    """The longer side's limit; where it is reached the shorter one becomes shorter."""
    multiple: int = 1
    """Both sides are then rounded up to multiples of this (Mask2Former, TextNet)."""

    def __post_init__(self) -> None:
        """Refuse an empty or absurd size."""
        _check_sides(shortest_edge=self.shortest_edge)
        _check_sides(multiple=self.multiple)
        if self.longest_edge is not None:
            _check_sides(longest_edge=self.longest_edge)


class FlooredEdge(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="floored_edge"
):
    """As `ShortestEdge`, then both sides rounded down to multiples (YOLOS)."""

    shortest_edge: int
    longest_edge: int
    multiple: int

    def __post_init__(self) -> None:
        """Refuse an empty or absurd size."""
        _check_sides(shortest_edge=self.shortest_edge)
        _check_sides(longest_edge=self.longest_edge)
        _check_sides(multiple=self.multiple)


class LargestSize(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="largest"
):
    """Resize to the largest size that fits into this one; keeps the shape."""

    max_height: int
    max_width: int
    multiple: int = 1
    """Both sides are then rounded up to multiples of this."""

    def __post_init__(self) -> None:
        """Refuse an empty or absurd size."""
        _check_sides(max_height=self.max_height, max_width=self.max_width)
        _check_sides(multiple=self.multiple)


class FlooredSides(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="floored_sides"
):
    """Resize as little as possible: each side rounded down to a multiple of this (GLPN)."""

    multiple: int

    def __post_init__(self) -> None:
        """Refuse an empty or absurd size."""
        _check_sides(multiple=self.multiple)


class NearestScale(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="nearest_scale"
):
    """Resize to this height or this width, whichever changes less; keeps the shape (DPT).

    Both sides are rounded to the nearest multiple.
    """

    height: int
    width: int
    multiple: int = 1

    def __post_init__(self) -> None:
        """Refuse an empty or absurd size."""
        _check_sides(height=self.height, width=self.width)
        _check_sides(multiple=self.multiple)


Resize: TypeAlias = (
    ExactSize | ShortestEdge | FlooredEdge | LargestSize | FlooredSides | NearestScale
)


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of an image, measured in its shorter side."""

    height: float
    width: float

    def __post_init__(self) -> None:
        """Refuse what is not a part."""
        for name, value in (("height", self.height), ("width", self.width)):
            if not 0 < value <= 1:
                raise ValueError(f"{name} is {value} of the shorter side; it is from 0 to 1")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of this part of an image; 0 where nothing is left."""
        short = min(height, width)
        return int(self.height * short), int(self.width * short)


def resized_size(height: int, width: int, resize: Resize) -> tuple[int, int]:
    """Height and width of an image after resizing; 0 where the image is too elongated.

    Rounds as transformers 5.23: `get_resize_output_image_size`, `get_size_with_aspect_ratio` and
    `get_image_size_for_max_height_width` (image_transforms.py, image_utils.py), and the `resize`
    of the processors named at each struct.
    """
    if isinstance(resize, ExactSize):
        return resize.height, resize.width
    if isinstance(resize, FlooredSides):
        return _floor((height, width), resize.multiple)
    if isinstance(resize, NearestScale):
        return _nearest_scale(height, width, resize)
    if isinstance(resize, LargestSize):
        scale = min(resize.max_height / height, resize.max_width / width)
        return ceil_size((int(height * scale), int(width * scale)), resize.multiple)
    if isinstance(resize, FlooredEdge):
        return _floor(_shortest_edge(height, width, resize), resize.multiple)
    return ceil_size(_shortest_edge(height, width, resize), resize.multiple)


def ceil_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Height and width rounded up to multiples."""
    return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple


def _floor(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    return size[0] // multiple * multiple, size[1] // multiple * multiple


def _shortest_edge(height: int, width: int, resize: ShortestEdge | FlooredEdge) -> tuple[int, int]:
    short, long = min(height, width), max(height, width)
    edge: float = resize.shortest_edge
    new_short, new_long = resize.shortest_edge, int(resize.shortest_edge * long / short)
    limit = resize.longest_edge
    if limit is not None and float(long) / float(short) * edge > limit:
        edge = limit * float(short) / float(long)
        new_short = round(edge)
        # The longer side follows the unrounded edge, except where the shorter one stays. YOLOS
        # makes that exception for wide images only.
        stays = short == new_short and not (isinstance(resize, FlooredEdge) and width < height)
        new_long = long if stays else int(edge * long / short)
    return (new_short, new_long) if height < width else (new_long, new_short)


def _nearest_scale(height: int, width: int, resize: NearestScale) -> tuple[int, int]:
    scale_height, scale_width = resize.height / height, resize.width / width
    nearer = scale_width if abs(1 - scale_width) < abs(1 - scale_height) else scale_height
    multiple = resize.multiple
    return (
        round(nearer * height / multiple) * multiple,
        round(nearer * width / multiple) * multiple,
    )


def _check_sides(**sides: Any) -> None:
    for name, value in sides.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it is at least 1")
    if math.prod(sides.values()) > MAX_PIXELS:
        raise ValueError(f"{sides} is more than {MAX_PIXELS} pixels")
