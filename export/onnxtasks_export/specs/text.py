"""A tokenizer's settings -> TextSpec."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnxtasks.ops.text import TextSpec


def text_spec(
    tokenizer: Mapping[str, Any], config: Mapping[str, Any], inputs: Sequence[str]
) -> TextSpec:
    """Translate the tokenizer's and the model's settings.

    Args:
        tokenizer: "model_max_length", "pad_token_id", "truncation_side" of the loaded tokenizer.
        config: The model's config.
        inputs: What the model's forward takes, of the tokenizer's outputs, in its order.
    """
    pad = tokenizer["pad_token_id"]
    positions = config.get("max_position_embeddings") or tokenizer["model_max_length"]
    if config.get("model_type") in COUNTS_FROM_PADDING:
        positions -= 1 + config["pad_token_id"]
    return TextSpec(
        inputs=tuple(name for name in ORDER if name in {"attention_mask", *inputs}),
        # A tokenizer without a limit says 1e30.
        max_length=int(min(tokenizer["model_max_length"], positions)),
        pad_id=0 if pad is None else pad,
        # Whatever side the tokenizer pads for training: with absolute positions, only padding on
        # the right leaves a text's answer as it is alone.
        padding_side="right",
        truncation_side=tokenizer["truncation_side"],
    )


def cleans_up(tokenizer: Any) -> bool:
    """Whether the original removes spaces before punctuation; of fast BPE tokenizers, it does not.

    Args:
        tokenizer: A loaded tokenizer of transformers, whose `TokenizersBackend._decode` (5.23) this
            follows.
    """
    if not getattr(tokenizer, "clean_up_tokenization_spaces", False):
        return False
    if not getattr(tokenizer, "is_fast", True):
        return True
    pairs = type(tokenizer.backend_tokenizer.model).__name__ == "BPE"
    return not pairs or bool(getattr(tokenizer, FORCED, False))


FORCED = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
"""A tokenizer's flag: clean up although its model is BPE."""
ORDER: tuple[Any, ...] = ("input_ids", "attention_mask", "token_type_ids")
COUNTS_FROM_PADDING = (
    *("camembert", "data2vec-text", "mpnet", "roberta", "roberta-prelayernorm"),
    *("xlm-roberta", "xlm-roberta-xl", "xmod"),
)
"""Families whose first position is that behind the padding id; so many positions hold no token."""
