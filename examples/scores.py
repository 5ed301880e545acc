"""How good predicted segmentations are: panoptic quality and mean intersection over union."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Segmentation:
    """Segments of one picture, none of which overlap."""

    label_map: np.ndarray  # int [height, width], the segment of each pixel; -1: none
    classes: np.ndarray  # int [segments]


def panoptic_quality(
    pairs: Iterable[tuple[Segmentation, Segmentation]], class_count: int
) -> np.ndarray:
    """Panoptic quality of each class (Kirillov et al., arXiv 1801.00868).

    A predicted segment is found if it shares a true one's class and more than half of their union.
    The quality is the sum of the found segments' intersections over union, divided by the found
    segments and half of all unmatched ones, true and predicted.

    Args:
        pairs: True and predicted segments of each picture.
        class_count: Number of classes.

    Returns:
        `[class_count]`, from 0 to 1; NaN where a class is neither true nor predicted.
    """
    overlaps = np.zeros(class_count)
    found = np.zeros(class_count)
    segments = np.zeros(class_count)  # true and predicted ones
    for true, predicted in pairs:
        segments += np.bincount(true.classes, minlength=class_count)
        segments += np.bincount(predicted.classes, minlength=class_count)
        ratios = _overlaps(true, predicted)
        same = true.classes[:, None] == predicted.classes
        for place, other in zip(*np.nonzero(same & (ratios > 0.5)), strict=True):
            overlaps[true.classes[place]] += ratios[place, other]
            found[true.classes[place]] += 1
    # found + (true - found) / 2 + (predicted - found) / 2 = (true + predicted) / 2
    with np.errstate(invalid="ignore"):
        return np.asarray(overlaps / (segments / 2))


def _overlaps(true: Segmentation, predicted: Segmentation) -> np.ndarray:
    """Intersection over union of every true with every predicted segment, `[true, predicted]`."""
    rows, columns = len(true.classes) + 1, len(predicted.classes) + 1
    pairs = (true.label_map + 1) * columns + predicted.label_map + 1  # 0: no segment
    common = np.bincount(pairs.ravel(), minlength=rows * columns).reshape(rows, columns)
    union = common.sum(axis=1, keepdims=True) + common.sum(axis=0) - common
    return np.asarray((common / np.maximum(union, 1))[1:, 1:])


def mean_iou(pairs: Iterable[tuple[np.ndarray, np.ndarray]], class_count: int) -> float:
    """Mean over the classes of intersection over union, over all pictures' pixels together.

    Args:
        pairs: True and predicted class of each pixel, int `[height, width]` each, per picture.
        class_count: Number of classes. Those that are neither true nor predicted do not count.
    """
    common = np.zeros((class_count, class_count))
    for true, predicted in pairs:
        places = true.astype(np.int64).ravel() * class_count + predicted.astype(np.int64).ravel()
        common += np.bincount(places, minlength=class_count**2).reshape(class_count, class_count)
    union = common.sum(axis=0) + common.sum(axis=1) - common.diagonal()
    return float((common.diagonal()[union > 0] / union[union > 0]).mean())
