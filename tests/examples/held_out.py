"""How good the example bundles that see are on generated pictures that training did not use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from depth_data import HELD_OUT_SEED, room
from detection_scores import Found, Truth, average_precisions
from digit_data import load_split
from scene_data import LABELS, THINGS, held_out_scene
from scores import Segmentation, panoptic_quality

import onnxtasks

SCENES, SEGMENTED, ROOMS = 100, 60, 60
SHAPES = ((96, 128), (128, 96), (96, 96))
WITHIN = 1.25
"""A depth is right if it is off by less than this factor."""


def digits(task: Any) -> float:
    """Share of the digits whose best label is the true one."""
    _, test = load_split()
    best = [found[0].label for found in task.map(test.images, top_k=1)]
    return float(
        np.mean([label == str(true) for label, true in zip(best, test.labels, strict=True)])
    )


def detector(task: Any) -> float:
    """Mean average precision at an overlap of 0.5."""
    scenes = [held_out_scene(index) for index in range(SCENES)]
    found = []
    for detections in task.map([one.image for one in scenes], threshold=0.05):
        sides = [(d.box.xmin, d.box.ymin, d.box.xmax, d.box.ymax) for d in detections]
        found.append(
            Found(
                np.array([THINGS.index(d.label) for d in detections], int),
                np.array(sides, float).reshape(-1, 4),
                np.array([d.score for d in detections], float),
            )
        )
    truths = [Truth(one.thing_classes, one.boxes) for one in scenes]
    return float(np.mean(list(average_precisions(found, truths).values())))


def segments(task: Any) -> float:
    """Mean panoptic quality."""
    scenes = [held_out_scene(i, *SHAPES[i % len(SHAPES)]) for i in range(SEGMENTED)]
    pairs = []
    for one, found in zip(scenes, task.map([one.image for one in scenes]), strict=True):
        classes = np.array([LABELS.index(segment.label) for segment in found.segments], int)
        predicted = Segmentation(found.numbered() - 1, classes)
        pairs.append((Segmentation(one.label_map, one.classes), predicted))
    return float(np.nanmean(panoptic_quality(pairs, len(LABELS))))


def depth(task: Any) -> float:
    """Share of the pixels whose depth is off by a factor of less than `WITHIN`."""
    rooms = [room(HELD_OUT_SEED + index) for index in range(ROOMS)]
    answers = task.map([one.image for one in rooms])
    factors = [
        np.maximum(a.depth / r.depth, r.depth / a.depth)
        for a, r in zip(answers, rooms, strict=True)
    ]
    return float((np.stack(factors) < WITHIN).mean())


SCORES: dict[str, Callable[[Any], float]] = {
    "depth": depth,
    "detector": detector,
    "digits": digits,
    "segments": segments,
}
"""Example -> its metric, a share of 1, more is better."""


def score(name: str, bundle: Path, variant: str) -> float:
    """The metric of one variant of an example's bundle on held-out pictures."""
    with onnxtasks.load(bundle, variant=variant) as task:
        return SCORES[name](task)
