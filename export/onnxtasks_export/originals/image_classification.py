"""The original image classifier: transformers' pipeline, one image at a time."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from transformers import ImageClassificationPipeline

from onnxtasks.ops.image_reading import ImageLike, read_image
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison, ask_classifier, label_answer

SIZES = (  # width, height, mode
    (640, 427, "RGB"),
    (333, 501, "RGB"),
    (97, 61, "RGB"),
    (31, 45, "RGB"),
    (224, 224, "RGB"),
    (1021, 767, "RGB"),
    (257, 129, "L"),
    (190, 311, "RGBA"),
    (600, 150, "P"),
    (83, 240, "CMYK"),
)


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with the checkpoint's pipeline and its Pillow image processor."""
    config = checkpoint.config
    pipeline = ImageClassificationPipeline(
        model=checkpoint.model,
        image_processor=checkpoint.processors["image_processor"],
        device="cpu",
    )
    grey = getattr(config, "num_channels", 3) == 1

    def samples(rng: np.random.Generator) -> Sequence[Image.Image]:
        return [textured(rng, width, height).convert(mode) for width, height, mode in SIZES]

    def original(item: ImageLike) -> Answer:
        picture = read_image(item)  # also what transformers does not read: bytes, 16-bit files
        # The pipeline turns all pictures into RGB; a model of one channel needs an array.
        image = np.asarray(picture.convert("L"))[None] if grey else picture
        inputs = pipeline.preprocess(image)
        outputs = pipeline.forward(inputs)
        ranked = pipeline.postprocess(outputs, top_k=config.num_labels)
        # Its answer has no class ids, and names may repeat; its ranking is that of the logits.
        order = np.argsort(-outputs["logits"][0].numpy(), kind="stable")
        scores = np.empty(config.num_labels, np.float32)
        scores[order] = [label["score"] for label in ranked]
        return label_answer(scores.tolist())

    return Comparison(samples=samples, original=original, bundle=ask_classifier)


def textured(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A picture with coarse shapes and fine noise, so that every resampling mistake shows."""
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    shapes = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noise = rng.integers(-40, 41, (height, width, 3), dtype=np.int16)
    return Image.fromarray(np.clip(shapes + noise, 0, 255).astype(np.uint8))
