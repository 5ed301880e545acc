"""Image processor and config -> ImageClassificationSpec."""

from collections.abc import Mapping
from typing import Any

from onnxtasks.tasks.image_classification import ImageClassificationSpec
from onnxtasks_export.specs.image import image_spec
from onnxtasks_export.specs.labels import ordered_labels, score_function


def spec(processor: Mapping[str, Any], config: Mapping[str, Any]) -> ImageClassificationSpec:
    """Translate the image processor's and the model's settings; arguments as `image_spec`."""
    labels = ordered_labels(config)
    return ImageClassificationSpec(
        image=image_spec(processor, config),
        labels=labels,
        function=score_function(config.get("problem_type"), len(labels)),
    )
