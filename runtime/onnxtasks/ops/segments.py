"""Segments of a picture: the answer of image segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.boxes import Box
from onnxtasks.ops.drawing import draw_regions
from onnxtasks.ops.image_reading import ImageLike
from onnxtasks.ops.queries import Found
from onnxtasks.ops.rle import Rle, encode

LabelMap: TypeAlias = npt.NDArray[np.int32]
Mask: TypeAlias = npt.NDArray[np.bool_]

ROWS = 256  # of a map, counted at once


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One region of a picture."""

    label: str
    score: float | None
    """How sure the model is of it, 0 to 1; None in semantic segmentation."""
    index: int
    """Class id."""
    label_map: LabelMap = field(repr=False)
    """The map of the whole picture, [height, width]; shared by its segments."""
    value: int = field(repr=False)
    """The segment's number in the map."""

    @property
    def mask(self) -> Mask:
        """Where it is: bool [height, width], of the input image's size; made when asked."""
        mask: Mask = self.label_map == self.value
        return mask

    @property
    def area(self) -> int:
        """Its pixels; 0 where other segments hide all of it."""
        return int(np.count_nonzero(self.mask))

    @property
    def box(self) -> Box | None:
        """The smallest box around its pixels, in pixels of the input image; None without any."""
        mask = self.mask
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return None
        return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))

    def rle(self) -> Rle:
        """The mask in COCO's compressed run-length encoding: `size` and `counts`."""
        return encode(self.mask)

    def to_dict(self) -> dict[str, Any]:
        """The keys of a transformers pipeline; the mask is a bool array [height, width]."""
        return {"score": self.score, "label": self.label, "mask": self.mask}


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """The regions of one picture."""

    segments: tuple[Segment, ...]
    """In the order of the original: by class id (semantic), by query (panoptic), best pair first
    (instance)."""
    label_map: LabelMap = field(repr=False)
    """int32 [height, width], of the input image's size: class ids (semantic), or position in
    `segments` + 1 and 0 for nothing (panoptic, instance)."""

    def to_dict(self) -> list[dict[str, Any]]:
        """What a transformers pipeline gives for one picture, with arrays for its masks."""
        return [segment.to_dict() for segment in self.segments]

    def numbered(self) -> LabelMap:
        """The map of positions in `segments` + 1, 0 for nothing: int32 [height, width]."""
        if all(segment.value == number for number, segment in enumerate(self.segments, 1)):
            return self.label_map
        table = np.zeros(int(self.label_map.max()) + 1, np.int32)
        for number, segment in enumerate(self.segments, 1):
            table[segment.value] = number
        return table[self.label_map]

    def draw(self, image: ImageLike) -> Image.Image:
        """Colour the regions on their picture and write their labels into them.

        Args:
            image: The picture that was answered.

        Returns:
            A new RGB picture; a multiple of the picture's size where that is small.

        Raises:
            InputError: The picture cannot be read, or is of another size.
        """
        captions = [
            one.label if one.score is None else f"{one.label} {one.score:.2f}"
            for one in self.segments
        ]
        return draw_regions(image, self.numbered(), captions, [one.index for one in self.segments])

    def save_png(self, path: str | Path) -> int:
        """Write the label map as a grey PNG whose values are those of the map.

        Args:
            path: The file; one that is there is overwritten.

        Returns:
            Bits of a pixel: 8, or 16 where the map has values above 255.

        Raises:
            InputError: The map has values above 65535.
        """
        largest = int(self.label_map.max())
        if largest > 0xFFFF:
            raise InputError(
                f"the label map has values up to {largest}; a PNG holds values up to 65535"
            )
        deep = largest > 0xFF
        pixels = self.label_map.astype(np.uint16 if deep else np.uint8)
        Image.fromarray(pixels).save(path, format="PNG")
        return 16 if deep else 8

    def to_panoptic(
        self, image_id: int | str = 0, file_name: str = "panoptic.png"
    ) -> tuple[Image.Image, dict[str, Any]]:
        """The picture and the annotation of COCO's panoptic format.

        A segment's id is its position + 1, and 0 for nothing; `category_id` is the class id.
        Segments that others hide completely are left out.

        Args:
            image_id: Of the annotation.
            file_name: Of the annotation: what you save the picture as, a PNG.

        Returns:
            The RGB picture of ids (red + 256 * green + 65536 * blue), and the annotation, ready
            for JSON.
        """
        numbers = self.numbered()
        colours = np.stack([numbers & 0xFF, (numbers >> 8) & 0xFF, numbers >> 16], axis=-1)
        infos = [
            {
                "id": number,
                "category_id": segment.index,
                "area": segment.area,
                "bbox": [int(box.xmin), int(box.ymin), *_extent(box)],
                "iscrowd": 0,
            }
            for number, segment in enumerate(self.segments, 1)
            if (box := segment.box) is not None
        ]
        annotation = {"image_id": image_id, "file_name": file_name, "segments_info": infos}
        return Image.fromarray(colours.astype(np.uint8)), annotation


def _extent(box: Box) -> tuple[int, int]:
    """Width and height."""
    return int(box.xmax - box.xmin), int(box.ymax - box.ymin)


def of_classes(label_map: LabelMap, labels: Sequence[str]) -> Segmentation:
    """The segmentation of a map of class ids: one segment for each class that is there."""
    present = np.flatnonzero(np.bincount(label_map.reshape(-1)))
    segments = (Segment(labels[index], None, index, label_map, index) for index in present.tolist())
    return Segmentation(tuple(segments), label_map)


def of_regions(found: Sequence[Found], label_map: LabelMap, labels: Sequence[str]) -> Segmentation:
    """The segmentation of a map of positions + 1 in a list of regions."""
    segments = (
        Segment(labels[one.class_id], one.score, one.class_id, label_map, number)
        for number, one in enumerate(found, 1)
    )
    return Segmentation(tuple(segments), label_map)
