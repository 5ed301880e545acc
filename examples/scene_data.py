"""Generated scenes: shapes and handwritten digits lying on textured backgrounds.

Things are counted and boxed (a circle, a square, a triangle, a digit), stuff is only an area
(grass, water, brick). Every length goes with the shorter side of the picture, so a scene looks
alike at every size.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from digit_data import load_split
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from training import INPUTS

THINGS = ("circle", "square", "triangle", "digit")
STUFF = ("grass", "water", "brick")
LABELS = THINGS + STUFF  # a class id is a place in here

SIDE = 96  # pixels of the shorter side for which the lengths below are given
MOST_THINGS = 4
# Half the width of a thing as a share of the shorter side. Digits are larger: thin strokes.
_RADII = {"circle": (0.12, 0.21), "square": (0.11, 0.18), "triangle": (0.15, 0.24)}
_DIGIT_RADII = (0.2, 0.27)
_INK = 0.35  # where the edge of a digit's stroke is, ink being 1
_LEAST_VISIBLE = 0.6  # share of each thing that later ones leave in sight
_TRIES = 20
# What each kind of thing is painted with; unlike every stuff. Colours tell the kinds apart, too,
# because outlines alone take a tiny model long to learn.
_COLOURS = {
    "circle": ((0.88, 0.02, 0.08), (0.98, 0.52, 0.02)),  # red, orange
    "square": ((0.95, 0.92, 0.10), (0.10, 0.92, 0.92)),  # yellow, cyan
    "triangle": ((0.90, 0.10, 0.85), (1.00, 0.60, 0.80)),  # magenta, pink
    "digit": ((0.06, 0.06, 0.06), (0.95, 0.95, 0.95)),  # black, white
}

# The first number of every seed: no scene for training is ever one of the others.
_TRAINING, _HELD_OUT, _SAMPLE = 0, 1, 2


@dataclass(frozen=True)
class Scene:
    """A picture and what it shows: segments are the things, in the order painted, then stuff."""

    image: Image.Image  # RGB
    label_map: np.ndarray  # int32 [height, width], the segment of each pixel, 0 to segments - 1
    classes: np.ndarray  # int64 [segments], places in LABELS
    boxes: np.ndarray  # float64 [things, 4], visible xmin, ymin, xmax, ymax; the maxima outside

    @property
    def thing_classes(self) -> np.ndarray:
        """The classes of the boxes, `[things]`."""
        return self.classes[: len(self.boxes)]


@dataclass(frozen=True)
class Sample:
    """A picture of examples/inputs/scenes: seed and size in pixels."""

    seed: int
    height: int
    width: int


SAMPLES = {
    "landscape.png": Sample(0, 144, 192),
    "portrait.png": Sample(1, 192, 144),
    "odd.png": Sample(2, 131, 117),
    "square.png": Sample(3, 128, 128),
    "small.png": Sample(4, 80, 96),
    "large.jpg": Sample(5, 240, 320),
    "tall.jpg": Sample(6, 256, 192),
    "exact.jpg": Sample(7, 96, 96),
}


def training_generator(*seed: int) -> np.random.Generator:
    """Random numbers for training scenes, from numbers such as the run's seed and the epoch."""
    return np.random.default_rng([_TRAINING, *seed])


def held_out_scene(index: int, height: int = SIDE, width: int = SIDE) -> Scene:
    """One of the scenes that training never sees, digits included."""
    return scene(np.random.default_rng([_HELD_OUT, index]), height, width, held_out=True)


def sample_scene(name: str) -> Scene:
    """The scene of a file of examples/inputs/scenes; a .jpg file's pixels differ a little."""
    sample = SAMPLES[name]
    rng = np.random.default_rng([_SAMPLE, sample.seed])
    return scene(rng, sample.height, sample.width, held_out=True)


