"""Texts for comparisons, of the words that a checkpoint's own tokenizer knows."""

from typing import Any

import numpy as np

from onnxtasks_export.checkpoint import Checkpoint, text_settings
from onnxtasks_export.specs.text import text_spec

LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)  # words


def texts(tokenizer: Any, rng: np.random.Generator) -> list[str]:
    """Texts of many lengths, and one with capitals, accents, Chinese and an emoji."""
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha())
    plain = [" ".join(rng.choice(words, count)) for count in LENGTHS]
    awkward = f"{plain[3].capitalize()}, {plain[2].upper()}! Caf\u00e9 \u4f60\u597d \U0001f600?"
    return [*plain, awkward]


def longest(checkpoint: Checkpoint) -> int:
    """Most tokens that the model takes; asked for no more, the original cuts as the bundle does."""
    return text_spec(*text_settings(checkpoint)).max_length
