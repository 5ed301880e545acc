"""Which of the original's decisions about segments are too close to be told apart."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from onnxtasks.tasks.image_segmentation import QueryHead

Thresholds: TypeAlias = Mapping[str, float]
"""threshold, mask_threshold and overlap_mask_area_threshold of the pipeline."""

PIXEL_TIE = 1e-4
"""Candidates of a pixel that are closer than this, relative where values exceed 1, are a tie."""
LOW = {"threshold": 0.01, "mask_threshold": 0.005, "overlap_mask_area_threshold": 0.2}
"""The options at which segments are compared: low, so that a random model has some too."""


@dataclass(frozen=True)
class Ties:
    """How sure the original is of one answer."""

    margin: float
    """The closest decision about which segments there are; another answer below 1e-5 is a tie."""
    pixels: npt.NDArray[np.bool_]
    """[height, width]; whether a pixel's two best candidates are a tie."""
    slack: npt.NDArray[np.float32] | float = 0.0
    """[segment]; how far a score may move because pixels at the mask's edge are ties."""
    attended: bool = False
    """Whether it is a tie if some query sees some pixel: everything may move a little then."""


@contextmanager
def closest_sight(model: torch.nn.Module) -> Iterator[list[float]]:
    """Collect how near 0 the logits come by which Mask2Former's queries see a pixel or not.

    There are nearly a million of them at full size, and seeing one pixel more moves the answer.
    """
    found: list[float] = []

    def note(_: torch.nn.Module, given: tuple[Any, ...], by_name: Any, outputs: Any) -> None:
        size = by_name.get("attention_mask_target_size", given[-1])
        grid = torch.nn.functional.interpolate(outputs[0], size=size, mode="bilinear")
        found.append(float(grid.abs().min()))

    predictors = [m for m in model.modules() if type(m).__name__ == "Mask2FormerMaskPredictor"]
    hooks = [module.register_forward_hook(note, with_kwargs=True) for module in predictors]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def semantic_ties(scores: torch.Tensor) -> Ties:
    """Ties of an argmax over classes.

    Args:
        scores: [class, height, width], at the picture's size.
    """
    scale = max(1.0, float(scores.abs().max()))
    if len(scores) == 1:
        return Ties(margin=np.inf, pixels=np.zeros(scores.shape[1:], np.bool_))
    best = scores.topk(2, dim=0)
    gap = (best.values[0] - best.values[1]) / scale
    first, second = best.indices
    # A class that is there leaves with its surest pixel; one that is not comes with its likeliest.
    there = [float(gap[first == index].max()) for index in first.unique()]
    come = [float(gap[second == i].min()) for i in second.unique() if not (first == i).any()]
    return Ties(margin=min(*there, *come, np.inf), pixels=(gap < PIXEL_TIE).numpy())


def panoptic_ties(
    classes: torch.Tensor,
    masks: torch.Tensor,
    size: tuple[int, int],
    head: QueryHead,
    limits: Thresholds,
) -> Ties:
    """Ties of transformers' `post_process_panoptic_segmentation`.

    Args:
        classes: Logits [query, class + 1].
        masks: Logits [query, h, w].
        size: Height and width of the picture.
        head: What is done to the masks first.
        limits: The thresholds.
    """
    best = classes.softmax(-1).topk(2, dim=-1)
    score, label = best.values[:, 0], best.indices[:, 0]
    named = label != classes.shape[-1] - 1
    margin = float((best.values[:, 0] - best.values[:, 1]).min())
    margin = min(margin, *(score[named] - limits["threshold"]).abs().tolist(), np.inf)
    keep = named & (score > limits["threshold"])
    if not keep.any():
        return Ties(margin=margin, pixels=np.zeros(size, np.bool_))
    grid = _resized(masks, head).sigmoid()[keep]
    values = _bilinear(grid, size) * score[keep][:, None, None]
    leading = values.max(0).values
    gap = leading - values.topk(2, dim=0).values[1] if len(values) > 1 else leading
    tied = gap < PIXEL_TIE
    if not all(_decided(value, leading, tied, limits) for value in values):
        margin = 0.0
    return Ties(margin=margin, pixels=tied.numpy())


def _decided(
    value: torch.Tensor, leading: torch.Tensor, tied: torch.Tensor, limits: Thresholds
) -> bool:
    """Whether ties of pixels cannot change if a query's mask [height, width] is a segment."""
    limit, share = limits["mask_threshold"], limits["overlap_mask_area_threshold"]
    fewest = int(((value == leading) & ~tied).sum())
    most = int((value >= leading - PIXEL_TIE).sum())
    small = int((value >= limit + PIXEL_TIE).sum())
    large = int((value >= limit - PIXEL_TIE).sum())
    surely = fewest > 0 and small > 0 and fewest / large > share
    never = most == 0 or large == 0 or (small > 0 and most / small <= share)
    return surely or never


def instance_ties(
    classes: torch.Tensor,
    masks: torch.Tensor,
    size: tuple[int, int],
    head: QueryHead,
    limits: Thresholds,
) -> Ties:
    """Ties of `Mask2FormerImageProcessorPil.post_process_instance_segmentation`; as above."""
    count = classes.shape[-1] - 1
    flat = classes.softmax(-1)[:, :-1].flatten().sort(descending=True)
    pairs = flat.indices[: len(classes)]
    grid = _resized(masks, head)[pairs // count]
    inside, near = grid > 0, grid.abs() < PIXEL_TIE * max(1.0, float(grid.abs().max()))
    area = inside.flatten(1).sum(1)
    score = (
        flat.values[: len(classes)] * (grid.sigmoid() * inside).flatten(1).sum(1) / (area + 1e-6)
    )
    limit, slack = limits["threshold"], near.flatten(1).sum(1) / area.clamp(min=1)
    shown = _nearest(inside, size).flatten(1).any(1)
    sure = _nearest(inside & ~near, size).flatten(1).any(1)
    candidate = (score > limit - PIXEL_TIE) & _nearest(inside | near, size).flatten(1).any(1)
    gaps = -flat.values.diff()[: len(classes)]  # to the next, which is the other way round at a tie
    margins = [*gaps[candidate[: len(gaps)]].tolist(), *(score - limit).abs()[shown].tolist()]
    margin = 0.0 if bool((candidate & ~sure).any()) else min([*margins, np.inf])
    pixels = np.zeros(size, np.bool_)
    if candidate.any():
        pixels = _nearest(near[candidate], size).any(0).numpy()
    return Ties(margin=margin, pixels=pixels, slack=slack[candidate & shown].float().numpy())


def query_ties(
    subtask: str, outputs: Any, size: tuple[int, int], head: QueryHead, limits: Thresholds
) -> Ties:
    """Ties of one picture's segments, of a subtask that is not semantic."""
    named = hasattr(outputs, "class_queries_logits")  # MaskFormer, Mask2Former; else DETR
    classes = (outputs.class_queries_logits if named else outputs.logits)[0]
    masks = (outputs.masks_queries_logits if named else outputs.pred_masks)[0]
    ranked = subtask == "instance" and head.ranks_pairs
    return (instance_ties if ranked else panoptic_ties)(classes, masks, size, head, limits)


def _resized(masks: torch.Tensor, head: QueryHead) -> torch.Tensor:
    size = head.mask_size
    return _bilinear(masks, (size.height, size.width)) if size else masks


def _bilinear(grid: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(grid[None], size=size, mode="bilinear")[0]


def _nearest(grid: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(grid[None].float(), size=size, mode="nearest")[0] > 0
