"""The original segmenter: transformers' pipeline and image processor, one picture at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import ImageSegmentationPipeline

from onnxtasks.ops.image_reading import ImageLike, read_image
from onnxtasks.ops.scores import Float
from onnxtasks.ops.segments import LabelMap, Segmentation
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.image_segmentation import (
    ImageSegmentationSpec,
    ImageSegmenter,
    SemanticHead,
    Subtask,
)
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.originals.image_classification import textured
from onnxtasks_export.originals.segment_ties import (
    LOW,
    Thresholds,
    Ties,
    closest_sight,
    query_ties,
    semantic_ties,
)
from onnxtasks_export.specs import image_segmentation

SUBTASKS: tuple[Subtask, ...] = ("panoptic", "instance", "semantic")
"""In the order in which the pipeline looks for one."""
SIZES = (  # width, height, mode
    (320, 214, "RGB"),
    (167, 250, "RGB"),
    (97, 61, "RGB"),
    (31, 45, "RGB"),
    (96, 96, "RGB"),
    (383, 301, "RGB"),
    (129, 65, "L"),
    (95, 156, "RGBA"),
    (60, 150, "P"),
)
TIE = 1e-5  # as verify.TIE
MOVED = 1e-3
"""What a picture that changed its class everywhere counts, where sight is a tie: the limits are
1e-4 from the original, and 1e-5 between a batch and alone."""


@dataclass(frozen=True, eq=False)
class Regions:
    """One subtask's answer for one picture."""

    subtask: Subtask
    labels: tuple[str, ...]
    """Of the segments, in their order."""
    scores: Float
    """Of the segments; in semantic segmentation each class's share of the picture."""
    regions: LabelMap
    """As `Segmentation.label_map`."""
    classes: LabelMap
    """[height, width]; class ids, -1 for nothing."""
    ties: Ties


def subtasks_of(processor: Any) -> tuple[Subtask, ...]:
    """What an image processor can make of the model's answers."""
    return tuple(
        name for name in SUBTASKS if hasattr(processor, f"post_process_{name}_segmentation")
    )


def spec_of(checkpoint: Checkpoint) -> ImageSegmentationSpec:
    """The checkpoint's settings."""
    processor = checkpoint.processors["image_processor"]
    return image_segmentation.spec(
        processor.to_dict(), checkpoint.config.to_dict(), subtasks_of(processor)
    )


class Original:
    """Asks the checkpoint's model and image processor; each picture once."""

    def __init__(self, checkpoint: Checkpoint, limits: Thresholds = LOW) -> None:
        self.limits = limits
        self.spec = spec_of(checkpoint)
        self.pipeline = ImageSegmentationPipeline(
            model=checkpoint.model,
            image_processor=checkpoint.processors["image_processor"],
            device="cpu",
        )
        self._asked: dict[int, tuple[ImageLike, list[Regions]]] = {}

    def regions(self, item: ImageLike) -> list[Regions]:
        """Every subtask's answer, in the order of `subtasks`."""
        if id(item) not in self._asked:
            picture = read_image(item)  # also what transformers does not read: bytes, arrays
            with closest_sight(self.pipeline.model) as near:
                outputs = self.pipeline.forward(self.pipeline.preprocess(picture))
            size = (picture.height, picture.width)
            found = [self._regions(subtask, outputs, size) for subtask in subtasks(self.spec)]
            if min([*near, np.inf]) < TIE:
                found = [seen_by_chance(part) for part in found]
            self._asked[id(item)] = item, found  # the item, so that no other gets its id
        return self._asked[id(item)][1]

    def _regions(self, subtask: Subtask, outputs: Any, size: tuple[int, int]) -> Regions:
        head = self.spec.head
        if subtask == "semantic" or isinstance(head, SemanticHead):
            return self._semantic(outputs, size)
        processor, labels = self.pipeline.image_processor, self.spec.labels
        make = getattr(processor, f"post_process_{subtask}_segmentation")
        ranked = subtask == "instance" and head.ranks_pairs
        asked = best_first(outputs) if ranked else outputs
        answer = make(asked, target_sizes=[size], **self.limits)[0]
        given, segments = answer["segmentation"].numpy(), answer["segments_info"]
        regions = np.zeros(size, np.int32)
        for position, segment in enumerate(segments):
            regions[given == segment["id"]] = position + 1
        ids = [segment["label_id"] for segment in segments]
        return Regions(
            subtask,
            tuple(labels[index] for index in ids),
            np.array([segment["score"] for segment in segments], np.float32),
            regions,
            np.array([-1, *ids], np.int32)[regions],
            query_ties(subtask, outputs, size, head, self.limits),
        )

    def _semantic(self, outputs: Any, size: tuple[int, int]) -> Regions:
        answer = self.pipeline.image_processor.post_process_semantic_segmentation(
            outputs, target_sizes=[size], return_segmentation_scores=True
        )[0]
        classes: LabelMap = answer.segmentation.numpy().astype(np.int32)
        labels = self.spec.labels
        return Regions(
            "semantic",
            tuple(labels[index] for index in np.unique(classes)),
            _shares(classes, len(labels)),
            classes,
            classes,
            semantic_ties(answer.segmentation_scores),
        )


