"""Image segmentation: a picture -> its regions with labels."""

from collections.abc import Collection, Mapping, Sequence
from typing import Self

import msgspec
from PIL import Image

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.ops.best_class import best_classes
from onnxtasks.ops.image import ImageSpec, Size, tensor_size, to_batch, to_pixels
from onnxtasks.ops.image_reading import ImageLike, Pixels, image_size, read_image
from onnxtasks.ops.queries import instances, panoptic, semantic
from onnxtasks.ops.scores import Float
from onnxtasks.ops.segment_options import (
    Given,
    Options,
    check_fused,
    check_subtask,
    thresholds,
)
from onnxtasks.ops.segment_options import Subtask as Subtask
from onnxtasks.ops.segments import Segmentation, of_classes, of_regions
from onnxtasks.ops.upsampling import resized
from onnxtasks.session import Feeds, Outputs, Session
from onnxtasks.tasks.base import Task, check_items, groups
from onnxtasks.timing import stage


class SemanticHead(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="semantic"
):
    """The graph gives "logits" [batch, class, h, w]."""

    resized_to_input: bool = False
    """Whether the model itself first resizes logits to its input tensor's size (UPerNet)."""

    @property
    def subtasks(self) -> tuple[Subtask, ...]:
        """What the checkpoint can do."""
        return ("semantic",)

    @property
    def fused(self) -> tuple[int, ...]:
        """None: a class has one segment anyway."""
        return ()


class QueryHead(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="queries"
):
    """The graph gives a class and a mask for each query.

    "class_logits" [batch, query, class + 1], of which the last is "nothing", and "mask_logits"
    [batch, query, h, w].
    """

    subtasks: tuple[Subtask, ...]
    """What the checkpoint can do; the first is the default."""
    mask_size: Size | None = None
    """Masks are resized to this before anything else (Mask2Former: 384 x 384)."""
    ranks_pairs: bool = True
    """Whether instances are the best (query, class) pairs (Mask2Former, MaskFormer), or found as
    in panoptic segmentation, without fusing (DETR)."""
    fused: tuple[int, ...] = ()
    """Class ids whose segments become one, where the call names none."""

    def __post_init__(self) -> None:
        """Refuse a head that can do nothing."""
        if not self.subtasks:
            raise ValueError("subtasks is empty; a segmenter can do at least one")


class ImageSegmentationSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of an image segmenter."""

    image: ImageSpec
    labels: tuple[str, ...]
    """The name of each class id."""
    head: SemanticHead | QueryHead
    min_size: int = 1
    """Smallest side of the tensor that the graph takes, in pixels."""

    def __post_init__(self) -> None:
        """Refuse a model without classes, or one that fuses classes it does not have."""
        if not self.labels:
            raise ValueError("labels is empty; a segmenter has at least one class")
        if not all(0 <= index < len(self.labels) for index in self.head.fused):
            raise ValueError(
                f"fused is {self.head.fused}; class ids are 0 to {len(self.labels) - 1}"
            )


class ImageSegmenter(Task[ImageLike, Segmentation]):
    """Says what each part of a picture shows.

    One input is a path, the bytes of an encoded image, a Pillow image, or a uint8 array
    [height, width] or [height, width, 1, 3 or 4 channels].
    """

    name = "image-segmentation"
    unit = "pixels"
    budget = 2 * 512 * 512.0

    def __init__(self, session: Session, spec: ImageSegmentationSpec) -> None:
        """Answer with this graph: pixel_values -> what the settings' `head` says."""
        self.session = session
        self.spec = spec

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its graph "model"."""
        return cls(sessions["model"], bundle.spec(ImageSegmentationSpec))

    def predict(
        self,
        items: Sequence[ImageLike],
        *,
        subtask: Subtask | None = None,
        threshold: float | None = None,
        mask_threshold: float | None = None,
        overlap_mask_area_threshold: float | None = None,
        label_ids_to_fuse: Collection[int] | None = None,
    ) -> list[Segmentation]:
        """Find the regions of each picture.

        Args:
            items: The pictures; those of one size after resizing share a run.
            subtask: "panoptic", "instance" or "semantic"; None takes the first of these that the
                checkpoint can do.
            threshold: Smallest score of a segment, 0 to 1; None for 0.9. This and the next two
                are for panoptic and instance segmentation.
            mask_threshold: Smallest probability, times the score, of a pixel that counts for the
                area of a mask, 0 to 1; None for 0.5. Mask2Former's and MaskFormer's instances
                do not use it, nor the next.
            overlap_mask_area_threshold: Smallest share of this area that other segments must
                leave, 0 to 1; None for 0.5.
            label_ids_to_fuse: Class ids of which there is at most one segment, for panoptic
                segmentation; None takes the checkpoint's own.

        Raises:
            InputError: A picture that cannot be read or is too small for the model, or a wrong
                option.
        """
        check_items(items)
        given = (threshold, mask_threshold, overlap_mask_area_threshold)
        options = self.options(subtask, given, label_ids_to_fuse)
        with stage("preprocess"):
            read = [self.read(item) for item in items]
        answers: dict[int, Segmentation] = {}
        for group in groups([self.spec.image.fixed_size or pixels.shape for pixels, _ in read]):
            with stage("preprocess"):
                feeds = self.preprocess([read[index][0] for index in group])
            with stage("run"):
                outputs = self.session.run(feeds)
            with stage("postprocess"):
                found = self.postprocess(outputs, [read[index][1] for index in group], options)
                answers.update(zip(group, found, strict=True))
        return [answers[index] for index in range(len(items))]

    def options(
        self, subtask: Subtask | None, given: Given, label_ids_to_fuse: Collection[int] | None
    ) -> Options:
        """Check the options of a call, and fill in what it leaves open."""
        head = self.spec.head
        subtask = check_subtask(subtask, head.subtasks)
        check_fused(label_ids_to_fuse, subtask, len(self.spec.labels))
        fused = head.fused if label_ids_to_fuse is None else label_ids_to_fuse
        if subtask != "panoptic":
            fused = ()
        return Options(subtask, thresholds(given, subtask), frozenset(fused))

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
        if min(tensor) < self.spec.min_size:
            raise InputError(
                f"an image of {size[1]} x {size[0]} pixels reaches the model with {tensor[1]} x "
                f"{tensor[0]}, which takes at least {self.spec.min_size} pixels a side; crop it "
                "to a less elongated part, or enlarge it"
            )
        return tensor

    def preprocess(self, pixels: Sequence[Pixels]) -> Feeds:
        """Turn pictures of one size into the graph's input [batch, channel, height, width]."""
        return {"pixel_values": to_batch(pixels, self.spec.image)}

    def postprocess(
        self, outputs: Outputs, sizes: Sequence[tuple[int, int]], options: Options
    ) -> list[Segmentation]:
        """Turn what the graph gives into regions of pictures of these heights and widths."""
        head = self.spec.head
        if isinstance(head, SemanticHead):
            pairs = zip(outputs["logits"], sizes, strict=True)
            return [self.classes(logits, size, head) for logits, size in pairs]
        triples = zip(outputs["class_logits"], outputs["mask_logits"], sizes, strict=True)
        return [self.regions(*triple, head, options) for triple in triples]

    def classes(self, logits: Float, size: tuple[int, int], head: SemanticHead) -> Segmentation:
        """Turn logits [class, h, w] into regions."""
        steps = [logits.shape[1:], *([self.tensor(size)] if head.resized_to_input else []), size]
        rows, columns = (resized(lengths) for lengths in zip(*steps, strict=True))
        return of_classes(best_classes(logits, rows, columns), self.spec.labels)

    def regions(
        self,
        class_logits: Float,
        mask_logits: Float,
        size: tuple[int, int],
        head: QueryHead,
        options: Options,
    ) -> Segmentation:
        """Turn logits of queries, [query, class + 1] and [query, h, w], into regions."""
        labels = self.spec.labels
        grid = (head.mask_size.height, head.mask_size.width) if head.mask_size else None
        if options.subtask == "semantic":
            return of_classes(semantic(class_logits, mask_logits, size, mask_size=grid), labels)
        if options.subtask == "instance" and head.ranks_pairs:
            threshold = options.thresholds.score
            pairs = instances(class_logits, mask_logits, size, threshold, mask_size=grid)
            return of_regions(*pairs, labels)
        found = panoptic(
            *(class_logits, mask_logits, size, options.thresholds),
            mask_size=grid,
            fused=options.fused,
        )
        return of_regions(*found, labels)

    def measure(self, item: ImageLike) -> float:
        """Pixels of the model's input; reads the picture's header only."""
        height, width = self.tensor(image_size(item, self.spec.image.max_pixels))
        return float(height * width)

    def example(self) -> Image.Image:
        """A grey picture of the model's size."""
        height, width = self.spec.image.fixed_size or (512, 512)
        return Image.new("RGB", (width, height), (128, 128, 128))
