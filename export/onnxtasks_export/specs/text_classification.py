"""Tokenizer and config -> TextClassificationSpec."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnxtasks.tasks.text_classification import TextClassificationSpec
from onnxtasks_export.specs.labels import ordered_labels, score_function
from onnxtasks_export.specs.text import text_spec


def spec(
    tokenizer: Mapping[str, Any], config: Mapping[str, Any], inputs: Sequence[str]
) -> TextClassificationSpec:
    """Translate the tokenizer's and the model's settings; arguments as `text_spec`."""
    labels = ordered_labels(config)
    return TextClassificationSpec(
        text=text_spec(tokenizer, config, inputs),
        labels=labels,
        function=score_function(config.get("problem_type"), len(labels)),
    )
