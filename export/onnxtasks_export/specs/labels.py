"""Class names and score function from a model's config."""

from collections.abc import Mapping
from typing import Any

from onnxtasks.errors import ExportError
from onnxtasks.ops.labels import Function


def ordered_labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The class names in the order of their ids; `id2label` has int keys, or str from JSON.

    Raises:
        ExportError: The ids are not 0, 1, 2, ...
    """
    names = {int(key): str(name) for key, name in config["id2label"].items()}
    if sorted(names) != list(range(len(names))):
        raise ExportError(f"id2label of the checkpoint has gaps: {sorted(names)}")
    return tuple(names[index] for index in range(len(names)))


def score_function(problem_type: str | None, labels: int) -> Function:
    """What transformers 5.23's text and image classification pipelines apply by default."""
    if problem_type == "regression":
        return "none"
    if problem_type == "multi_label_classification" or labels == 1:
        return "sigmoid"
    return "softmax"
