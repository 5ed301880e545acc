"""Rendered rooms with the true depth of every pixel: walls, boxes and spheres by ray casting.

A room's picture and depth follow from its seed alone. The lamp is a flash on the camera, so there
are no cast shadows, and near things are brighter than far ones of the same colour.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 96, 128  # pixels
MAX_DEPTH = 10.0  # metres; nothing in a room is farther
TRAIN_SEED, HELD_OUT_SEED, SAMPLE_SEED = 0, 1_000_000, 2_000_000  # first seeds of the sets
FOCAL = 0.9  # widths of the picture; the view is about 58 degrees wide
_FLASH = 3.5  # metres at which the flash has half its strength
_SIDES = 2  # rays per pixel and axis, for smooth edges


@dataclass(frozen=True)
class Room:
    """A picture and the distance of its pixels along the camera's axis."""

    image: Image.Image
    depth: np.ndarray  # [HEIGHT, WIDTH] float32, metres


@dataclass(frozen=True)
class Sample:
    """A picture of examples/inputs/rooms: seed and size in pixels."""

    seed: int
    height: int = HEIGHT
    width: int = WIDTH


SAMPLES = {
    "one.png": Sample(1),
    "two.png": Sample(3),
    "three.png": Sample(8),
    "four.jpg": Sample(16, 120, 160),
    "five.png": Sample(13, 103, 141),
}
# Not pictures: `onnxtasks run` takes every picture of a folder as an input.
DEPTHS = "depths.npz"


@dataclass(frozen=True)
class Paint:
    """Two colours in cubes or slices that fill space; what is cut out shows them."""

    colours: np.ndarray  # [2, 3], 0..1
    tiles: np.ndarray  # [3], tiles per metre on each axis; 0 makes stripes
    phase: np.ndarray  # [3], keeps surfaces off the borders between tiles


@dataclass(frozen=True)
class Hits:
    """Where rays meet one surface; `depth` is infinite for those that miss it."""

    depth: np.ndarray  # [rays], metres along the camera's axis
    normals: np.ndarray  # [rays, 3]
    colours: np.ndarray  # [rays, 3], 0..1 without light


def _rotation(angle: float, axis: int) -> np.ndarray:
    """Matrix `[3, 3]` that turns around the axis (0: x to the right, 1: y up)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    if axis == 0:
        return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def _random_paint(rng: np.random.Generator, tiles_per_metre: tuple[float, float]) -> Paint:
    base = rng.uniform(0.25, 0.95, 3)
    other = np.clip(base * rng.uniform(0.45, 0.9) + rng.normal(0.0, 0.06, 3), 0.05, 1.0)
    used = rng.random(3) < 0.75
    tiles = rng.uniform(*tiles_per_metre) * used
    return Paint(np.stack([base, other]), tiles, rng.uniform(0.1, 0.9, 3))


def _paint(points: np.ndarray, paint: Paint) -> np.ndarray:
    """Colour of points, `[points, 3]` each."""
    cells = np.floor(points * paint.tiles + paint.phase).sum(-1).astype(int)
    return np.asarray(paint.colours[cells % 2])


def _slabs(origin: np.ndarray, rays: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depths `[rays, 3]` at which rays enter and leave the three slabs of a box around zero."""
    steps = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    one, two = (-half - origin) / steps, (half - origin) / steps
    return np.minimum(one, two), np.maximum(one, two)


def _hit_box(
    origin: np.ndarray, rays: np.ndarray, half: np.ndarray, paint: Paint, inside: bool
) -> Hits:
    """Meet a box around zero from outside, or from inside (the room)."""
    enter, leave = _slabs(origin, rays, half)
    if inside:
        axes, depth = leave.argmin(-1), leave.min(-1)
    else:
        axes, depth = enter.argmax(-1), enter.max(-1)
        depth = np.where((depth > 0) & (depth < leave.min(-1)), depth, np.inf)
    points = origin + np.where(np.isfinite(depth), depth, 0.0)[:, None] * rays
    # The side that is met looks against the ray, from inside and from outside.
    normals = -np.sign(rays) * np.eye(3)[axes]
    return Hits(depth, normals, _paint(points, paint))


def _hit_sphere(origin: np.ndarray, rays: np.ndarray, radius: float, paint: Paint) -> Hits:
    """Meet a sphere around zero."""
    square = (rays * rays).sum(-1)
    half = rays @ origin
    root = half * half - square * (origin @ origin - radius * radius)
    depth = np.where(root > 0, (-half - np.sqrt(np.maximum(root, 0.0))) / square, np.inf)
    depth = np.where(depth > 0, depth, np.inf)
    points = origin + np.where(np.isfinite(depth), depth, 0.0)[:, None] * rays
    return Hits(depth, points / radius, _paint(points, paint))


def _nearest(first: Hits, second: Hits) -> Hits:
    """Keep for each ray the surface that it meets first."""
    nearer = second.depth < first.depth
    return Hits(
        np.where(nearer, second.depth, first.depth),
        np.where(nearer[:, None], second.normals, first.normals),
        np.where(nearer[:, None], second.colours, first.colours),
    )


