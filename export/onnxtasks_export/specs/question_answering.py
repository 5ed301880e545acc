"""Tokenizer and config -> QuestionAnsweringSpec."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnxtasks.tasks.question_answering import QuestionAnsweringSpec
from onnxtasks_export.specs.text import text_spec


def spec(
    tokenizer: Mapping[str, Any], config: Mapping[str, Any], inputs: Sequence[str]
) -> QuestionAnsweringSpec:
    """Translate the tokenizer's and the model's settings; arguments as `text_spec`."""
    return QuestionAnsweringSpec(
        text=text_spec(tokenizer, config, inputs),
        cls_id=tokenizer["cls_token_id"],
        # The reference takes the padding side for the order in which the model was trained.
        context_first=tokenizer["padding_side"] == "left",
    )
