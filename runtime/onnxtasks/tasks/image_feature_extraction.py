"""Image feature extraction: a picture -> a vector, or one for each of its parts."""

from collections.abc import Mapping, Sequence
from typing import Literal, Self, TypeAlias, get_args

import msgspec
from PIL import Image

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.ops.image import ImageSpec, tensor_size, to_batch, to_pixels
from onnxtasks.ops.image_reading import ImageLike, Pixels, image_size, read_image
from onnxtasks.ops.pooling import Vectors, normalise, pool, similarity
from onnxtasks.ops.scores import Float
from onnxtasks.session import Feeds, Session
from onnxtasks.tasks.base import Task, check_items, groups
from onnxtasks.timing import stage

ImagePooling: TypeAlias = Literal["none", "mean", "cls", "max"]


class ImageFeatureExtractionSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """Settings of an image-feature-extraction bundle."""

    image: ImageSpec
    pooling: Literal["pooler", "cls", "mean"]
    """What the graph's vectors are: those of the model's own pooler, where the checkpoint has its
    weights; else of the class token, or the mean of all parts."""
    has_class_token: bool
    """Whether the first of the hidden states is a class token, and not a part of the picture."""


class ImageEmbedder(Task[ImageLike, Float]):
    """Turns pictures into vectors that are close where the pictures are alike.

    One input is a path, the bytes of an encoded image, a Pillow image, or a uint8 array
    [height, width] or [height, width, 1, 3 or 4 channels].
    """

    name = "image-feature-extraction"
    unit = "pixels"
    budget = 16 * 224 * 224.0

    def __init__(self, session: Session, spec: ImageFeatureExtractionSpec) -> None:
        """Answer with this graph.

        pixel_values [batch, channel, height, width] -> embeddings [batch, dim] and
        last_hidden_state [batch, token, dim].
        """
        self.session = session
        self.spec = spec

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its graph "model"."""
        return cls(sessions["model"], bundle.spec(ImageFeatureExtractionSpec))

    def predict(
        self,
        items: Sequence[ImageLike],
        *,
        pooling: ImagePooling | None = None,
        normalize: bool | None = None,
    ) -> list[Float]:
        """Embed pictures.

        Args:
            items: The pictures; those of one size after resizing share a run.
            pooling: None for the checkpoint's own pooler (`pooler_output` of transformers).
                "mean", "max" and "cls" (the class token) make one vector of the last hidden
                states; "none" gives them: of a convolutional model a row for each place, from left
                to right and top to bottom.
            normalize: Length 1; None does not.

        Returns:
            float32 [dim] of each picture, or [token, dim] with pooling "none".

        Raises:
            InputError: A picture that cannot be read, or a wrong option.
        """
        check_items(items)
        self._check(pooling, normalize)
        with stage("preprocess"):
            pixels = [self.read(item) for item in items]
        output = "embeddings" if pooling is None else "last_hidden_state"
        found: dict[int, Float] = {}
        for group in groups([self.spec.image.fixed_size or image.shape for image in pixels]):
            with stage("preprocess"):
                feeds = self.preprocess([pixels[index] for index in group])
            with stage("run"):
                values = self.session.run(feeds, [output])[output]
            with stage("postprocess"):
                for index, value in zip(group, values, strict=True):
                    found[index] = self.postprocess(value, pooling, normalize)
        return [found[index] for index in range(len(items))]

    def read(self, item: ImageLike) -> Pixels:
        """Read, resize and crop one picture: uint8 [height, width, channel]."""
        return to_pixels(read_image(item, self.spec.image.max_pixels), self.spec.image)

    def preprocess(self, pixels: Sequence[Pixels]) -> Feeds:
        """Turn pictures of one size into the graph's input [batch, channel, height, width]."""
        return {"pixel_values": to_batch(pixels, self.spec.image)}

    def postprocess(
        self, value: Float, pooling: ImagePooling | None, normalize: bool | None
    ) -> Float:
        """Pool and normalise what the graph gave for one picture."""
        made = value if pooling is None else pool(value, pooling)
        # A view would hold the vectors of the whole batch in memory.
        return normalise(made) if normalize else made.copy()

    def similarity(self, a: Vectors, b: Vectors) -> Float:
        """How alike vectors are: the cosine of their angle; see `onnxtasks.similarity`.

        Args:
            a: Vectors [n, dim], a list of them, or a single one [dim].
            b: Vectors [m, dim], likewise.

        Returns:
            [n, m], more is closer.
        """
        return similarity(a, b)

    def measure(self, item: ImageLike) -> float:
        """Pixels of the model's input; reads the picture's header only."""
        size = image_size(item, self.spec.image.max_pixels)
        height, width = tensor_size(*size, self.spec.image)
        return float(height * width)

    def example(self) -> Image.Image:
        """A grey picture of the model's size."""
        height, width = self.spec.image.fixed_size or (224, 224)
        return Image.new("RGB", (width, height), (128, 128, 128))

    def _check(self, pooling: ImagePooling | None, normalize: bool | None) -> None:
        if pooling is not None and pooling not in get_args(ImagePooling):
            known = ", ".join(get_args(ImagePooling))
            raise InputError(
                f"pooling is {pooling!r}; of pictures it is one of {known}, or None for the "
                "checkpoint's own"
            )
        if pooling == "cls" and not self.spec.has_class_token:
            raise InputError(
                "pooling is 'cls', and this model has no class token; take 'mean' or None"
            )
        if normalize is not None and not isinstance(normalize, bool):
            raise InputError(f"normalize is {normalize!r}; it is True, False or None")
