"""Image classification: a picture -> labels with scores."""

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec
from PIL import Image

from onnxtasks.bundle import Bundle
from onnxtasks.ops.image import ImageSpec, tensor_size, to_batch, to_pixels
from onnxtasks.ops.image_reading import ImageLike, Pixels, image_size, read_image
from onnxtasks.ops.labels import (
    Function,
    Label,
    check_function,
    check_top_k,
    classify,
)
from onnxtasks.session import Feeds, Outputs, Session
from onnxtasks.tasks.base import Task, check_items, groups
from onnxtasks.timing import stage

TOP_K = 5  # of transformers' image-classification pipeline


class ImageClassificationSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """Settings of an image classifier."""

    image: ImageSpec
    labels: tuple[str, ...]
    """The name of each class id."""
    function: Function
    """What turns logits into scores: softmax for one label, sigmoid for several or a single one,
    none for regression."""

    def __post_init__(self) -> None:
        """Refuse a model without classes."""
        if not self.labels:
            raise ValueError("labels is empty; a classifier has at least one class")


class ImageClassifier(Task[ImageLike, list[Label]]):
    """Says what a picture shows.

    One input is a path, the bytes of an encoded image, a Pillow image, or a uint8 array
    [height, width] or [height, width, 1, 3 or 4 channels].
    """

    name = "image-classification"
    unit = "pixels"
    budget = 16 * 224 * 224.0

    def __init__(self, session: Session, spec: ImageClassificationSpec) -> None:
        """Answer with this graph: pixel_values [batch, channel, height, width] -> logits."""
        self.session = session
        self.spec = spec

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its graph "model"."""
        return cls(sessions["model"], bundle.spec(ImageClassificationSpec))

    def predict(
        self,
        items: Sequence[ImageLike],
        *,
        top_k: int | None = TOP_K,
        function_to_apply: Function | None = None,
    ) -> list[list[Label]]:
        """Label each picture, best label first.

        Args:
            items: The pictures; those of one size after resizing share a run.
            top_k: How many labels of each; None, or more than there are, for all.
            function_to_apply: "softmax", "sigmoid" or "none" (bare logits); None takes the
                model's own.

        Raises:
            InputError: A picture that cannot be read, or a wrong option.
        """
        check_items(items)
        check_top_k(top_k)
        check_function(function_to_apply)
        with stage("preprocess"):
            pixels = [self.read(item) for item in items]
        answers: dict[int, list[Label]] = {}
        for group in groups([self.spec.image.fixed_size or image.shape for image in pixels]):
            with stage("preprocess"):
                feeds = self.preprocess([pixels[index] for index in group])
            with stage("run"):
                outputs = self.session.run(feeds)
            with stage("postprocess"):
                found = self.postprocess(outputs, top_k, function_to_apply or self.spec.function)
                answers.update(zip(group, found, strict=True))
        return [answers[index] for index in range(len(items))]

    def read(self, item: ImageLike) -> Pixels:
        """Read, resize and crop one picture: uint8 [height, width, channel]."""
        return to_pixels(read_image(item, self.spec.image.max_pixels), self.spec.image)

    def preprocess(self, pixels: Sequence[Pixels]) -> Feeds:
        """Turn pictures of one size into the graph's input [batch, channel, height, width]."""
        return {"pixel_values": to_batch(pixels, self.spec.image)}

    def postprocess(
        self, outputs: Outputs, top_k: int | None, function: Function
    ) -> list[list[Label]]:
        """Turn logits [batch, class] into labels, best first."""
        return classify(outputs["logits"], self.spec.labels, function, top_k)

    def measure(self, item: ImageLike) -> float:
        """Pixels of the model's input; reads the picture's header only."""
        size = image_size(item, self.spec.image.max_pixels)
        height, width = tensor_size(*size, self.spec.image)
        return float(height * width)

    def example(self) -> Image.Image:
        """A grey picture of the model's size."""
        height, width = self.spec.image.fixed_size or (224, 224)
        return Image.new("RGB", (width, height), (128, 128, 128))
