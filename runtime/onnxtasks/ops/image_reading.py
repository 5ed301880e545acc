"""Any picture a user may pass -> an upright RGB Pillow image.

For 8-bit images the result equals transformers' `load_image` (image_utils.py): EXIF orientation
applied, then Pillow's `convert("RGB")`, which drops alpha and does not blend it. Pillow's global
settings are neither read for the size limit nor changed.
"""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from onnxtasks.errors import InputError, TruncationWarning

ImageLike: TypeAlias = str | Path | bytes | Image.Image | npt.NDArray[np.uint8]
"""A path, an encoded image, a Pillow image, or uint8 [height, width] or [height, width, 1|3|4]."""
Pixels: TypeAlias = npt.NDArray[np.uint8]

MAX_PIXELS = 89_478_485
"""Largest image that is decoded; the number at which Pillow warns of a decompression bomb."""
MIN_SIDE = 2
"""The original takes an array of 1 pixel a side for one with its channels first."""
PREFIX_BYTES = 16  # what Pillow's plugins are given to recognise their format
SEVERAL_FRAMES = ("AVIF", "DCX", "FLI", "GIF", "PNG", "TIFF", "WEBP")
"""Formats whose frames are pictures of one rank; a photo's preview (MPO) or a layer is not."""
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width


def read_image(item: ImageLike, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read an image; of a file's frames or pages the first, of a Pillow image its current one.

    Deeper images are scaled to 8 bits: `value // 257` takes 0...65535 to 0...255, where Pillow's
    own conversion cuts everything above 255 to white. Modes "I" and "F" name no range: values up
    to 255 are taken for 8 bits, larger ones for 16 bits; "F" up to 1 is scaled by 255.

    Args:
        item: The image. A Pillow image is never changed, and returned itself where it is RGB.
        max_pixels: Larger images are refused before they are decoded.

    Returns:
        A Pillow image of mode "RGB". Where the picture names one transparent colour it is kept in
        `info["transparency"]`.

    Warns:
        TruncationWarning: A file, or its bytes, has several frames or pages.

    Raises:
        InputError: Not an image, damaged, too large, too small, or of another type.
    """
    if isinstance(item, np.ndarray):
        return _from_array(item, max_pixels)
    with _header(item, max_pixels) as image:
        if not isinstance(item, Image.Image):
            _warn_of_frames(_describe(item), image)
        image.load()
        _check_size(_describe(item), image.size, max_pixels)  # an icon may hold a larger picture
        if _orientation(image) != 1:
            image = ImageOps.exif_transpose(image)
        return _to_rgb(image)


def image_size(item: ImageLike, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of the upright image, from its header: no pixels are decoded.

    Raises:
        InputError: As `read_image`, but for damaged pixels.
    """
    if isinstance(item, np.ndarray):
        _check_array(item, max_pixels)
        return int(item.shape[0]), int(item.shape[1])
    with _header(item, max_pixels) as image:
        width, height = image.size
        # Pillow's TIFF plugin gives the upright size, and turns the pixels itself when it loads.
        sideways = image.format != "TIFF" and _orientation(image) in SIDEWAYS
        return (width, height) if sideways else (height, width)


@contextmanager
def _header(item: ImageLike, max_pixels: int) -> Iterator[Image.Image]:
    """Open an image without decoding it; every error inside becomes an `InputError`."""
    name = _describe(item)
    try:
        if isinstance(item, Image.Image):
            _check_size(name, item.size, max_pixels)
            yield item
        elif not isinstance(item, np.ndarray):
            with _file(item) as file:
                image = _identify(file)
                if image is None:
                    raise InputError(f"{name} is not an image in a format that Pillow reads")
                _check_size(name, image.size, max_pixels)
                yield image
    except (InputError, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise almost any type on damaged data
        # An OSError's text repeats the path, which may be long.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{name} cannot be read as an image: {reason}") from error


def _describe(item: object) -> str:
    if isinstance(item, str | Path):
        name = str(item)
        return f"{name!r}" if len(name) <= 200 else f"'{name[:200]}...'"
    if isinstance(item, bytes):
        return f"the image of {len(item)} bytes"
    if isinstance(item, Image.Image):
        return f"the Pillow image of mode {item.mode}"
    raise InputError(
        "an image is a path, bytes, a Pillow image or a uint8 array [height, width, channel]; "
        f"got {type(item).__name__}"
    )


def _file(item: str | Path | bytes) -> BinaryIO:
    if isinstance(item, bytes):
        if not item:
            raise InputError("the image of 0 bytes is empty")
        return BytesIO(item)
    path = Path(item)
    if str(item).startswith(("http://", "https://", "data:")):
        raise InputError(f"{_describe(item)} is a URL; fetch it yourself and pass its bytes")
    if path.is_dir():
        raise InputError(f"{_describe(item)} is a folder; pass the path of an image")
    if not path.exists():
        raise InputError(f"there is no file {_describe(item)}")
    if not path.is_file():  # a pipe would block, a device never end
        raise InputError(f"{_describe(item)} is not a regular file; pass the image's bytes")
    if path.stat().st_size == 0:
        raise InputError(f"{_describe(item)} is empty")
    return path.open("rb")


def _identify(file: BinaryIO) -> Image.Image | None:
    """Read the header with the plugin that knows the format; None where none does.

    This is the search of `PIL.Image.open` without its size check, whose limit is one global
    number and which warns below twice that.
    """
    prefix = file.read(PREFIX_BYTES)
    tried: set[str] = set()
    for load_plugins in (Image.preinit, Image.init):
        load_plugins()
        for name in [name for name in Image.ID if name not in tried]:
            tried.add(name)
            factory, accept = Image.OPEN[name]
            try:
                known = accept is None or accept(prefix)
                # A str: why the plugin cannot work here. EPS would start Ghostscript on the file.
                if not known or isinstance(known, str) or name == "EPS":
                    continue
                file.seek(0)
                return factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue  # how a plugin says that the file is not its own
    return None


def _check_size(name: str, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{name} is {width} x {height} pixels, more than the {max_pixels} pixels allowed; "
            "make it smaller first"
        )
    if min(size) < MIN_SIDE:
        raise InputError(
            f"{name} is {width} x {height} pixels; each side has at least {MIN_SIDE} pixels"
        )


def _warn_of_frames(name: str, image: Image.Image) -> None:
    # Before load(): counting the frames of a GIF goes through the file.
    if image.format not in SEVERAL_FRAMES:
        return
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        what = "pages" if image.format in ("DCX", "TIFF") else "frames"
        message = (
            f"{name} has {frames} {what}, of which the first was taken; pass a Pillow image at "
            "another one to choose it"
        )
        warnings.warn(message, TruncationWarning, stacklevel=3)


def _orientation(image: Image.Image) -> int:
    # The class's own method: PNG's getexif() decodes all pixels of an image that is not loaded.
    exif = Image.Image.getexif(image)
    return int(exif.get(ExifTags.Base.Orientation, 1))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep(image)
    if isinstance(image.info.get("transparency"), bytes):
        image = image.copy()  # convert() drops a palette's alpha too, but warns about it
        del image.info["transparency"]
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    values: npt.NDArray[Any] = np.asarray(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 65535):  # also true for NaN
        raise InputError(
            f"{_describe(image)} has values from {low} to {high}; scale them to uint8 first"
        )
    if image.mode == "F" and high <= 1:
        values = np.rint(values * 255)
    elif image.mode.startswith("I;16") or high > 255:
        values = values // 257
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _check_array(array: npt.NDArray[Any], max_pixels: int) -> None:
    if array.dtype != np.uint8:
        raise InputError(
            f"an image array is uint8 with values from 0 to 255; got {array.dtype}. "
            "Scale it and use .astype('uint8')"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise InputError(
            "an image array is [height, width] or [height, width, 1, 3 or 4 channels]; got "
            f"{list(array.shape)}" + ("; use np.moveaxis(array, 0, -1)" if first else "")
        )
    height, width = array.shape[:2]
    _check_size("the image array", (width, height), max_pixels)


def _from_array(array: npt.NDArray[Any], max_pixels: int) -> Image.Image:
    _check_array(array, max_pixels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(array[..., :3]))
