"""The original next-sentence predictor: tokenizer and model, for transformers has no pipeline."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison, ask_classifier, label_answer
from onnxtasks_export.originals.words import longest, texts


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with the model's own softmax over its two classes, one pair at a time."""
    tokenizer = checkpoint.processors["tokenizer"]
    cut = {"truncation": True, "max_length": longest(checkpoint)}

    def samples(rng: np.random.Generator) -> Sequence[Any]:
        firsts, seconds = texts(tokenizer, rng), texts(tokenizer, rng)
        order = rng.permutation(len(seconds))
        return [(first, seconds[index]) for first, index in zip(firsts, order, strict=True)]

    def original(item: tuple[str, str]) -> Answer:
        inputs = tokenizer(*item, return_tensors="pt", **cut)
        with torch.inference_mode():
            scores = checkpoint.model(**inputs).logits[0].softmax(-1)
        return label_answer(scores.tolist())

    return Comparison(samples=samples, original=original, bundle=ask_classifier)