def _directions(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Directions `[rays, 3]` of one step along the axis of a camera that looks down a little."""
    rows = (np.arange(height * _SIDES) + 0.5) / _SIDES - height / 2
    columns = (np.arange(width * _SIDES) + 0.5) / _SIDES - width / 2
    x, y = np.meshgrid(columns / (FOCAL * width), -rows / (FOCAL * width))
    directions = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    down, aside = np.deg2rad(rng.uniform(2.0, 18.0)), np.deg2rad(rng.uniform(-25.0, 25.0))
    return np.asarray(directions @ _rotation(down, axis=0).T @ _rotation(aside, axis=1).T)


def _hit_walls(
    rng: np.random.Generator, camera: np.ndarray, rays: np.ndarray, size: np.ndarray
) -> Hits:
    """Meet floor, ceiling and walls of a room whose floor's middle near the camera is zero."""
    middle = np.array([0.0, size[1] / 2, size[2] / 2])
    walls, floor, ceiling = (
        _hit_box(camera - middle, rays, size / 2, _random_paint(rng, tiles), inside=True)
        for tiles in ((0.8, 3.0), (1.0, 3.0), (0.0, 0.0))
    )
    upright = walls.normals[:, 1:2]  # 1 on the floor, -1 on the ceiling
    colours = np.where(upright > 0, floor.colours, walls.colours)
    colours = np.where(upright < 0, 0.5 + 0.5 * ceiling.colours, colours)
    return Hits(walls.depth, walls.normals, colours)


def _hit_thing(
    rng: np.random.Generator, camera: np.ndarray, rays: np.ndarray, size: np.ndarray
) -> Hits:
    """Meet a box or a sphere that stands on the floor somewhere in view."""
    far = rng.uniform(2.0, size[2] - 0.7)
    aside = rng.uniform(-0.45, 0.45) * min(size[0] - 1.0, 0.9 * far)
    paint = _random_paint(rng, (1.5, 6.0))
    if rng.random() < 0.5:
        radius = rng.uniform(0.2, 0.6)
        return _hit_sphere(camera - [aside, radius, far], rays, radius, paint)
    half = rng.uniform([0.15, 0.15, 0.15], [0.5, 0.8, 0.5])
    turn = _rotation(rng.uniform(0.0, np.pi), axis=1)
    hits = _hit_box((camera - [aside, half[1], far]) @ turn, rays @ turn, half, paint, inside=False)
    return Hits(hits.depth, hits.normals @ turn.T, hits.colours)


def _light(rng: np.random.Generator, hits: Hits, rays: np.ndarray) -> np.ndarray:
    """Brightness `[rays, 1]`: even light, and a flash that gets weaker with the distance."""
    lengths = np.linalg.norm(rays, axis=-1)
    facing = np.abs((hits.normals * rays).sum(-1)) / lengths
    flash = 1.0 / (1.0 + (hits.depth * lengths / _FLASH) ** 2)
    even = rng.uniform(0.1, 0.25)
    light: np.ndarray = even * (0.6 + 0.4 * facing) + rng.uniform(0.7, 1.0) * flash * facing
    return light[:, None]


def room(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Room:
    """Draw the room of a seed.

    Args:
        seed: The only source of chance; equal seeds give equal rooms.
        height: Pixels of the picture.
        width: Pixels of the picture.

    Returns:
        The picture, and its true depth of at most `MAX_DEPTH` metres.
    """
    rng = np.random.default_rng([7, seed])
    rays = _directions(rng, height, width)
    size = rng.uniform([3.0, 2.4, 4.0], [6.0, 3.2, 8.5])  # metres: wide, high, long
    camera = np.array([rng.uniform(-0.2, 0.2) * size[0], rng.uniform(1.1, 1.7), 0.3])
    hits = _hit_walls(rng, camera, rays, size)
    for _ in range(rng.integers(2, 6)):
        hits = _nearest(hits, _hit_thing(rng, camera, rays, size))
    colours = hits.colours * _light(rng, hits, rays)
    grid = (height, _SIDES, width, _SIDES)
    pixels = colours.reshape(*grid, 3).mean(axis=(1, 3)) + rng.normal(0, 0.012, (height, width, 3))
    # 1 / 2.2 as screens expect. Depths are not averaged: at an edge the mean is in mid-air.
    shown = np.round(255.0 * np.clip(pixels, 0.0, 1.0) ** (1 / 2.2)).astype(np.uint8)
    depth = hits.depth.reshape(grid)[:, 0, :, 0].astype(np.float32)
    return Room(Image.fromarray(shown), depth)


def sample_room(name: str) -> Room:
    """The room of a file of examples/inputs/rooms; a .jpg file's pixels differ a little."""
    sample = SAMPLES[name]
    return room(SAMPLE_SEED + sample.seed, sample.height, sample.width)


def write_samples(folder: Path) -> None:
    """Write the sample pictures, and depths.npz with the depth of each in whole millimetres."""
    folder.mkdir(parents=True, exist_ok=True)
    depths: dict[str, Any] = {}  # its stub takes them for options
    for name in SAMPLES:
        made = sample_room(name)
        made.image.save(folder / name, quality=95)
        depths[name] = np.round(made.depth * 1000.0).astype(np.uint16)
    np.savez_compressed(folder / DEPTHS, **depths)


def read_depths(folder: Path) -> dict[str, np.ndarray]:
    """Read depths.npz: the depth of each sample picture in metres, `[height, width]` float32."""
    with np.load(folder / DEPTHS) as depths:
        return {name: depths[name].astype(np.float32) / 1000.0 for name in depths.files}


if __name__ == "__main__":
    write_samples(Path(__file__).resolve().parent / "inputs" / "rooms")
