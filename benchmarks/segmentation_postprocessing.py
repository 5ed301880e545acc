"""How long are masks on their way to the picture's size? This package and the original, in turns.

`python -m benchmarks.segmentation_postprocessing` writes
docs/benchmarks/segmentation_postprocessing.md: from what a network gives to the label map of a
picture of 1280 x 960, with transformers' image processors and with this package. Scores are regions
as a trained model gives, or noise, where every pixel is a border.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median, quantiles
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.cases import ROOT
from onnxtasks.devices import available_threads
from onnxtasks.ops.best_class import best_classes
from onnxtasks.ops.queries import Thresholds, instances, panoptic, semantic
from onnxtasks.ops.scores import Float
from onnxtasks.ops.upsampling import bilinear, resize_columns, resize_rows

SIZE = (960, 1280)  # height and width of the picture
MASK_SIZE = (384, 384)  # of Mask2Former
QUERIES, CLASSES, GRID = 100, 133, 96
SEMANTIC_CLASSES, SEMANTIC_GRID = 150, 128
LIMITS = Thresholds(score=0.6, mask=0.5, overlap=0.5)
ROUNDS = 7
PAGE = ROOT / "docs/benchmarks/segmentation_postprocessing.md"


@dataclass(frozen=True)
class Case:
    """One row: what is asked, of what, and the two ways to answer."""

    task: str
    scores: str
    original: Callable[[], Any]
    ours: Callable[[], Any]


@dataclass(frozen=True)
class Figures:
    """What was measured of a case."""

    case: Case
    original: list[float]
    ours: list[float]
    memory: int
    """Bytes that this package held at most beyond what it was given."""


def regions(rng: np.random.Generator, count: int, grid: int, coarse: int) -> Float:
    """Smooth scores [count, grid, grid]: regions with borders between them."""
    maps = rng.normal(0, 6, (count, coarse, coarse)).astype(np.float32)
    axis = bilinear(coarse, grid)
    smooth = resize_columns(resize_rows(maps, axis), axis)
    return smooth + rng.normal(0, 0.1, smooth.shape).astype(np.float32)


def masks(rng: np.random.Generator, shown: int) -> Float:
    """Mask logits [query, row, column], of which so many share the picture out."""
    values = regions(rng, QUERIES, GRID, 8) - 4
    best = np.sort(values[:shown], axis=0)
    other = np.where(values[:shown] == best[-1], best[-2], best[-1])
    values[:shown] = np.clip(3 * (values[:shown] - other), -15, 15)
    return values


def classes(rng: np.random.Generator, shown: int) -> Float:
    """Class logits [query, class + 1], of which so many are sure of a class."""
    logits = rng.normal(0, 1, (QUERIES, CLASSES + 1)).astype(np.float32)
    logits[np.arange(shown), rng.integers(0, CLASSES, shown)] += 12
    logits[shown:, CLASSES] += 12
    return logits


def cases() -> Iterator[Case]:
    """All rows."""
    from transformers.models.segformer.image_processing_pil_segformer import (
        SegformerImageProcessorPil,
    )

    rng = np.random.default_rng(0)
    for scores, logits in (
        ("regions", regions(rng, SEMANTIC_CLASSES, SEMANTIC_GRID, 8)),
        ("noise", rng.normal(0, 1, (SEMANTIC_CLASSES, SEMANTIC_GRID, SEMANTIC_GRID))),
    ):
        yield semantic_case(SegformerImageProcessorPil(), scores, logits.astype(np.float32))
    for scores, shown, mask_logits in (
        ("regions, 10 queries kept", 10, masks(rng, 10)),
        ("regions, 30 queries kept", 30, masks(rng, 30)),
        ("regions, all 100 kept", QUERIES, masks(rng, QUERIES)),
        ("noise, all 100 kept", QUERIES, rng.normal(0, 3, (QUERIES, GRID, GRID))),
    ):
        yield from query_cases(scores, classes(rng, shown), mask_logits.astype(np.float32))


def semantic_case(processor: Any, scores: str, logits: Float) -> Case:
    """SegFormer's head."""
    import torch

    outputs = SimpleNamespace(logits=torch.from_numpy(logits)[None])
    axes = bilinear(SEMANTIC_GRID, SIZE[0]), bilinear(SEMANTIC_GRID, SIZE[1])
    return Case(
        f"semantic, {SEMANTIC_CLASSES} x {SEMANTIC_GRID} x {SEMANTIC_GRID}",
        scores,
        lambda: processor.post_process_semantic_segmentation(outputs, target_sizes=[SIZE]),
        lambda: best_classes(logits, *axes),
    )


