"""The original object detector: transformers' pipeline up to its boxes, one image at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment
from transformers import ObjectDetectionPipeline

from onnxtasks.errors import ParityError
from onnxtasks.ops.boxes import PAIRS, Detections, Scoring, clip
from onnxtasks.ops.image_reading import ImageLike, read_image
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.object_detection import ObjectDetectionSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.originals.image_classification import textured
from onnxtasks_export.specs.object_detection import spec

SIZES = (  # width, height, mode
    (640, 427, "RGB"),
    (333, 501, "RGB"),
    (97, 61, "RGB"),
    (31, 45, "RGB"),
    (224, 224, "RGB"),
    (1021, 767, "RGB"),
    (257, 129, "L"),
    (190, 311, "RGBA"),
    (400, 120, "P"),
    (83, 240, "CMYK"),
)
TIE = 1e-5
"""Two candidates of the original closer than this are a tie."""
PIXELS = 1000.0
"""A box's side may be 0.1 pixel away, a score 1e-4: what compares boxes is divided by this."""


@dataclass(frozen=True)
class Found:
    """All candidates of one picture, in any order."""

    scores: npt.NDArray[np.float32]
    """[candidate]."""
    classes: npt.NDArray[np.int64]
    """[candidate]."""
    boxes: npt.NDArray[np.float32]
    """[candidate, 4], in pixels."""
    doubtful: npt.NDArray[np.bool_]
    """[candidate]: whether the original had another candidate closer than `TIE` in its place."""
    open: bool
    """Whether its first stage did: other queries change all candidates, so that none is compared.
    """
    size: tuple[int, int]
    """Height and width of the picture."""


def spec_of(checkpoint: Checkpoint) -> ObjectDetectionSpec:
    """The spec of a loaded checkpoint."""
    processor = checkpoint.processors["image_processor"].to_dict()
    return spec(processor, checkpoint.config.to_dict())


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with the checkpoint's pipeline and its Pillow image processor.

    All candidates are compared, not only those above a threshold: those of a picture without
    objects say as much about the graph.
    """
    processor = checkpoint.processors["image_processor"]
    pipeline = ObjectDetectionPipeline(
        model=checkpoint.model, image_processor=processor, device="cpu"
    )
    scoring = spec_of(checkpoint).scoring

    def samples(rng: np.random.Generator) -> Sequence[Image.Image]:
        return [textured(rng, width, height).convert(mode) for width, height, mode in SIZES]

    def original(item: ImageLike) -> Answer:
        picture = read_image(item)  # also what transformers does not read: bytes, 16-bit files
        outputs = pipeline.forward(pipeline.preprocess(picture))
        # As the pipeline's postprocess, which then cuts boxes to whole pixels.
        seen = processor.post_process_object_detection(outputs, 0.0, outputs["target_size"])[0]
        size = picture.height, picture.width
        doubtful, margin = doubts(outputs["logits"][0], scoring)
        chosen = selection_gap(outputs, scoring)
        return answer(
            Found(
                scores=seen["scores"].numpy(),
                classes=seen["labels"].numpy(),
                boxes=clip(seen["boxes"].numpy(), *size),
                doubtful=doubtful,
                open=chosen < TIE,
                size=size,
            ),
            min(margin, chosen),
        )

    return Comparison(samples=samples, original=original, bundle=ask, far=far, moved=moved)


def ask(task: Task[Any, Detections], items: Sequence[Any]) -> list[Answer]:
    """Ask a bundle's detector for all its candidates."""
    predicted = task.predict(items, threshold=0.0)  # type: ignore[call-arg]  # the task's option
    return [answer(taken(found), float("inf")) for found in predicted]


def taken(found: Detections) -> Found:
    """A task's answer as arrays."""
    sides = [[d.box.xmin, d.box.ymin, d.box.xmax, d.box.ymax] for d in found]
    return Found(
        scores=np.array([detection.score for detection in found], np.float32),
        classes=np.array([detection.index for detection in found], np.int64),
        boxes=np.array(sides, np.float32).reshape(-1, 4),
        doubtful=np.zeros(len(found), np.bool_),
        open=False,
        size=(found.height, found.width),
    )