def scene(rng: np.random.Generator, height: int, width: int, held_out: bool = False) -> Scene:
    """Paint one scene.

    Args:
        rng: Decides everything.
        height: Pixels of the picture.
        width: Pixels of the picture.
        held_out: Take the digits that training does not use.
    """
    pixels, stuff_map, stuff = _background(rng, height, width)
    label_map = np.full((height, width), -1, dtype=np.int32)
    # Each colour at most once in a scene, hence at most two things of a kind.
    colours = {kind: list(rng.permutation(_COLOURS[kind])) for kind in THINGS}
    classes: list[int] = []
    whole: list[int] = []  # area of each thing before others cover it
    for _ in range(rng.integers(1, MOST_THINGS + 1)):
        kind = int(rng.choice([place for place, name in enumerate(THINGS) if colours[name]]))
        cover = _place(rng, THINGS[kind], label_map, whole, held_out)
        if cover is None:
            continue
        colour = colours[THINGS[kind]].pop() + rng.normal(0.0, 0.03, 3)
        shade = colour + rng.normal(0.0, 0.02, (height, width, 1))
        pixels = pixels + cover[..., None] * (shade - pixels)
        label_map[cover > 0.5] = len(classes)
        classes.append(kind)
        whole.append(int((cover > 0.5).sum()))
    boxes = [_box(label_map == place) for place in range(len(classes))]
    for place, kind in enumerate(stuff):
        label_map[(label_map < 0) & (stuff_map == place)] = len(classes)
        classes.append(len(THINGS) + kind)
    image = Image.fromarray(np.round(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8))
    return Scene(image, label_map, np.array(classes), np.array(boxes, dtype=float).reshape(-1, 4))


def _place(
    rng: np.random.Generator,
    kind: str,
    label_map: np.ndarray,
    whole: list[int],
    held_out: bool,
) -> np.ndarray | None:
    """Find a spot for a thing: how far it covers each pixel `[height, width]`, None if no room."""
    height, width = label_map.shape
    short = min(height, width)
    for _ in range(_TRIES):
        radius = short * rng.uniform(*_RADII.get(kind, _DIGIT_RADII))
        room = min(0.9 * radius, 0.5 * short)
        middle = rng.uniform((room, room), (height - room, width - room))
        angle = rng.uniform(-0.3, 0.3)
        down, right = np.mgrid[0:height, 0:width] + 0.5 - middle[:, None, None]
        across = np.cos(angle) * right + np.sin(angle) * down
        along = np.cos(angle) * down - np.sin(angle) * right
        if kind == "digit":
            cover = _digit_cover(rng, along / radius, across / radius, held_out)
        else:
            cover = np.clip(0.5 - _DISTANCES[kind](along, across, radius), 0.0, 1.0)
        left = np.bincount(label_map[(cover <= 0.5) & (label_map >= 0)], minlength=len(whole))
        if np.all(left >= _LEAST_VISIBLE * np.array(whole)):
            return cover
    return None


def _digit_cover(
    rng: np.random.Generator, along: np.ndarray, across: np.ndarray, held_out: bool
) -> np.ndarray:
    """How far a random digit's strokes cover each pixel; its field reaches from -1 to 1."""
    digits = _inks(held_out)
    ink = digits[rng.integers(len(digits))]
    places = np.stack([along, across]) * 4.0 + 3.5  # 8 x 8 pixels, their centres at whole numbers
    drawn = map_coordinates(ink, places, order=1, mode="constant")
    return np.asarray(np.clip((drawn - _INK) * 6.0 + 0.5, 0.0, 1.0))


@cache
def _inks(held_out: bool) -> np.ndarray:
    """The handwritten digits of one half, `[count, 8, 8]`, 1 where there is ink."""
    digits = load_split()[held_out]
    grey = [np.asarray(image.convert("L")) for image in digits.images]
    return np.asarray(np.stack(grey) / 255.0)


