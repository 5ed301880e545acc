"""The original text classifier: transformers' pipeline, one text at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import TextClassificationPipeline

from onnxtasks_export.checkpoint import Checkpoint, text_settings
from onnxtasks_export.originals.base import Answer, Comparison, ask_classifier, label_answer
from onnxtasks_export.specs.text import text_spec

LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)  # words


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with the checkpoint's pipeline, on texts of its own vocabulary."""
    tokenizer = checkpoint.processors["tokenizer"]
    pipeline = TextClassificationPipeline(model=checkpoint.model, tokenizer=tokenizer, device="cpu")
    config = checkpoint.config
    longest = text_spec(*text_settings(checkpoint)).max_length
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha())

    def samples(rng: np.random.Generator) -> Sequence[Any]:
        texts = [" ".join(rng.choice(words, count)) for count in LENGTHS]
        punctuated = (
            f"{texts[3].capitalize()}, {texts[2].upper()}! Caf\u00e9 \u4f60\u597d \U0001f600?"
        )
        return [*texts, punctuated, (texts[4], texts[5]), (texts[6], texts[1])]

    def original(item: Any) -> Answer:
        if isinstance(item, tuple):
            item = {"text": item[0], "text_pair": item[1]}
        # With these options the pipeline cuts as the bundle does; by itself it fails on long texts.
        labels = pipeline(item, top_k=None, truncation=True, max_length=longest)
        scores = {label["label"]: label["score"] for label in labels}
        return label_answer([scores[config.id2label[i]] for i in range(config.num_labels)])

    return Comparison(samples=samples, original=original, bundle=ask_classifier)
