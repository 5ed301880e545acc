"""Whether detections, segments and depth are the true ones of generated pictures.

Needs the runtime alone.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import onnxtasks

OVERLAP = 0.5
"""Least share of the union of two boxes that both cover, for them to be one object's."""
FACTOR = 1.25
"""Most that a right depth is off, as a quotient."""
Box = tuple[float, float, float, float]


def objects_found(found: list[tuple[str, Box]], true: list[dict[str, Any]]) -> int:
    """How many of the true objects were found, each with a box of its own.

    Args:
        found: Label and box, best first.
        true: "label" and "box" of each object.
    """
    left = list(found)
    count = 0
    for thing in true:
        fits = [
            one
            for one in left
            if one[0] == thing["label"] and overlap(one[1], thing["box"]) >= OVERLAP
        ]
        if fits:
            left.remove(fits[0])
            count += 1
    return count


def overlap(one: Box, other: Box) -> float:
    """The share of two boxes' union that both cover."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if min(width, height) <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def right_boxes(task: Any, folder: Path) -> tuple[int, int]:
    """How many things of the scenes a detector finds, and how many there are."""
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    answers = task.map([folder / name for name in expected])
    return _count(
        {
            name: [(one.label, sides(one.box)) for one in found]
            for name, found in zip(expected, answers, strict=True)
        },
        expected,
    )


def right_segments(task: Any, folder: Path) -> tuple[int, int]:
    """The same for the segments of a segmenter; a segment's box is that of its visible pixels."""
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    answers = task.map([folder / name for name in expected])
    return _count(
        {
            name: [(one.label, sides(one.box)) for one in found.segments if one.box is not None]
            for name, found in zip(expected, answers, strict=True)
        },
        expected,
    )


def right_depth(task: Any, folder: Path) -> tuple[int, int]:
    """How many pixels of the rooms have about their true depth, and how many there are."""
    right = count = 0
    with np.load(folder / "depths.npz") as depths:
        for name, millimetres in depths.items():
            quotient = task(folder / name).depth / (millimetres / 1000.0)
            right += int((np.maximum(quotient, 1 / quotient) < FACTOR).sum())
            count += millimetres.size
    return right, count


def sides(box: onnxtasks.Box) -> Box:
    """xmin, ymin, xmax, ymax."""
    return box.xmin, box.ymin, box.xmax, box.ymax


def _count(
    found: Mapping[str, list[tuple[str, Box]]], expected: Mapping[str, Any]
) -> tuple[int, int]:
    pairs = [(found[name], expected[name]["boxes"]) for name in expected]
    return sum(objects_found(*pair) for pair in pairs), sum(len(true) for _, true in pairs)


PICTURES: dict[str, tuple[str, Callable[[Any, Path], tuple[int, int]], float, str]] = {
    "detector": ("scenes", right_boxes, 0.7, "things of the sample scenes found"),
    "segments": ("scenes", right_segments, 1.0, "things of the sample scenes found"),
    "depth": ("rooms", right_depth, 0.8, "pixels of the sample rooms within a factor of 1.25"),
}
"""Bundle -> its folder of inputs, what counts, the least share that is right, and what it is."""


def check_pictures(bundles: Path, inputs: Path) -> bool:
    """Print a line for each bundle that sees; True where enough is right."""
    enough = True
    for name, (folder, count, least, what) in PICTURES.items():
        with onnxtasks.load(bundles / name) as task:
            right, all_there = count(task, inputs / folder)
        print(f"{name:10} cpu-fp32 {right} of {all_there} {what}")
        enough &= right >= least * all_there
    return enough
