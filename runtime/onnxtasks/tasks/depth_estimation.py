"""Depth estimation: a picture -> how far away each of its pixels is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec
from PIL import Image

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.ops.depth import grey_picture, resize_bicubic
from onnxtasks.ops.drawing import draw_depth
from onnxtasks.ops.image import ImageSpec, tensor_size, to_batch, to_pixels
from onnxtasks.ops.image_reading import ImageLike, Pixels, image_size, read_image
from onnxtasks.ops.scores import Float
from onnxtasks.session import Feeds, Outputs, Session
from onnxtasks.tasks.base import Task, check_items, groups
from onnxtasks.timing import stage


class DepthEstimationSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a depth estimator."""

    image: ImageSpec
    metric: bool
    """Whether the checkpoint says that depths are metres."""
    min_size: int = 1
    """Smallest height and width of a tensor that the graph takes."""

    def __post_init__(self) -> None:
        """Refuse an impossible size."""
        if self.min_size < 1:
            raise ValueError(f"min_size is {self.min_size}; it is at least 1")


@dataclass(frozen=True, slots=True, eq=False)
class Depth:
    """How far away each pixel of a picture is."""

    depth: Float
    """float32 [height, width], of the picture's size: metres where `metric` is true. Else as the
    checkpoint was trained, mostly relative inverse depth: without a unit, larger is nearer."""
    picture: Image.Image
    """The depth as 8-bit grey, mode "L": the smallest black, the largest white."""
    metric: bool = False
    """Whether `depth` is known to be metres."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of a transformers pipeline: predicted_depth (an array), depth (a picture)."""
        return {"predicted_depth": self.depth, "depth": self.picture}

    def draw(self, image: ImageLike) -> Image.Image:
        """Colour the picture by its depth; returns a new one.

        Args:
            image: The picture that was answered.

        Raises:
            InputError: The picture cannot be read, or is of another size.
        """
        return draw_depth(image, self.depth, " m" if self.metric else "")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture on its way to the model."""

    pixels: Pixels
    """Resized: uint8 [height, width, channel]."""
    height: int
    """Of the picture before."""
    width: int


class DepthEstimator(Task[ImageLike, Depth]):
    """Says how far away each pixel of a picture is.

    One input is a path, the bytes of an encoded image, a Pillow image, or a uint8 array
    [height, width] or [height, width, 1, 3 or 4 channels].
    """

    name = "depth-estimation"
    unit = "pixels"
    budget = 4 * 480 * 640.0

    def __init__(self, session: Session, spec: DepthEstimationSpec) -> None:
        """Answer with this graph: pixel_values [batch, channel, height, width] -> depth maps."""
        self.session = session
        self.spec = spec

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its graph "model"."""
        return cls(sessions["model"], bundle.spec(DepthEstimationSpec))

    def predict(self, items: Sequence[ImageLike]) -> list[Depth]:
        """Estimate the depth of each picture.

        Args:
            items: The pictures; those of one size after resizing share a run.

        Raises:
            InputError: A picture that cannot be read, or is too small for the model.
        """
        check_items(items)
        with stage("preprocess"):
            prepared = [self.read(item) for item in items]
        answers: dict[int, Depth] = {}
        fixed = self.spec.image.fixed_size
        for group in groups([fixed or picture.pixels.shape for picture in prepared]):
            pictures = [prepared[index] for index in group]
            with stage("preprocess"):
                feeds = self.preprocess(pictures)
            with stage("run"):
                outputs = self.session.run(feeds)
            with stage("postprocess"):
                answers.update(zip(group, self.postprocess(outputs, pictures), strict=True))
        return [answers[index] for index in range(len(items))]

    def read(self, item: ImageLike) -> Prepared:
        """Read and resize one picture."""
        image = read_image(item, self.spec.image.max_pixels)
        self._tensor_size(image.height, image.width)
        return Prepared(to_pixels(image, self.spec.image), image.height, image.width)

    def preprocess(self, pictures: Sequence[Prepared]) -> Feeds:
        """Turn pictures of one size into the graph's input [batch, channel, height, width]."""
        pixels = [picture.pixels for picture in pictures]
        return {"pixel_values": to_batch(pixels, self.spec.image)}

    def postprocess(self, outputs: Outputs, pictures: Sequence[Prepared]) -> list[Depth]:
        """Turn depth maps [batch, height, width] into maps of the pictures' sizes."""
        maps = zip(outputs["predicted_depth"], pictures, strict=True)
        return [self._depth(values, picture.height, picture.width) for values, picture in maps]

    def measure(self, item: ImageLike) -> float:
        """Pixels of the model's input; reads the picture's header only."""
        height, width = self._tensor_size(*image_size(item, self.spec.image.max_pixels))
        return float(height * width)

    def example(self) -> Image.Image:
        """A grey picture of the model's size, or of one that it takes."""
        side = max(self.spec.min_size, 224)
        height, width = self.spec.image.fixed_size or (side, side)
        return Image.new("RGB", (width, height), (128, 128, 128))

    def _depth(self, values: Float, height: int, width: int) -> Depth:
        depth = resize_bicubic(values, height, width)
        return Depth(depth, grey_picture(depth), self.spec.metric)

    def _tensor_size(self, height: int, width: int) -> tuple[int, int]:
        size = tensor_size(height, width, self.spec.image)
        if min(size) < self.spec.min_size:
            raise InputError(
                f"the image is {width} x {height} pixels, and {size[1]} x {size[0]} when it "
                f"reaches the model, which takes at least {self.spec.min_size} in height and "
                "width; make it larger, or crop it first"
            )
        return size
