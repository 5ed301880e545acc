"""Boxes, regions and depth drawn on pictures, with Pillow alone.

Colours are fixed: a class has the same one in every picture. Small pictures are enlarged by a
whole factor first, so that labels can be read.
"""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from onnxtasks.errors import InputError
from onnxtasks.ops.image_reading import ImageLike, read_image
from onnxtasks.ops.scores import Float

Colour: TypeAlias = tuple[int, int, int]
Place: TypeAlias = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax in pixels of the drawing."""
Map: TypeAlias = npt.NDArray[np.int32]

SMALLEST = 400
"""The longer side of a drawing, at least; what labels can be read on."""
GOLDEN = 0.618033988749895  # the turn that keeps any number of hues apart
SHADES = ((0.75, 1.0), (1.0, 0.78), (0.5, 0.95), (0.9, 0.58))
"""Saturation and value of colours whose hues are near each other."""
OPACITY = 0.5  # of a region's colour
GRID = 64  # cells a side in which a region's middle is looked for
DEPTHS = ((13, 8, 48), (84, 20, 110), (168, 44, 98), (229, 92, 48), (249, 168, 42), (250, 250, 180))
"""Colours from the smallest depth to the largest, evenly spaced; darker is less."""


def colour_of(index: int) -> Colour:
    """The colour of a class, by its id."""
    saturation, value = SHADES[index % len(SHADES)]
    red, green, blue = colorsys.hsv_to_rgb((0.05 + index * GOLDEN) % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_boxes(
    image: ImageLike, boxes: Float, captions: Sequence[str], indices: Sequence[int]
) -> Image.Image:
    """Draw boxes and their captions; the first are on top.

    Args:
        image: The picture that the boxes are of.
        boxes: [box, 4], xmin, ymin, xmax, ymax in pixels of the picture.
        captions: What to write beside each box.
        indices: The class id of each box, for its colour.

    Returns:
        A new RGB picture; of the picture's size, or a multiple of it where that is small.

    Raises:
        InputError: The picture cannot be read.
    """
    canvas = Canvas.on(read_image(image))
    places = [canvas.scaled(box) for box in boxes]
    for place, index in reversed(list(zip(places, indices, strict=True))):
        canvas.frame(place, colour_of(index))
    for place, caption, index in zip(places, captions, indices, strict=True):
        canvas.caption_of(place, caption, colour_of(index))
    return canvas.image


def draw_regions(
    image: ImageLike, regions: Map, captions: Sequence[str], indices: Sequence[int]
) -> Image.Image:
    """Colour regions, draw their borders, and write a caption into each.

    Args:
        image: The picture that the regions are of.
        regions: int32 [height, width]: 0 where nothing is, n in the region of captions[n - 1].
        captions: What to write into each region.
        indices: The class id of each region, for its colour.

    Returns:
        A new RGB picture; of the picture's size, or a multiple of it where that is small.

    Raises:
        InputError: The picture cannot be read, or is of another size.
    """
    picture = read_image(image)
    check_size(picture, regions.shape)
    colours = np.array([(0, 0, 0), *map(colour_of, indices)], np.uint8)
    pixels = np.asarray(picture)
    mixed = np.where(
        (regions > 0)[..., None],
        (pixels * (1 - OPACITY) + colours[regions] * OPACITY).astype(np.uint8),
        pixels,
    )
    canvas = Canvas.on(Image.fromarray(mixed))
    canvas.borders(regions, colours)
    for number, (caption, index) in enumerate(zip(captions, indices, strict=True), 1):
        middle = middle_of(regions == number)
        if middle is not None:
            canvas.caption_at(middle, caption, colour_of(index))
    return canvas.image


def draw_depth(image: ImageLike, depth: Float, unit: str = "") -> Image.Image:
    """Colour a picture by its depth, and draw a scale with the smallest and the largest value.

    Args:
        image: The picture that the depth is of.
        depth: float32 [height, width].
        unit: Written behind the numbers.

    Returns:
        A new RGB picture; of the picture's size, or a multiple of it where that is small.

    Raises:
        InputError: The picture cannot be read, or is of another size.
    """
    picture = read_image(image)
    check_size(picture, depth.shape)
    low, high = float(depth.min()), float(depth.max())
    share = (depth - low) / (high - low) if high > low else np.zeros_like(depth)
    # The brightness of the picture stays visible, so that one sees what is how far away.
    light = 0.55 + 0.45 * np.asarray(picture.convert("L"), np.float32)[..., None] / 255
    canvas = Canvas.on(Image.fromarray((depth_colours(share) * light).astype(np.uint8)))
    canvas.scale(low, high, unit)
    return canvas.image


def check_size(image: Image.Image, shape: tuple[int, ...]) -> None:
    """Refuse a picture that a result is not of.

    Raises:
        InputError: Another size.
    """
    if (image.height, image.width) != tuple(shape):
        raise InputError(
            f"the image is {image.width} x {image.height} pixels, the result is of one of "
            f"{shape[1]} x {shape[0]}; draw on the image that was answered"
        )


def depth_colours(share: Float) -> Float:
    """Numbers from 0 to 1 [...] -> colours, float [..., 3] from 0 to 255."""
    stops = np.linspace(0, 1, len(DEPTHS))
    channels = [np.interp(share, stops, values) for values in zip(*DEPTHS, strict=True)]
    return np.stack(channels, -1)


def middle_of(mask: npt.NDArray[np.bool_]) -> tuple[float, float] | None:
    """A point well inside a region: x, y in pixels; None where the mask is empty.

    It is the last cell of a coarse grid to be worn off when the region shrinks from its border.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    step = max(1, math.ceil(max(rows[-1] - top, columns[-1] - left) / GRID))
    cells = np.pad(mask[top : rows[-1] + 1 : step, left : columns[-1] + 1 : step], 1)
    if not cells.any():  # thinner than the grid
        row = rows[len(rows) // 2]
        return float(np.flatnonzero(mask[row])[0]), float(row)
    while True:
        smaller = cells.copy()
        smaller[1:-1, 1:-1] &= cells[:-2, 1:-1] & cells[2:, 1:-1]
        smaller[1:-1, 1:-1] &= cells[1:-1, :-2] & cells[1:-1, 2:]
        if not smaller.any():
            break
        cells = smaller
    found = np.argwhere(cells)
    row, column = found[len(found) // 2] - 1
    return float(left + column * step), float(top + row * step)


@dataclass
class Canvas:
    """A picture that is drawn on."""

    image: Image.Image
    factor: int
    """How many pixels wide a pixel of the original is."""
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    line: int
    """Width of lines in pixels."""
    taken: list[Place] = field(default_factory=list)
    """Where captions stand already."""

    @classmethod
    def on(cls, picture: Image.Image) -> "Canvas":
        """Copy a picture, enlarged where labels could not be read on it."""
        longest = max(picture.size)
        factor = max(1, math.ceil(SMALLEST / longest))
        size = (picture.width * factor, picture.height * factor)
        image = picture.resize(size, Image.Resampling.BICUBIC) if factor > 1 else picture.copy()
        longest *= factor
        font = ImageFont.load_default(size=max(12, round(longest / 45)))
        return cls(image, factor, font, max(2, round(longest / 320)))

    def scaled(self, box: Float) -> Place:
        """A box of the original in pixels of the drawing."""
        xmin, ymin, xmax, ymax = (float(value) * self.factor for value in box)
        return xmin, ymin, xmax, ymax

    def frame(self, place: Place, colour: Colour) -> None:
        """Draw a box, inside the picture as far as it goes."""
        xmin, ymin, xmax, ymax = place
        right, bottom = self.image.width - 1, self.image.height - 1
        xmin, xmax = np.clip((xmin, xmax), 0, right)
        ymin, ymax = np.clip((ymin, ymax), 0, bottom)
        drawing = ImageDraw.Draw(self.image)
        drawing.rectangle((xmin, ymin, xmax, ymax), outline=colour, width=self.line)

    def caption_of(self, place: Place, text: str, colour: Colour) -> None:
        """Write a caption above a box; inside or below it where other captions are in the way."""
        xmin, ymin, xmax, ymax = place
        width, height = self._size(text)
        corners = [
            (xmin, ymin - height),
            (xmin, ymin),
            (xmin, ymax),
            (xmax - width, ymin - height),
            (xmin, ymax - height),
            (xmax, ymin),
        ]
        inside = [self._inside(corner, (width, height)) for corner in corners]
        free = [found for found in inside if not any(_overlap(found, one) for one in self.taken)]
        self._write((free or inside)[0], text, colour)

    def caption_at(self, middle: tuple[float, float], text: str, colour: Colour) -> None:
        """Write a caption around a point of the original; lower where another one stands."""
        width, height = self._size(text)
        x = (middle[0] + 0.5) * self.factor - width / 2
        y = (middle[1] + 0.5) * self.factor - height / 2
        tries = [(x, y + step * height) for step in (0, 1, -1, 2, -2)]
        inside = [self._inside(corner, (width, height)) for corner in tries]
        free = [found for found in inside if not any(_overlap(found, one) for one in self.taken)]
        self._write((free or inside)[0], text, colour)

    def borders(self, regions: Map, colours: npt.NDArray[np.uint8]) -> None:
        """Draw the borders between regions, a line on each side."""
        large = regions.repeat(self.factor, 0).repeat(self.factor, 1)
        edge = np.zeros(large.shape, bool)
        for step in range(1, self.line // 2 + 1):
            down, right = large[step:] != large[:-step], large[:, step:] != large[:, :-step]
            edge[step:] |= down
            edge[:-step] |= down
            edge[:, step:] |= right
            edge[:, :-step] |= right
        edge &= large > 0
        pixels = np.array(self.image)
        pixels[edge] = colours[large[edge]]
        self.image = Image.fromarray(pixels)

    def scale(self, low: float, high: float, unit: str) -> None:
        """Draw the scale of a depth map along the right edge."""
        width, height = max(8, self.image.width // 40), self.image.height
        shares = np.repeat(np.linspace(1, 0, height, dtype=np.float32)[:, None], width, 1)
        bar = Image.fromarray(depth_colours(shares).astype(np.uint8))
        left = self.image.width - width
        self.image.paste(bar, (left, 0))
        for value, y in ((high, 0), (low, height)):
            text = f"{value:.3g} {unit}".strip()
            size = self._size(text)
            self._write(self._inside((left - size[0], y - size[1] / 2), size), text, (0, 0, 0))

    def _size(self, text: str) -> tuple[int, int]:
        """Width and height of a caption with its margin."""
        pad = self.line
        ascent, descent = (
            self.font.getmetrics()
            if isinstance(self.font, ImageFont.FreeTypeFont)
            else (self.font.getbbox("Ag")[3], 0)
        )
        return math.ceil(self.font.getlength(self._cut(text))) + 2 * pad, ascent + descent + pad

    def _cut(self, text: str) -> str:
        """The text, shortened until it fits into the picture."""
        limit = self.image.width - 2 * self.line
        if self.font.getlength(text) <= limit:
            return text
        while len(text) > 1 and self.font.getlength(text + "...") > limit:
            text = text[:-1]
        return text + "..."

    def _inside(self, corner: tuple[float, float], size: tuple[int, int]) -> Place:
        """The place of this size at a corner, moved until it is inside the picture."""
        x = max(0.0, min(corner[0], self.image.width - size[0]))
        y = max(0.0, min(corner[1], self.image.height - size[1]))
        return x, y, x + size[0], y + size[1]

    def _write(self, place: Place, text: str, colour: Colour) -> None:
        drawing = ImageDraw.Draw(self.image)
        drawing.rectangle(place, fill=colour)
        bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
        ink = (0, 0, 0) if bright else (255, 255, 255)
        drawing.text((place[0] + self.line, place[1]), self._cut(text), ink, font=self.font)
        self.taken.append(place)


def _overlap(one: Place, other: Place) -> bool:
    across = one[0] < other[2] and other[0] < one[2]
    return across and one[1] < other[3] and other[1] < one[3]