def _circle(along: np.ndarray, across: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(np.hypot(along, across) - radius)


def _square(along: np.ndarray, across: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(np.maximum(abs(along), abs(across)) - radius)


def _triangle(along: np.ndarray, across: np.ndarray, radius: float) -> np.ndarray:
    """Equal sides; the corners lie on the circle of `radius`."""
    # A turn of 0 is the side below; `along` grows downwards.
    sides = [np.cos(turn) * along + np.sin(turn) * across for turn in 2 * np.pi / 3 * np.arange(3)]
    return np.asarray(np.max(sides, axis=0) - radius / 2)


# The distance of points from a shape's edge, negative inside.
_DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
}


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return xmin, ymin, xmax, ymax around the pixels that are true."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _background(
    rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Paint one stuff, or two on either side of a horizon.

    Returns:
        The colours `[height, width, 3]` from 0 to 1, which of the stuffs each pixel shows
        `[height, width]`, and the stuffs as places in STUFF.
    """
    count = int(rng.integers(1, 3))
    stuff = [int(kind) for kind in rng.permutation(len(STUFF))[:count]]
    places = np.zeros((height, width), dtype=np.int32)
    if count == 2:
        columns = np.arange(width) / width - 0.5
        horizon = height * (rng.uniform(0.3, 0.7) + rng.uniform(-0.2, 0.2) * columns)
        places = (np.arange(height)[:, None] >= horizon).astype(np.int32)
    textures = [_TEXTURES[STUFF[kind]](rng, height, width) for kind in stuff]
    return np.choose(places[..., None], textures), places, stuff


def _noise(
    rng: np.random.Generator, shape: tuple[int, int], blur: tuple[float, float]
) -> np.ndarray:
    """Smooth noise `[height, width, 1]` of mean 0 and deviation 1; `blur` is down, across."""
    short = min(shape) / SIDE
    grain = gaussian_filter(rng.normal(size=shape), [amount * short for amount in blur])
    return np.asarray((grain - grain.mean()) / grain.std())[..., None]


def _grass(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Green blades: noise drawn out upwards."""
    base = np.array([0.22, 0.48, 0.14]) + rng.uniform(-0.06, 0.06, 3)
    blades = _noise(rng, (height, width), (2.0, 0.6))
    return np.asarray(base + blades * np.array([0.05, 0.09, 0.03]))


def _water(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Blue waves: crests across, bent by noise."""
    base = np.array([0.16, 0.38, 0.66]) + rng.uniform(-0.06, 0.06, 3)
    length = min(height, width) / SIDE * rng.uniform(6.0, 10.0)  # pixels from crest to crest
    bend = _noise(rng, (height, width), (6.0, 10.0))
    rows = np.arange(height)[:, None, None]
    waves = np.sin(2 * np.pi * rows / length + bend)
    return np.asarray(base + waves * np.array([0.05, 0.06, 0.08]))


def _brick(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Rows of red bricks, each shifted by half a brick, in pale mortar."""
    base = np.array([0.55, 0.27, 0.2]) + rng.uniform(-0.06, 0.06, 3)
    tall = min(height, width) / SIDE * rng.uniform(7.0, 10.0)
    wide, gap = 2.2 * tall, 0.16 * tall
    rows = np.arange(height)[:, None] + rng.uniform(0.0, tall)
    columns = np.arange(width) + rng.uniform(0.0, wide) + (rows // tall) % 2 * wide / 2
    mortar = ((rows % tall < gap) | (columns % wide < gap))[..., None]
    wall = base + 0.03 * _noise(rng, (height, width), (1.0, 1.0))
    return np.asarray(np.where(mortar, base + 0.18, wall))


_TEXTURES: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "grass": _grass,
    "water": _water,
    "brick": _brick,
}


def write_samples(folder: Path) -> None:
    """Write the sample pictures, and expected.json with the boxes of the things in each."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name in SAMPLES:
        made = sample_scene(name)
        made.image.save(folder / name, quality=92)
        expected[name] = {
            "boxes": [
                {"label": THINGS[kind], "box": [int(edge) for edge in box]}
                for kind, box in zip(made.thing_classes, made.boxes, strict=True)
            ]
        }
    text = json.dumps(expected, indent=2)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_samples(INPUTS / "scenes")
