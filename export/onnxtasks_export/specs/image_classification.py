"""Image processor and config -> ImageClassificationSpec."""

from collections.abc import Mapping
from typing import Any

from onnxtasks.ops.labels import Function
from onnxtasks.tasks.image_classification import ImageClassificationSpec
from onnxtasks_export.specs.image import image_spec
from onnxtasks_export.specs.labels import ordered_labels


def spec(processor: Mapping[str, Any], config: Mapping[str, Any]) -> ImageClassificationSpec:
    """Translate the image processor's and the model's settings; arguments as `image_spec`."""
    labels = ordered_labels(config)
    return ImageClassificationSpec(
        image=image_spec(processor, config),
        labels=labels,
        function=score_function(config.get("problem_type"), len(labels)),
    )


def score_function(problem_type: str | None, labels: int) -> Function:
    """The function that transformers 5.23's ImageClassificationPipeline applies by default."""
    if problem_type == "regression":
        return "none"
    if problem_type == "multi_label_classification" or labels == 1:
        return "sigmoid"
    return "softmax"
