"""Tokenizer and config of a masked language model -> FillMaskSpec."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.tasks.fill_mask import FillMaskSpec
from onnxtasks_export.specs.text import cleans_up, text_spec


def spec(
    tokenizer: Mapping[str, Any], config: Mapping[str, Any], inputs: Sequence[str]
) -> FillMaskSpec:
    """Translate the tokenizer's and the model's settings.

    Args:
        tokenizer: As for `text_spec`, with what `mask_settings` reads.
        config: The model's config.
        inputs: As for `text_spec`.

    Raises:
        UnsupportedModelError: The tokenizer has no mask token.
    """
    if tokenizer.get("mask_token_id") is None:
        raise UnsupportedModelError(
            "the tokenizer has no mask token (mask_token), so no text can hold one"
        )
    return FillMaskSpec(
        text=text_spec(tokenizer, config, inputs),
        mask_token=tokenizer["mask_token"],
        mask_id=tokenizer["mask_token_id"],
        vocabulary=config["vocab_size"],
        clean_up=tokenizer["clean_up"],
    )


def mask_settings(tokenizer: Any) -> dict[str, Any]:
    """What a loaded tokenizer says of masks and of decoding.

    Args:
        tokenizer: A fast tokenizer of transformers.
    """
    return {
        "mask_token": tokenizer.mask_token,
        "mask_token_id": tokenizer.mask_token_id,
        "clean_up": cleans_up(tokenizer),
    }
