"""Tokenizer, config and generation config -> TextGenerationSpec."""

from collections.abc import Mapping
from typing import Any

from onnxtasks.generation.spec import TextGenerationSpec
from onnxtasks_export.specs.decoder import decoder_spec
from onnxtasks_export.specs.generation_defaults import generation_defaults


def spec(
    tokenizer: Mapping[str, Any], config: Mapping[str, Any], generation: Mapping[str, Any]
) -> TextGenerationSpec:
    """Translate the settings of a model that goes on with its prompt.

    Args:
        tokenizer: What `generation_tokenizers.tokenizer_settings` gives.
        config: `model.config.to_dict()`.
        generation: `model.generation_config.to_dict()`.

    Raises:
        UnsupportedModelError: A size that the config does not say, or a way of generating that the
            runtime does not have.
    """
    return TextGenerationSpec(
        decoder=decoder_spec(config),
        defaults=generation_defaults(generation),
        clean_up=tokenizer["clean_up"],
        chat_template=tokenizer["chat_template"],
        special_tokens=tokenizer["special_tokens"],
    )