def answer(found: Found, margin: float) -> Answer:
    """The classes that were seen and how often, which the order of near equals leaves alone."""
    classes, counts = np.unique(found.classes, return_counts=True)
    seen = [f"{index} x {count}" for index, count in zip(classes, counts, strict=True)]
    scores = np.sort(found.scores)[::-1][None]
    return Answer(key=", ".join(seen), scores=scores, margin=margin, detail=found)


def doubts(logits: torch.Tensor, scoring: Scoring) -> tuple[npt.NDArray[np.bool_], float]:
    """Where the original's own decisions are ties.

    Args:
        logits: [query, class].
        scoring: How candidates are made of them.

    Returns:
        Of each candidate in the order of post-processing whether it is a tie, and the closest
        decision.
    """
    if scoring == "softmax":
        two = logits.softmax(-1)[:, :-1].topk(min(2, logits.shape[1] - 1)).values
        gaps = two[:, 0] - two[:, -1] if two.shape[1] > 1 else torch.ones(len(two))
    else:
        count = PAIRS if scoring == "sigmoid-top-100" else len(logits)
        ranked = logits.sigmoid().flatten().sort(descending=True).values
        rest = ranked[count] if count < len(ranked) else torch.tensor(-1.0)
        gaps = ranked[:count] - rest
    return (gaps < TIE).numpy(), float(gaps.min())


def selection_gap(outputs: Any, scoring: Scoring) -> float:
    """How far the last cell that became a query is ahead of the first that did not.

    RT-DETR and its kin take the cells with the best score of any class, Deformable DETR those with
    the best score of the first class; other detectors choose no cells.
    """
    seen, queries = outputs.get("enc_outputs_class"), outputs["logits"].shape[1]
    if seen is None or seen.shape[1] <= queries:
        return float("inf")
    scores = seen[0].max(-1).values if scoring == "sigmoid-top-queries" else seen[0, :, 0]
    best = scores.topk(queries + 1).values
    return float(best[-2] - best[-1])


def distances(one: Found, other: Found) -> npt.NDArray[np.float64]:
    """How far each of one's candidates is from each of the other's, float64 [one, other].

    The larger one of the difference of scores and that of boxes (see `PIXELS`), and 1 more where
    the classes differ. Of a tie only the score counts.
    """
    if one.open:
        return np.zeros((len(one.scores), len(other.scores)))
    scores = np.abs(one.scores[:, None].astype(np.float64) - other.scores[None])
    boxes = np.abs(one.boxes[:, None].astype(np.float64) - other.boxes[None]).max(-1) / PIXELS
    classes = (one.classes[:, None] != other.classes[None]).astype(np.float64)
    full = np.maximum(scores, boxes) + classes
    far_apart: npt.NDArray[np.float64] = np.where(one.doubtful[:, None], scores, full)
    return far_apart


def matched(one: Answer, other: Answer) -> npt.NDArray[np.float64]:
    """The distance of each candidate of one from its partner in the other, [candidate].

    Raises:
        ParityError: One has more candidates.
    """
    if len(one.detail.scores) != len(other.detail.scores):
        raise ParityError(
            f"{len(other.detail.scores)} candidates, the original's {len(one.detail.scores)}"
        )
    between = distances(one.detail, other.detail)
    # Each is matched once: a box that is there twice cannot stand for two. Squares, since it is
    # the largest distance that counts.
    rows, columns = linear_sum_assignment(between**2)
    found: npt.NDArray[np.float64] = between[rows, columns]
    return found


def far(one: Answer, other: Answer) -> float:
    """The largest distance; 1e-4 is a score of 1e-4 or 0.1 pixel."""
    return float(matched(one, other).max(initial=0.0))


def moved(one: Answer, other: Answer) -> float:
    """The mean distance, with pixels as shares of the picture, weighed by the score; 0 to 1."""
    sides = max(one.detail.size)
    weights = one.detail.scores.astype(np.float64)
    between = np.minimum(matched(one, other) * max(1.0, PIXELS / sides), 1.0)
    return float((between * weights).sum() / max(weights.sum(), 1e-12))
