"""Tokenizer and config -> NextSentencePredictionSpec."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnxtasks.tasks.next_sentence_prediction import NextSentencePredictionSpec
from onnxtasks_export.specs.text import text_spec


def spec(
    tokenizer: Mapping[str, Any], config: Mapping[str, Any], inputs: Sequence[str]
) -> NextSentencePredictionSpec:
    """Translate the tokenizer's and the model's settings; arguments as `text_spec`."""
    return NextSentencePredictionSpec(text=text_spec(tokenizer, config, inputs))
