"""Image processor, config and what the model has -> ImageFeatureExtractionSpec."""

from collections.abc import Mapping
from typing import Any

from onnxtasks.tasks.image_feature_extraction import ImageFeatureExtractionSpec
from onnxtasks_export.specs.image import image_spec


def spec(
    processor: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    has_pooler: bool,
    has_class_token: bool,
) -> ImageFeatureExtractionSpec:
    """Translate the settings; the first two arguments as `image_spec`.

    Args:
        processor: Of the image processor.
        config: Of the model.
        has_pooler: Whether the model gives a `pooler_output` of weights that were saved.
        has_class_token: Whether its first hidden state is a class token.
    """
    return ImageFeatureExtractionSpec(
        image=image_spec(processor, config),
        pooling="pooler" if has_pooler else "cls" if has_class_token else "mean",
        has_class_token=has_class_token,
    )
