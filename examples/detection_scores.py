"""Average precision of found boxes, as in Pascal VOC since 2010 (all points, no difficult ones)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

OVERLAP = 0.5  # a found box is right if it and a true box of its class overlap this much


@dataclass(frozen=True)
class Truth:
    """What one picture shows."""

    labels: np.ndarray  # [things], whole numbers
    boxes: np.ndarray  # [things, 4], xmin, ymin, xmax, ymax in pixels


@dataclass(frozen=True)
class Found:
    """What a detector finds in one picture."""

    labels: np.ndarray  # [detections], whole numbers
    boxes: np.ndarray  # [detections, 4], xmin, ymin, xmax, ymax in pixels
    scores: np.ndarray  # [detections]


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Area shared by two boxes divided by the area of both, for all pairs.

    Args:
        one: Boxes `[n, 4]`: xmin, ymin, xmax, ymax.
        other: Boxes `[m, 4]`.

    Returns:
        `[n, m]`, from 0 to 1.
    """
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (one, other)]
    return np.asarray(shared / (areas[0][:, None] + areas[1][None, :] - shared))


def match(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Which found boxes are right, best first: each claims the true box it overlaps most.

    A true box is found once: a second claim on it is wrong.

    Args:
        found: Boxes `[n, 4]` of one class in one picture, the highest score first.
        true: Boxes `[m, 4]` of the same class and picture.

    Returns:
        `[n]`, true for the right ones.
    """
    right = np.zeros(len(found), dtype=bool)
    if len(true) == 0:
        return right
    taken = set()
    for place, shares in enumerate(overlaps(found, true)):
        best = int(shares.argmax())
        if shares[best] >= OVERLAP and best not in taken:
            taken.add(best)
            right[place] = True
    return right


def area_under(right: np.ndarray, count: int) -> float:
    """Average precision: the area under precision over recall, made to fall only.

    Args:
        right: Of all detections of a class, the highest score first, whether each is right.
        count: Number of true boxes of the class, at least 1.
    """
    recalls = np.cumsum(right) / count
    precisions = np.cumsum(right) / np.arange(1, len(right) + 1)
    best_from_here = np.maximum.accumulate(precisions[::-1])[::-1]
    return float((np.diff(recalls, prepend=0.0) * best_from_here).sum())


def average_precisions(found: Sequence[Found], truths: Sequence[Truth]) -> dict[int, float]:
    """Average precision of each class that any picture shows.

    Args:
        found: The detections of each picture.
        truths: What each picture shows, in the same order.
    """
    result = {}
    for label in np.unique(np.concatenate([truth.labels for truth in truths])):
        rights, scores = [], []
        count = 0
        for detections, truth in zip(found, truths, strict=True):
            mine = np.flatnonzero(detections.labels == label)
            mine = mine[np.argsort(-detections.scores[mine], kind="stable")]
            true = truth.boxes[truth.labels == label]
            count += len(true)
            rights.append(match(detections.boxes[mine], true))
            scores.append(detections.scores[mine])
        order = np.argsort(-np.concatenate(scores), kind="stable")
        result[int(label)] = area_under(np.concatenate(rights)[order], count)
    return result
