"""Tokenizer and config -> TokenClassificationSpec."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnxtasks.tasks.token_classification import TokenClassificationSpec
from onnxtasks_export.specs.labels import ordered_labels
from onnxtasks_export.specs.text import text_spec


def spec(
    tokenizer: Mapping[str, Any], config: Mapping[str, Any], inputs: Sequence[str]
) -> TokenClassificationSpec:
    """Translate the tokenizer's and the model's settings; arguments as `text_spec`.

    Of the tokenizer also "unk_token_id".
    """
    return TokenClassificationSpec(
        text=text_spec(tokenizer, config, inputs),
        labels=ordered_labels(config),
        unk_id=tokenizer["unk_token_id"],
    )
