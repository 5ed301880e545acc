"""Images -> the float tensor a vision model takes, exactly as transformers' Pillow backend.

Source: transformers 5.23, image_processing_backends.py (`PilBackend`) and image_transforms.py.
Everything up to rescaling works on 8-bit values there too, so a table of 256 floats per channel,
made with the original's own operations, gives its floats bit by bit.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.image_reading import MAX_PIXELS, Pixels
from onnxtasks.ops.scores import Float

Resample: TypeAlias = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]


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

    def __post_init__(self) -> None:
        """Refuse an empty or absurd size."""
        _check_sides(shortest_edge=self.shortest_edge)
        if self.longest_edge is not None:
            _check_sides(longest_edge=self.longest_edge)


class LargestSize(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="largest"
):
    """Resize to the largest size that fits into this one; keeps the shape."""

    max_height: int
    max_width: int

    def __post_init__(self) -> None:
        """Refuse an empty or absurd size."""
        _check_sides(max_height=self.max_height, max_width=self.max_width)


Resize: TypeAlias = ExactSize | ShortestEdge | LargestSize


class ImageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an image becomes a tensor: resize, crop, rescale, normalise, pad, in this order."""

    resize: Resize | None = None
    resample: Resample = "bilinear"
    crop: Size | None = None
    """Cut from the centre; what lies outside a smaller image is black."""
    rescale: float | None = None
    """Factor on the 8-bit values, such as 1 / 255."""
    mean: tuple[float, ...] | None = None
    """Subtracted per channel, after rescaling."""
    std: tuple[float, ...] | None = None
    """Divided by per channel."""
    pad: Size | None = None
    """Zeros on the right and at the bottom, after normalising."""
    channels: Literal["rgb", "bgr", "grey"] = "rgb"
    whiten: bool = False
    """Whether the one transparent colour that a picture may name becomes white."""
    max_pixels: int = MAX_PIXELS
    """Larger images are refused before they are decoded, or resized."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std come together")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != self.channel_count:
                raise ValueError(
                    f"{name} has {len(values)} values for {self.channel_count} channels"
                )
        if self.std is not None and 0 in self.std:
            raise ValueError(f"std is {self.std}; none may be 0")
        if self.max_pixels < 1:
            raise ValueError(f"max_pixels is {self.max_pixels}; it is at least 1")
        size = self.crop or (self.resize if isinstance(self.resize, ExactSize) else None)
        if self.pad and size and not _fits((size.height, size.width), self.pad):
            raise ValueError("pad is smaller than the image it pads")

    @property
    def channel_count(self) -> int:
        """Channels of the tensor."""
        return 1 if self.channels == "grey" else 3

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Height and width of every tensor; None where they depend on the image."""
        size = self.pad or self.crop
        if size is None and isinstance(self.resize, ExactSize):
            size = self.resize
        return (size.height, size.width) if size else None


def resized_size(height: int, width: int, resize: Resize) -> tuple[int, int]:
    """Height and width of an image after resizing.

    Rounds as transformers' `get_resize_output_image_size`, `get_size_with_aspect_ratio` and
    `get_image_size_for_max_height_width` (image_transforms.py, image_utils.py).
    """
    if isinstance(resize, ExactSize):
        return resize.height, resize.width
    if isinstance(resize, LargestSize):
        scale = min(resize.max_height / height, resize.max_width / width)
        return int(height * scale), int(width * scale)
    short, long = min(height, width), max(height, width)
    edge: float = resize.shortest_edge
    limit = resize.longest_edge
    if limit is None:
        new_short, new_long = resize.shortest_edge, int(resize.shortest_edge * long / short)
    else:
        if float(long) / float(short) * edge > limit:
            edge = limit * float(short) / float(long)
            new_short = round(edge)
        else:
            new_short = resize.shortest_edge
        # The longer side follows the unrounded edge, except where the shorter one stays.
        new_long = long if short == new_short else int(edge * long / short)
    return (new_short, new_long) if height < width else (new_long, new_short)


