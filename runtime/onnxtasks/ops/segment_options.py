"""The options of image segmentation: their defaults, and what is wrong with them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from onnxtasks.errors import InputError
from onnxtasks.ops.queries import Thresholds

Subtask: TypeAlias = Literal["panoptic", "instance", "semantic"]
Given: TypeAlias = tuple[float | None, float | None, float | None]
"""threshold, mask_threshold and overlap_mask_area_threshold of a call."""

NAMES = ("threshold", "mask_threshold", "overlap_mask_area_threshold")
DEFAULTS = (0.9, 0.5, 0.5)  # of transformers' pipeline


@dataclass(frozen=True, slots=True)
class Options:
    """The checked options of one call."""

    subtask: Subtask
    thresholds: Thresholds
    fused: Collection[int]


def check_subtask(subtask: Subtask | None, can: tuple[Subtask, ...]) -> Subtask:
    """The subtask of a call, given what the checkpoint can do.

    Raises:
        InputError: An unknown one, or one that it cannot do.
    """
    if subtask is None:
        return can[0]
    if subtask not in get_args(Subtask):
        raise InputError(f"subtask is {subtask!r}; it is one of {', '.join(get_args(Subtask))}")
    if subtask not in can:
        raise InputError(f"this checkpoint cannot do {subtask} segmentation, only {', '.join(can)}")
    return subtask


def thresholds(given: Given, subtask: Subtask) -> Thresholds:
    """The thresholds of a call; the defaults where it gives none.

    Raises:
        InputError: No number from 0 to 1, or one for semantic segmentation, which has no use for
            it.
    """
    for name, value in zip(NAMES, given, strict=True):
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and 0 <= value <= 1):  # NaN is neither
            raise InputError(f"{name} is {value!r}; it is a number from 0 to 1")
        if subtask == "semantic":
            raise InputError(
                f"{name} is for panoptic and instance segmentation; semantic segmentation gives "
                "every pixel its best class. Leave it out, or choose another subtask"
            )
    score, mask, overlap = (
        default if value is None else value for default, value in zip(DEFAULTS, given, strict=True)
    )
    return Thresholds(score=score, mask=mask, overlap=overlap)


def check_fused(indices: Collection[int] | None, subtask: Subtask, classes: int) -> None:
    """Refuse what is no collection of class ids, or not for this subtask.

    Raises:
        InputError: One of these.
    """
    if indices is None:
        return
    if subtask != "panoptic":
        raise InputError(
            f"label_ids_to_fuse is for panoptic segmentation, not for {subtask}; leave it out"
        )
    if not isinstance(indices, Collection) or isinstance(indices, str | bytes):
        raise InputError(f"label_ids_to_fuse is {indices!r}; it is a list or set of class ids")
    for index in indices:
        whole = isinstance(index, int) and not isinstance(index, bool)
        if not (whole and 0 <= index < classes):
            raise InputError(
                f"label_ids_to_fuse has {index!r}; it takes class ids, 0 to {classes - 1}"
            )
