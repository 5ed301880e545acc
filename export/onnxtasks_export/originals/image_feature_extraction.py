"""The original image embedder: transformers' pipeline, one image at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import ImageFeatureExtractionPipeline

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.image_reading import ImageLike, read_image
from onnxtasks.ops.scores import Float
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.image_feature_extraction import ImageEmbedder, ImageFeatureExtractionSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.originals.feature_extraction import nearest, turned
from onnxtasks_export.originals.image_classification import SIZES, textured
from onnxtasks_export.specs import image_feature_extraction

ANCHORS = 5
"""Pictures of the index in which the nearest is looked for."""
CLASS_TOKENS = ("cls_token", "class_embedding")
"""Names of the weights that are the class token's."""


def spec_of(checkpoint: Checkpoint) -> ImageFeatureExtractionSpec:
    """Read the checkpoint's settings, and find out by a run what the model gives.

    Raises:
        UnsupportedModelError: The model gives no hidden states, or its processor is not supported.
    """
    model, processor = checkpoint.model, checkpoint.processors["image_processor"].to_dict()
    names = [name.rsplit(".", 1)[-1] for name, _ in model.named_parameters()]
    has_class_token = any(name in CLASS_TOKENS for name in names)
    settings = image_feature_extraction.spec(
        processor, checkpoint.config.to_dict(), has_pooler=True, has_class_token=has_class_token
    )
    height, width = settings.image.fixed_size or (64, 96)
    with torch.inference_mode():
        outputs = model(torch.zeros(1, settings.image.channel_count, height, width))
    if getattr(outputs, "last_hidden_state", None) is None:
        raise UnsupportedModelError(
            f"{checkpoint.source}: {type(model).__name__} gives no last_hidden_state"
        )
    return image_feature_extraction.spec(
        processor,
        checkpoint.config.to_dict(),
        has_pooler=getattr(outputs, "pooler_output", None) is not None and not checkpoint.missing,
        has_class_token=has_class_token,
    )


def vectors_of(outputs: Any, pooling: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The two outputs of a graph, from those of the model.

    Returns:
        The pooled vectors [batch, dim], and the hidden states [batch, token, dim]; of a
        convolutional model a token for each place.
    """
    hidden = outputs.last_hidden_state
    if hidden.ndim == 4:  # [batch, channel, height, width]
        hidden = hidden.flatten(2).transpose(1, 2)
    if pooling == "pooler":
        return outputs.pooler_output.flatten(1), hidden  # some keep axes of 1
    return (hidden[:, 0] if pooling == "cls" else hidden.mean(1)), hidden


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare the vectors, and which picture of a small index is nearest to each.

    The index holds the original's vectors of fixed pictures; the margin is the lead of the nearest
    over the second.
    """
    pipeline = ImageFeatureExtractionPipeline(
        model=checkpoint.model,
        image_processor=checkpoint.processors["image_processor"],
        device="cpu",
    )
    pooling = spec_of(checkpoint).pooling

    def embed(item: ImageLike) -> Float:
        outputs = pipeline.forward(pipeline.preprocess(read_image(item)))
        vector: Float = vectors_of(outputs, pooling)[0][0].numpy()
        return vector

    fixed = np.random.default_rng(3)
    index = np.stack([embed(textured(fixed, 90 + 10 * i, 80)) for i in range(ANCHORS)])

    def samples(rng: np.random.Generator) -> Sequence[Any]:
        return [textured(rng, width, height).convert(mode) for width, height, mode in SIZES]

    def bundle(task: Task[Any, Any], items: Sequence[Any]) -> list[Answer]:
        if not isinstance(task, ImageEmbedder):
            raise TypeError(f"not an ImageEmbedder: {type(task).__name__}")
        return [nearest(vector, index) for vector in task.predict(items)]

    return Comparison(
        samples=samples,
        original=lambda item: nearest(embed(item), index),
        bundle=bundle,
        moved=turned,
    )
