"""Images -> the float tensor a vision model takes, exactly as transformers' Pillow backend.

Source: transformers 5.23, image_processing_backends.py (`PilBackend`) and image_transforms.py.
Everything up to rescaling works on 8-bit values there too, so a table of 256 floats per channel,
made with the original's own operations, gives its floats bit by bit.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.image_reading import MAX_PIXELS, Pixels
from onnxtasks.ops.image_size import (
    ExactSize,
    FlooredEdge,
    FlooredSides,
    LargestSize,
    NearestScale,
    Resize,
    Share,
    ShortestEdge,
    Size,
    ceil_size,
    resized_size,
)
from onnxtasks.ops.scores import Float

__all__ = [
    "ExactSize",
    "FlooredEdge",
    "FlooredSides",
    "ImageSpec",
    "LargestSize",
    "NearestScale",
    "Resample",
    "Resize",
    "Share",
    "ShortestEdge",
    "Size",
    "resized_size",
    "tensor_size",
    "to_batch",
    "to_pixels",
]

KEPT_BYTES = (32 << 20) - (64 << 10)
"""Just below the largest array for which glibc's malloc learns to keep freed memory."""

Resample: TypeAlias = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]


class ImageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an image becomes a tensor: cut, resize, crop, rescale, normalise, pad, in this order."""

    cut: Share | None = None
    """Cut from the centre before resizing (Perceiver)."""
    resize: Resize | None = None
    resample: Resample = "bilinear"
    crop: Size | None = None
    """Cut from the centre; what lies outside a smaller image is black."""
    rescale: float | None = None
    """Factor on the 8-bit values, such as 1 / 255."""
    offset: float = 0
    """Added after rescaling (EfficientNet)."""
    mean: tuple[float, ...] | None = None
    """Subtracted per channel, after rescaling."""
    std: tuple[float, ...] | None = None
    """Divided by per channel."""
    std_twice: bool = False
    """Whether std divides a second time (EfficientNet)."""
    pad: Size | None = None
    """Zeros on the right and at the bottom, after normalising."""
    pad_multiple: int | None = None
    """Zeros on all sides, after normalising, until both sides are multiples of this; of an odd
    number of them the right and the bottom get one more (DPT)."""
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
        if self.pad and self.pad_multiple is not None:
            raise ValueError("pad and pad_multiple exclude each other")
        if self.pad_multiple is not None and self.pad_multiple < 1:
            raise ValueError(f"pad_multiple is {self.pad_multiple}; it is at least 1")
        size = self._fixed_unpadded_size
        if self.pad and size and not _fits((size.height, size.width), self.pad):
            raise ValueError("pad is smaller than the image it pads")

    @property
    def channel_count(self) -> int:
        """Channels of the tensor."""
        return 1 if self.channels == "grey" else 3

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Height and width of every tensor; None where they depend on the image."""
        size = self.pad or self._fixed_unpadded_size
        return ceil_size((size.height, size.width), self.pad_multiple or 1) if size else None

    @property
    def _fixed_unpadded_size(self) -> Size | None:
        return self.crop or (self.resize if isinstance(self.resize, ExactSize) else None)


def tensor_size(height: int, width: int, spec: ImageSpec) -> tuple[int, int]:
    """Height and width of the tensor of an image of this size.

    Raises:
        InputError: The image is too small or too elongated to be resized, or larger than the
            padded tensor.
    """
    if spec.cut is not None:
        share = spec.cut.size(height, width)
        if 0 in share:
            raise InputError(
                f"an image of {width} x {height} pixels is too elongated: {share[1]} x {share[0]} "
                "would be cut from it; crop it first"
            )
        height, width = share
    if spec.resize is not None:
        height, width = _checked_resized_size(height, width, spec.resize, spec.max_pixels)
    if spec.crop is not None:
        height, width = spec.crop.height, spec.crop.width
    return _padded_size(height, width, spec)


def _checked_resized_size(
    height: int, width: int, resize: Resize, max_pixels: int
) -> tuple[int, int]:
    size = resized_size(height, width, resize)
    if isinstance(resize, ExactSize) or 1 <= size[0] * size[1] <= max_pixels:
        return size
    if isinstance(resize, FlooredSides):
        raise InputError(
            f"an image of {width} x {height} pixels is too small: the model takes at least "
            f"{resize.multiple} x {resize.multiple}; make it larger first"
        )
    raise InputError(
        f"an image of {width} x {height} pixels is too elongated: it would be resized to "
        f"{size[1]} x {size[0]}; crop it first"
    )


