"""Object detection: a picture -> boxes with labels and scores."""

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec
from PIL import Image

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.ops.boxes import Box, Candidates, Detection, Detections, Scoring, candidates
from onnxtasks.ops.image import ImageSpec, tensor_size, to_batch, to_pixels
from onnxtasks.ops.image_reading import ImageLike, Pixels, image_size, read_image
from onnxtasks.ops.labels import check_top_k
from onnxtasks.session import Feeds, Outputs, Session
from onnxtasks.tasks.base import Task, check_items, groups
from onnxtasks.timing import stage

THRESHOLD = 0.5  # of transformers' object-detection pipeline


class Cells(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The places of which a two-stage detector takes the best as its queries."""

    strides: tuple[int, ...]
    """Pixels from one place to the next, on each level."""
    needed: int
    """How many it takes; a tensor with fewer cannot be answered, by the original either."""

    def of(self, height: int, width: int) -> int:
        """Places on a tensor of this size."""
        return sum(-(-height // stride) * -(-width // stride) for stride in self.strides)


class ObjectDetectionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of an object detector."""

    image: ImageSpec
    labels: tuple[str, ...]
    """The name of each class id."""
    scoring: Scoring
    """What the image processor of the checkpoint's family makes of logits."""
    min_size: int = 1
    """Smallest side of the tensor, in pixels."""
    cells: Cells | None = None
    """None where the queries do not depend on the picture."""

    def __post_init__(self) -> None:
        """Refuse a model without classes."""
        if not self.labels:
            raise ValueError("labels is empty; a detector has at least one class")


class ObjectDetector(Task[ImageLike, Detections]):
    """Finds objects in a picture.

    One input is a path, the bytes of an encoded image, a Pillow image, or a uint8 array
    [height, width] or [height, width, 1, 3 or 4 channels].
    """

    name = "object-detection"
    unit = "pixels"
    budget = 800 * 1333.0

    def __init__(self, session: Session, spec: ObjectDetectionSpec) -> None:
        """Answer with this graph: pixel_values -> logits and boxes, [batch, query, ...]."""
        self.session = session
        self.spec = spec

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its graph "model"."""
        return cls(sessions["model"], bundle.spec(ObjectDetectionSpec))

    def predict(
        self,
        items: Sequence[ImageLike],
        *,
        threshold: float = THRESHOLD,
        top_k: int | None = None,
    ) -> list[Detections]:
        """Find the objects of each picture, best first.

        Args:
            items: The pictures; those of one size after resizing share a run.
            threshold: Only objects with a higher score, 0 to 1.
            top_k: At most so many of each picture; None for all.

        Raises:
            InputError: A picture that cannot be read, is too small or too elongated for the
                model, or a wrong option.
        """
        check_items(items)
        check_threshold(threshold)
        check_top_k(top_k)
        with stage("preprocess"):
            read = [self.read(item) for item in items]
        answers: dict[int, Detections] = {}
        for group in groups([self.spec.image.fixed_size or pixels.shape for pixels, _ in read]):
            with stage("preprocess"):
                feeds = self.preprocess([read[index][0] for index in group])
            with stage("run"):
                outputs = self.session.run(feeds)
            with stage("postprocess"):
                sizes = [read[index][1] for index in group]
                found = self.postprocess(outputs, sizes, threshold, top_k)
                answers.update(zip(group, found, strict=True))
        return [answers[index] for index in range(len(items))]

    def read(self, item: ImageLike) -> tuple[Pixels, tuple[int, int]]:
        """Read and resize one picture: uint8 [height, width, channel], and its own size."""
        image = read_image(item, self.spec.image.max_pixels)
        size = image.height, image.width
        self.tensor(size)
        return to_pixels(image, self.spec.image), size

    def tensor(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the tensor of an image of this height and width.

        Raises:
            InputError: The graph can make nothing of it.
        """
        tensor = tensor_size(*size, self.spec.image)
        check_size(size, tensor, self.spec)
        return tensor

    def preprocess(self, pixels: Sequence[Pixels]) -> Feeds:
        """Turn pictures of one size into the graph's input [batch, channel, height, width]."""
        return {"pixel_values": to_batch(pixels, self.spec.image)}

    def postprocess(
        self,
        outputs: Outputs,
        sizes: Sequence[tuple[int, int]],
        threshold: float,
        top_k: int | None,
    ) -> list[Detections]:
        """Turn logits [batch, query, class] and boxes [batch, query, 4] into detections.

        Args:
            outputs: Of the graph.
            sizes: Height and width of each picture.
            threshold: As in `predict`.
            top_k: As in `predict`.
        """
        pairs = zip(outputs["logits"], outputs["boxes"], sizes, strict=True)
        return [
            self.found(candidates(logits, boxes, self.spec.scoring, *size), size, threshold, top_k)
            for logits, boxes, size in pairs
        ]

    def found(
        self, seen: Candidates, size: tuple[int, int], threshold: float, top_k: int | None
    ) -> Detections:
        """Keep the candidates above the threshold."""
        count = int((seen.scores > threshold).sum())
        count = count if top_k is None else min(count, top_k)
        kept = [
            Detection(self.spec.labels[index], score, Box(*box), index)
            for score, index, box in zip(
                seen.scores[:count].tolist(),
                seen.classes[:count].tolist(),
                seen.boxes[:count].tolist(),
                strict=True,
            )
        ]
        return Detections(kept, *size)

    def measure(self, item: ImageLike) -> float:
        """Pixels of the model's input; reads the picture's header only."""
        height, width = self.tensor(image_size(item, self.spec.image.max_pixels))
        return float(height * width)

    def example(self) -> Image.Image:
        """A grey picture of the model's size."""
        height, width = self.spec.image.fixed_size or (480, 640)
        return Image.new("RGB", (width, height), (128, 128, 128))


def check_threshold(threshold: float) -> None:
    """Refuse what is not a number from 0 to 1."""
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if not (number and 0 <= threshold <= 1):  # NaN is neither
        raise InputError(f"threshold is {threshold!r}; it is a number from 0 to 1")


def check_size(image: tuple[int, int], tensor: tuple[int, int], spec: ObjectDetectionSpec) -> None:
    """Refuse an image, (height, width), of whose tensor the graph can make nothing."""
    became = (
        f"an image of {image[1]} x {image[0]} pixels reaches the model with {tensor[1]} x "
        f"{tensor[0]}"
    )
    if min(tensor) < spec.min_size:
        raise InputError(
            f"{became}, which takes at least {spec.min_size} pixels a side; crop it to a less "
            "elongated part"
        )
    if spec.cells is not None and spec.cells.of(*tensor) < spec.cells.needed:
        raise InputError(
            f"{became}: {spec.cells.of(*tensor)} places, of which it takes the best "
            f"{spec.cells.needed}; crop it to a less elongated part"
        )