def tensor_size(height: int, width: int, spec: ImageSpec) -> tuple[int, int]:
    """Height and width of the tensor of an image of this size.

    Raises:
        InputError: The image is too elongated to be resized, or larger than the padded tensor.
    """
    if spec.resize is not None:
        new_height, new_width = resized_size(height, width, spec.resize)
        exact = isinstance(spec.resize, ExactSize)
        if not exact and not 1 <= new_height * new_width <= spec.max_pixels:
            raise InputError(
                f"an image of {width} x {height} pixels is too elongated: it would be resized to "
                f"{new_width} x {new_height}; crop it first"
            )
        height, width = new_height, new_width
    if spec.crop is not None:
        height, width = spec.crop.height, spec.crop.width
    if spec.pad is None:
        return height, width
    if not _fits((height, width), spec.pad):
        raise InputError(
            f"the image is {width} x {height} pixels when it reaches the model, which takes at "
            f"most {spec.pad.width} x {spec.pad.height}; make it smaller first"
        )
    return spec.pad.height, spec.pad.width


def to_pixels(image: Image.Image, spec: ImageSpec) -> Pixels:
    """Resize and crop: the 8-bit half of the way.

    Args:
        image: Of mode "RGB", as `read_image` returns it.
        spec: The model's settings.

    Returns:
        uint8 [height, width, channel], equal to the original's bit by bit.

    Raises:
        InputError: As `tensor_size`.
    """
    tensor_size(image.height, image.width, spec)
    if spec.whiten and image.info.get("transparency") is not None:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    if spec.channels == "grey":
        image = image.convert("L")
    if spec.resize is not None:
        height, width = resized_size(image.height, image.width, spec.resize)
        resample = Image.Resampling[spec.resample.upper()]
        image = image.resize((width, height), resample=resample)
    if spec.crop is not None:
        # Pillow fills with zeros what lies outside, and floor puts a smaller image where the
        # original's center_crop() does.
        left = (image.width - spec.crop.width) // 2
        top = (image.height - spec.crop.height) // 2
        image = image.crop((left, top, left + spec.crop.width, top + spec.crop.height))
    pixels = np.asarray(image)
    if spec.channels == "bgr":
        pixels = pixels[..., ::-1]
    return pixels.reshape(*pixels.shape[:2], spec.channel_count)


def value_table(spec: ImageSpec) -> Float:
    """The float of every 8-bit value, float32 [channel, 256].

    The operations and their types are those of transformers' `rescale` (in float64) and
    `normalize` (in float32), image_transforms.py.
    """
    values = np.arange(256).astype(np.float32)
    if spec.rescale is not None:
        values = (np.arange(256).astype(np.float64) * spec.rescale).astype(np.float32)
    if spec.mean is None or spec.std is None:
        return np.tile(values, (spec.channel_count, 1))
    mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
    table: Float = (values - mean[:, None]) / std[:, None]
    return table


def to_tensor(pixels: Pixels, table: Float, out: Float) -> None:
    """Write one image's floats; what is left of `out` on the right and below becomes 0.

    Args:
        pixels: [height, width, channel].
        table: [channel, 256], of `value_table`.
        out: [channel, height, width] or larger; overwritten.
    """
    height, width, _ = pixels.shape
    if out.shape[1:] != (height, width):
        out[:, height:] = 0
        out[:, :height, width:] = 0
    for channel, values in enumerate(table):
        # "clip" spares the check of indices that cannot be out of range.
        np.take(values, pixels[..., channel], out=out[channel, :height, :width], mode="clip")


def to_batch(pixels: Sequence[Pixels], spec: ImageSpec) -> Float:
    """Rescale, normalise and pad: the float half of the way.

    Args:
        pixels: Results of `to_pixels`, all of one size unless the spec pads them to one.
        spec: The model's settings.

    Returns:
        float32 [batch, channel, height, width].
    """
    height, width = pixels[0].shape[:2]
    if spec.pad is not None:
        height, width = spec.pad.height, spec.pad.width
    batch = np.empty((len(pixels), spec.channel_count, height, width), np.float32)
    table = value_table(spec)
    for image, out in zip(pixels, batch, strict=True):
        to_tensor(image, table, out)
    return batch


def _fits(size: tuple[int, int], frame: Size) -> bool:
    return size[0] <= frame.height and size[1] <= frame.width


def _check_sides(**sides: Any) -> None:
    for name, value in sides.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it is at least 1")
    if math.prod(sides.values()) > MAX_PIXELS:
        raise ValueError(f"{sides} is more than {MAX_PIXELS} pixels")
