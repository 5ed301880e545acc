"""Regions from the queries of Mask2Former, MaskFormer and DETR: a class and a mask each.

Source: transformers 5.23, image_processing_pil_mask2former.py (also of maskformer and detr):
`post_process_panoptic_segmentation`, `post_process_instance_segmentation`,
`post_process_semantic_segmentation`, `compute_segments` and `check_segment_validity`. There every
mask has the picture's size; here only the cells (`upsampling.Cells`) that their corners leave open.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.ops.best_class import BAND_FLOATS, ClassMap, write_best_classes
from onnxtasks.ops.mask_areas import areas_above
from onnxtasks.ops.scores import Float, softmax
from onnxtasks.ops.top import best
from onnxtasks.ops.upsampling import (
    Axis,
    bands,
    bilinear,
    cells,
    identity_of,
    nearest,
    resize_columns,
    resize_rows,
)

HeightWidth: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """One region that was found, without its place."""

    class_id: int
    score: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a region needs; each from 0 to 1."""

    score: float
    """Smallest probability of its class; smallest score of an instance."""
    mask: float
    """Smallest probability of a pixel, times the class's, that counts as its mask."""
    overlap: float
    """Smallest share of its mask that no other region takes."""


def panoptic(
    class_logits: Float,
    mask_logits: Float,
    size: HeightWidth,
    thresholds: Thresholds,
    *,
    mask_size: HeightWidth | None = None,
    fused: Collection[int] = (),
) -> tuple[list[Found], ClassMap]:
    """Give each pixel to the query whose mask, times its score, is largest there.

    Where the original numbers several regions alike after fusing (it goes back to the fused one's
    number and counts on from there), each has a number of its own here, and fused ones are one.

    Args:
        class_logits: [query, class + 1]; the last class is "nothing".
        mask_logits: [query, height, width].
        size: The picture's height and width.
        thresholds: Of the class, the mask and the overlap.
        mask_size: What the masks are resized to before anything else; None leaves them.
        fused: Class ids whose regions are one; its score is the best of theirs.

    Returns:
        The regions in the order of their queries, and the map int32 [height, width] of positions
        in this list + 1, 0 for nothing.
    """
    class_ids, scores, kept = _kept(class_logits, thresholds.score)
    winners = np.zeros(size, np.int32)
    if not len(kept):
        return [], winners
    areas, visible = np.zeros((2, len(kept)), np.int64)
    masks = _Masks(mask_logits[kept], mask_size)
    rows, columns = masks.to(size)
    grid = cells(columns)
    for outputs, inputs, band in bands(rows, BAND_FLOATS // (len(kept) * masks.width)):
        weighted = masks.probabilities(inputs)
        weighted *= scores[:, None, None]
        both = (cells(band), grid)
        write_best_classes(winners[outputs], weighted, both)
        areas += areas_above(weighted, thresholds.mask, both)
        visible += np.bincount(winners[outputs].reshape(-1), minlength=len(kept))
    exists = _exists(visible, areas, thresholds.overlap)
    found, numbers = _numbered(class_ids, scores, exists, fused)
    return found, numbers[winners]


def _kept(
    class_logits: Float, threshold: float
) -> tuple[npt.NDArray[np.intp], Float, npt.NDArray[np.intp]]:
    """Class ids and scores of the queries that show something, and these queries."""
    probabilities = softmax(class_logits)
    class_ids, scores = probabilities.argmax(-1), probabilities.max(-1)
    shows = class_ids != class_logits.shape[-1] - 1
    kept = np.flatnonzero(shows & (scores > np.float32(threshold)))
    return class_ids[kept], scores[kept], kept


def _exists(
    visible: npt.NDArray[np.int64], areas: npt.NDArray[np.int64], overlap: float
) -> npt.NDArray[np.bool_]:
    """Which regions keep enough of their masks; the ratio is a float32 in the original."""
    share = visible.astype(np.float32) / np.maximum(areas, 1).astype(np.float32)
    exists: npt.NDArray[np.bool_] = (visible > 0) & (areas > 0)
    return exists & (share.astype(np.float64) > overlap)


def _numbered(
    class_ids: npt.NDArray[np.intp],
    scores: Float,
    exists: npt.NDArray[np.bool_],
    fused: Collection[int],
) -> tuple[list[Found], npt.NDArray[np.int32]]:
    """The regions that exist, and the number of each query's region, 0 for none: [query]."""
    found: list[Found] = []
    numbers = np.zeros(len(class_ids), np.int32)
    number_of: dict[int, int] = {}
    for query in np.flatnonzero(exists):
        one = Found(int(class_ids[query]), round(float(scores[query]), 6))
        number = number_of.get(one.class_id)
        if number is None:
            found.append(one)
            number = len(found)
            if one.class_id in fused:
                number_of[one.class_id] = number
        elif one.score > found[number - 1].score:
            found[number - 1] = one
        numbers[query] = number
    return found, numbers


def instances(
    class_logits: Float,
    mask_logits: Float,
    size: HeightWidth,
    threshold: float,
    *,
    mask_size: HeightWidth | None = None,
) -> tuple[list[Found], ClassMap]:
    """Rank pairs of a query and a class; the mask is where the query's logits are above 0.

    As in the original, as many pairs are looked at as there are queries, a pair's score is its
    class's probability times the mean probability of its mask, and later pairs lie over earlier
    ones; so an earlier one may be hidden completely.

    Args:
        class_logits: [query, class + 1]; the last class is "nothing".
        mask_logits: [query, height, width].
        size: The picture's height and width.
        threshold: Smallest score.
        mask_size: What the masks are resized to before anything else; None leaves them.

    Returns:
        The regions, and the map int32 [height, width] of positions in this list + 1, 0 for
        nothing.
    """
    probabilities = np.ascontiguousarray(softmax(class_logits)[:, :-1])
    queries, classes = probabilities.shape
    pairs = best(probabilities.reshape(-1), queries)
    masks = _Masks(mask_logits, mask_size)
    rows, columns = nearest(masks.height, size[0]), nearest(masks.width, size[1])
    sampled = np.ix_(np.unique(rows), np.unique(columns))
    regions = np.zeros((masks.height, masks.width), np.int32)
    found: list[Found] = []
    for pair in pairs:
        query, class_id = divmod(int(pair), classes)
        # The mask's part of the score is at most 1: most masks need not be resized.
        if not probabilities[query, class_id] >= threshold:
            continue
        logits = masks.logits(query)
        mask = logits > 0
        score = float(probabilities[query, class_id] * _mean_probability(logits[mask]))
        if score >= threshold and mask[sampled].any():
            found.append(Found(class_id, round(score, 6)))
            regions[mask] = len(found)
    return found, regions[rows][:, columns]


def _mean_probability(logits: Float) -> np.float32:
    total = _sigmoid(logits.copy()).sum(dtype=np.float32)
    return np.float32(total / (np.float32(len(logits)) + np.float32(1e-6)))


def semantic(
    class_logits: Float,
    mask_logits: Float,
    size: HeightWidth,
    *,
    mask_size: HeightWidth | None = None,
) -> ClassMap:
    """The best class of each pixel, where each query votes for its classes with its mask.

    Args:
        class_logits: [query, class + 1]; the last class is "nothing".
        mask_logits: [query, height, width].
        size: The picture's height and width.
        mask_size: What the masks are resized to before anything else; None leaves them.

    Returns:
        int32 [height, width] of class ids.
    """
    votes = np.ascontiguousarray(softmax(class_logits)[:, :-1].T)  # [class, query]
    best = np.empty(size, np.int32)
    masks = _Masks(mask_logits, mask_size)
    rows, columns = masks.to(size)
    grid = cells(columns)
    for outputs, inputs, band in bands(rows, BAND_FLOATS // (max(votes.shape) * masks.width)):
        probabilities = masks.probabilities(inputs)
        values = votes @ probabilities.reshape(len(probabilities), -1)
        values = values.reshape(len(votes), -1, masks.width)
        write_best_classes(best[outputs], values, (cells(band), grid))
    return best


class _Masks:
    """Masks [query, height, width] at their grid, of which a band of rows is made when asked."""

    def __init__(self, logits: Float, grid: HeightWidth | None) -> None:
        self.height, self.width = grid or logits.shape[1:]
        self.resized = grid is not None and grid != logits.shape[1:]
        self.rows = identity_of(np.arange(self.height))
        self.columns = identity_of(np.arange(self.width))
        if self.resized:
            self.rows = bilinear(logits.shape[1], self.height)
            self.columns = bilinear(logits.shape[2], self.width)
        self.source = logits

    def to(self, size: HeightWidth) -> tuple[Axis, Axis]:
        """How the grid's rows and columns become the picture's."""
        return bilinear(self.height, size[0]), bilinear(self.width, size[1])

    def probabilities(self, rows: slice) -> Float:
        """Some rows of all masks: [query, row, column]."""
        axis = self.rows.part(rows, 0)
        low, high = int(axis.start[0]), int(axis.start[-1]) + axis.taps
        part = self.source[:, low:high]
        if self.resized:
            part = resize_columns(part, self.columns)
        return _sigmoid(resize_rows(part, self.rows.part(rows, low)))

    def logits(self, query: int) -> Float:
        """One whole mask: [height, width]."""
        source: Float = self.source[query]
        if not self.resized:
            return source
        return resize_rows(resize_columns(source, self.columns), self.rows)


def _sigmoid(logits: Float) -> Float:
    """Probabilities, written over the logits; 0 below -88, as torch's."""
    np.negative(logits, out=logits)
    with np.errstate(over="ignore"):
        np.exp(logits, out=logits)
    logits += 1
    return np.reciprocal(logits, out=logits)