def seen_by_chance(found: Regions) -> Regions:
    """The same answer, of a picture at which a query may see one pixel more or less."""
    return replace(found, ties=replace(found.ties, margin=0.0, attended=True))


def best_first(outputs: Any) -> Any:
    """Outputs for which transformers ranks a picture's pairs of query and class best first.

    It asks torch for the best pairs "not sorted", and draws later ones over earlier ones. torch
    sorts them all the same where there are at least 64 times as many pairs as it is asked for; with
    fewer classes their order is an accident of its selection. 64 classes that no query is of make
    it sort, and change no probability.
    """
    logits = outputs.class_queries_logits  # [batch, query, class + 1]
    absent = torch.full((*logits.shape[:2], 64), -torch.inf)
    padded = torch.cat([logits[..., :-1], absent, logits[..., -1:]], dim=-1)
    return SimpleNamespace(
        class_queries_logits=padded, masks_queries_logits=outputs.masks_queries_logits
    )


def subtasks(spec: ImageSegmentationSpec) -> tuple[Subtask, ...]:
    """What a segmenter can do."""
    return ("semantic",) if isinstance(spec.head, SemanticHead) else spec.head.subtasks


def comparison(checkpoint: Checkpoint, limits: Thresholds = LOW) -> Comparison:
    """Compare every subtask with the checkpoint's pipeline and Pillow image processor."""
    asked = Original(checkpoint, limits)

    def samples(rng: np.random.Generator) -> Sequence[Image.Image]:
        return [textured(rng, width, height).convert(mode) for width, height, mode in SIZES]

    def bundle(task: Task[Any, Any], items: Sequence[ImageLike]) -> list[Answer]:
        if not isinstance(task, ImageSegmenter):
            raise TypeError(f"not an ImageSegmenter: {type(task).__name__}")
        answers: list[list[Regions]] = [[] for _ in items]
        for at, subtask in enumerate(subtasks(asked.spec)):
            options: dict[str, Any] = {} if subtask == "semantic" else dict(limits)
            found = task.predict(items, subtask=subtask, **options)
            for item, parts, segmentation in zip(items, answers, found, strict=True):
                ties = asked.regions(item)[at].ties  # those of the original: the same decisions
                parts.append(_found(segmentation, subtask, len(asked.spec.labels), ties))
        return [_answer(parts) for parts in answers]

    return Comparison(
        samples=samples,
        original=lambda item: _answer(asked.regions(item)),
        bundle=bundle,
        moved=moved,
        far=far,
    )


def far(one: Answer, other: Answer) -> float:
    """1 where a pixel differs that is no tie, else how far scores are apart.

    Where another set of segments is a tie, nothing of the subtask can be compared. Where it is a
    tie what a query sees, a tenth of the picture may change its class, in a batch a hundredth.
    """
    return max(_far(a, b) for a, b in zip(one.detail, other.detail, strict=True))


def moved(one: Answer, other: Answer) -> float:
    """The share of pixels whose class changed, in the default subtask."""
    a, b = one.detail[0].classes, other.detail[0].classes
    return float((a != b).mean()) if a.shape == b.shape else 1.0


def _far(one: Regions, other: Regions) -> float:
    if one.regions.shape != other.regions.shape:
        return 1.0
    if one.ties.attended:
        return MOVED * float((one.classes != other.classes).mean())
    if one.subtask != "semantic" and one.labels != other.labels:
        return 0.0 if one.ties.margin < TIE else 1.0
    if ((one.regions != other.regions) & ~one.ties.pixels).any():
        return 1.0
    if one.subtask == "semantic":  # its shares are those of the map
        return 0.0
    return float((np.abs(one.scores - other.scores) - one.ties.slack).max(initial=0.0))


def _answer(parts: Sequence[Regions]) -> Answer:
    # Shares of the picture are no scores: only where nothing else is there.
    scored = [part for part in parts if part.subtask != "semantic"] or parts
    scores = np.concatenate([part.scores for part in scored])
    return Answer(
        key="; ".join(f"{part.subtask}: {', '.join(part.labels)}" for part in parts),
        scores=scores if scores.size else np.zeros(1, np.float32),
        margin=min(part.ties.margin for part in parts),
        detail=tuple(parts),
    )


def _found(found: Segmentation, subtask: Subtask, classes: int, ties: Ties) -> Regions:
    """What the bundle answered, with the original's ties."""
    names = tuple(segment.label for segment in found.segments)
    regions = found.label_map
    if subtask == "semantic":
        return Regions(subtask, names, _shares(regions, classes), regions, regions, ties)
    ids = np.array([-1, *(segment.index for segment in found.segments)], np.int32)
    scores = np.array([segment.score for segment in found.segments], np.float32)
    return Regions(subtask, names, scores, regions, ids[regions], ties)


def _shares(classes: LabelMap, count: int) -> Float:
    """Each class's share of the picture, [class]."""
    shares: Float = (np.bincount(classes.ravel(), minlength=count) / classes.size).astype(
        np.float32
    )
    return shares
