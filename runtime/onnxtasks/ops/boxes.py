"""What a detector says of one image -> boxes in pixels with classes and scores.

Source: transformers 5.23, the three forms of `post_process_object_detection`:
image_processing_pil_detr.py (and YOLOS), image_processing_pil_deformable_detr.py (and Conditional
DETR), image_processing_pil_rt_detr.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from onnxtasks.ops.drawing import check_size, draw_boxes
from onnxtasks.ops.image_reading import ImageLike, read_image
from onnxtasks.ops.scores import Float, sigmoid, softmax
from onnxtasks.ops.top import best

Index: TypeAlias = npt.NDArray[np.intp]

Scoring: TypeAlias = Literal["softmax", "sigmoid-top-100", "sigmoid-top-queries"]
"""How a family makes candidates of its logits.

softmax: each query has one class; the last class says that it found nothing (DETR, YOLOS).
sigmoid-top-100: each pair of query and class stands alone, since these were trained without a class
for nothing; the best 100 pairs count (Conditional and Deformable DETR).
sigmoid-top-queries: the same with as many pairs as there are queries (RT-DETR, D-FINE).
"""
PAIRS = 100  # `top_k` of Conditional and Deformable DETR's processors


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the upright input image; x to the right, y down."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float

    def to_dict(self) -> dict[str, int]:
        """The keys of a transformers pipeline, which cuts off the fractions."""
        sides = {"xmin": self.xmin, "ymin": self.ymin, "xmax": self.xmax, "ymax": self.ymax}
        return {name: int(value) for name, value in sides.items()}


@dataclass(frozen=True, slots=True)
class Detection:
    """One object."""

    label: str
    score: float
    """0 to 1."""
    box: Box
    index: int
    """Class id."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of a transformers pipeline."""
        return {"score": self.score, "label": self.label, "box": self.box.to_dict()}


class Detections(list[Detection]):
    """The objects of one picture, best first: a list that can be drawn."""

    def __init__(self, found: Iterable[Detection], height: int, width: int) -> None:
        """Hold what was found in an upright image of so many pixels."""
        super().__init__(found)
        self.height = height
        self.width = width

    def to_dict(self) -> list[dict[str, Any]]:
        """What a transformers pipeline returns for one picture."""
        return [detection.to_dict() for detection in self]

    def draw(self, image: ImageLike) -> Image.Image:
        """Draw the boxes with their labels and scores onto a copy of the picture.

        Raises:
            InputError: Not an image, or one of another size than the detections are of.
        """
        picture = read_image(image)
        check_size(picture, (self.height, self.width))
        boxes = [[d.box.xmin, d.box.ymin, d.box.xmax, d.box.ymax] for d in self]
        return draw_boxes(
            picture,
            np.array(boxes, np.float32).reshape(-1, 4),
            [f"{detection.label} {detection.score:.2f}" for detection in self],
            [detection.index for detection in self],
        )


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may be in one image, best first."""

    scores: Float
    """[candidate], 0 to 1."""
    classes: Index
    """[candidate], class ids."""
    boxes: Float
    """[candidate, 4]: xmin, ymin, xmax, ymax in pixels of the image."""


def candidates(
    logits: Float, boxes: Float, scoring: Scoring, height: int, width: int
) -> Candidates:
    """Score a detector's queries and put their boxes onto the image.

    Args:
        logits: [query, class], with scoring "softmax" [query, class + 1].
        boxes: [query, 4]: centre x, centre y, width and height, as shares of the image.
        scoring: The family's.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        Best first; equal scores keep the lower query, of one query the lower class, first. Boxes
        are clipped to the image, which the original leaves to its caller.
    """
    if scoring == "softmax":
        scores, queries, classes = best_class_each(softmax(logits)[:, :-1])
    else:
        count = PAIRS if scoring == "sigmoid-top-100" else len(logits)
        scores, queries, classes = best_pairs(sigmoid(logits), count)
    pixels = clip(corners(boxes[queries]) * scale(height, width), height, width)
    return Candidates(scores, classes, pixels)


def best_class_each(scores: Float) -> tuple[Float, Index, Index]:
    """The best class of every query.

    Args:
        scores: [query, class].

    Returns:
        Scores, queries and classes [query], best score first.
    """
    classes = scores.argmax(-1)
    of_query = scores[np.arange(len(scores)), classes]
    order = best(of_query, None)
    return of_query[order], order, classes[order]


def best_pairs(scores: Float, count: int) -> tuple[Float, Index, Index]:
    """The best pairs of query and class, whichever queries they are of.

    Args:
        scores: [query, class].
        count: How many; all where there are fewer.

    Returns:
        Scores, queries and classes [count], best score first.
    """
    flat = scores.reshape(-1)
    order = best(flat, count)
    return flat[order], order // scores.shape[1], order % scores.shape[1]


def corners(boxes: Float) -> Float:
    """[..., 4] of centre x, centre y, width, height -> xmin, ymin, xmax, ymax."""
    centre, half = boxes[..., :2], boxes[..., 2:] * np.float32(0.5)
    turned: Float = np.concatenate([centre - half, centre + half], axis=-1)
    return turned


def scale(height: int, width: int) -> Float:
    """What turns shares of an image into its pixels, [4]."""
    return np.array([width, height, width, height], np.float32)


def clip(boxes: Float, height: int, width: int) -> Float:
    """Cut off what lies outside the image; [..., 4] of xmin, ymin, xmax, ymax in pixels."""
    inside: Float = np.clip(boxes, np.float32(0), scale(height, width))
    return inside