def query_cases(scores: str, class_logits: Float, mask_logits: Float) -> Iterator[Case]:
    """Mask2Former's head."""
    import torch
    from transformers.models.mask2former.image_processing_pil_mask2former import (
        Mask2FormerImageProcessorPil,
    )

    processor = Mask2FormerImageProcessorPil()
    outputs = SimpleNamespace(
        class_queries_logits=torch.from_numpy(class_logits)[None],
        masks_queries_logits=torch.from_numpy(mask_logits)[None],
    )
    limits = (LIMITS.score, LIMITS.mask, LIMITS.overlap)
    logits = (class_logits, mask_logits, SIZE)
    yield Case(
        "panoptic",
        scores,
        lambda: processor.post_process_panoptic_segmentation(
            outputs, *limits, label_ids_to_fuse=set(), target_sizes=[SIZE]
        ),
        lambda: panoptic(*logits, LIMITS, mask_size=MASK_SIZE),
    )
    yield Case(
        "instance",
        scores,
        lambda: processor.post_process_instance_segmentation(
            outputs, LIMITS.score, target_sizes=[SIZE]
        ),
        lambda: instances(*logits, LIMITS.score, mask_size=MASK_SIZE),
    )
    yield Case(
        "semantic of queries",
        scores,
        lambda: processor.post_process_semantic_segmentation(outputs, target_sizes=[SIZE]),
        lambda: semantic(*logits, mask_size=MASK_SIZE),
    )


def measure(case: Case) -> Figures:
    """Seconds of both ways in turns, and this package's memory."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(ROUNDS + 1):
        for ours in (True, False) if turn % 2 else (False, True):
            start = time.perf_counter()
            (case.ours if ours else case.original)()
            if turn:  # the first is first-time work
                seconds[ours].append(time.perf_counter() - start)
    gc.collect()
    tracemalloc.start()
    case.ours()
    _, memory = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Figures(case, seconds[False], seconds[True], memory)


def row(figures: Figures) -> str:
    """One line of the table."""
    ratios = [a / b for a, b in zip(figures.original, figures.ours, strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    return (
        f"| {figures.case.task} | {figures.case.scores} | {1e3 * median(figures.original):.0f} ms "
        f"| {1e3 * median(figures.ours):.1f} ms | {middle:.1f} ({low:.1f} to {high:.1f}) "
        f"| {figures.memory / 1e6:.0f} MB |"
    )


def page(rows: list[str]) -> str:
    """The page in Markdown."""
    return f"""\
# Postprocessing of segmentation

Made by `python -m benchmarks.segmentation_postprocessing`: from what a network gives to the label
map of a picture of {SIZE[1]} x {SIZE[0]}, with transformers' Pillow image processors on
{available_threads()} threads and with this package on one. Queries: {QUERIES} of Mask2Former with
masks of {GRID} x {GRID} and {CLASSES} classes. {ROUNDS} calls each way, in turns, in one process.
Memory is what this package holds at most beyond what it is given, its answer included.

| task | scores | transformers | onnxtasks | ratio of each pair: median (quartiles) | memory |
|---|---|---|---|---|---|
{chr(10).join(rows)}

In noise every pixel is a border between regions: the worst case, which no trained model gives.
"""


def main() -> None:
    """Measure all rows and write the page."""
    import torch

    torch.set_num_threads(available_threads())
    rows = []
    for case in cases():
        rows.append(row(measure(case)))
        print(rows[-1], flush=True)
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