def _padded_size(height: int, width: int, spec: ImageSpec) -> tuple[int, int]:
    if spec.pad_multiple is not None:
        return ceil_size((height, width), spec.pad_multiple)
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
    _keep_freed_memory()
    tensor_size(image.height, image.width, spec)
    if spec.whiten and image.info.get("transparency") is not None:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    if spec.channels == "grey":
        image = image.convert("L")
    if spec.cut is not None:
        image = _cut_centre(image, *spec.cut.size(image.height, image.width))
    if spec.resize is not None:
        height, width = resized_size(image.height, image.width, spec.resize)
        resample = Image.Resampling[spec.resample.upper()]
        if (width, height) != image.size:  # Pillow would copy
            image = image.resize((width, height), resample=resample)
    if spec.crop is not None:
        image = _cut_centre(image, spec.crop.height, spec.crop.width)
    pixels = np.asarray(image)
    if spec.channels == "bgr":
        pixels = pixels[..., ::-1]
    return pixels.reshape(*pixels.shape[:2], spec.channel_count)


@cache
def _keep_freed_memory() -> None:
    """Let the C library keep a picture's freed memory for the next one.

    At first glibc gives arrays above 128 KiB back to the system, which then clears every page
    again: half of a small picture's time. It stops doing so up to the size of the largest array
    that was ever freed, so one is freed here; its pages are never touched. Elsewhere this does
    nothing, and neither where the user set malloc's limits.
    """
    np.empty(KEPT_BYTES, np.uint8)


def _cut_centre(image: Image.Image, height: int, width: int) -> Image.Image:
    # Pillow fills with zeros what lies outside, and floor puts a smaller image where the
    # original's center_crop() does.
    left = (image.width - width) // 2
    top = (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


@lru_cache(maxsize=16)
def value_table(spec: ImageSpec) -> Float:
    """The float of every 8-bit value, float32 [channel, 256]; made once for a spec, read-only.

    The operations and their types are those of transformers' `rescale` (in float64) and
    `normalize` (in float32), image_transforms.py.
    """
    values = np.arange(256).astype(np.float32)
    if spec.rescale is not None:
        values = (np.arange(256).astype(np.float64) * spec.rescale).astype(np.float32)
    values += np.float32(spec.offset)
    table = np.tile(values, (spec.channel_count, 1))
    if spec.mean is not None and spec.std is not None:
        mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
        table = (table - mean[:, None]) / std[:, None]
        if spec.std_twice:
            table /= std[:, None]
    table.setflags(write=False)
    return table


def to_tensor(pixels: Pixels, table: Float, out: Float, *, centred: bool = False) -> None:
    """Write one image's floats; what is left of `out` around them becomes 0.

    Args:
        pixels: [height, width, channel].
        table: [channel, 256], of `value_table`.
        out: [channel, height, width] or larger; overwritten.
        centred: Whether the image lies in the middle, rounded to the top left; else at the top
            left.
    """
    height, width, _ = pixels.shape
    top, left = 0, 0
    if centred:
        top, left = (out.shape[1] - height) // 2, (out.shape[2] - width) // 2
    bottom, right = top + height, left + width
    if out.shape[1:] != (height, width):
        out[:, :top] = 0
        out[:, bottom:] = 0
        out[:, top:bottom, :left] = 0
        out[:, top:bottom, right:] = 0
    for channel, values in enumerate(table):
        # "clip" spares the check of indices that cannot be out of range.
        inner = out[channel, top:bottom, left:right]
        np.take(values, pixels[..., channel], out=inner, mode="clip")


def to_batch(pixels: Sequence[Pixels], spec: ImageSpec) -> Float:
    """Rescale, normalise and pad: the float half of the way.

    Args:
        pixels: Results of `to_pixels`, all of one size unless the spec pads them to one.
        spec: The model's settings.

    Returns:
        float32 [batch, channel, height, width].
    """
    height, width = _padded_size(pixels[0].shape[0], pixels[0].shape[1], spec)
    batch = np.empty((len(pixels), spec.channel_count, height, width), np.float32)
    table = value_table(spec)
    for image, out in zip(pixels, batch, strict=True):
        to_tensor(image, table, out, centred=spec.pad_multiple is not None)
    return batch


def _fits(size: tuple[int, int], frame: Size) -> bool:
    return size[0] <= frame.height and size[1] <= frame.width
