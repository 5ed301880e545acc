"""The original text classifier: transformers' pipeline, one text at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import TextClassificationPipeline

from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison, ask_classifier, label_answer
from onnxtasks_export.originals.words import longest, texts


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with the checkpoint's pipeline, on texts of its own vocabulary."""
    tokenizer = checkpoint.processors["tokenizer"]
    pipeline = TextClassificationPipeline(model=checkpoint.model, tokenizer=tokenizer, device="cpu")
    config = checkpoint.config
    cut = {"truncation": True, "max_length": longest(checkpoint)}

    def samples(rng: np.random.Generator) -> Sequence[Any]:
        made = texts(tokenizer, rng)
        return [*made, (made[4], made[5]), (made[6], made[1])]

    def original(item: Any) -> Answer:
        if isinstance(item, tuple):
            item = {"text": item[0], "text_pair": item[1]}
        # With these options the pipeline cuts as the bundle does; by itself it fails on long texts.
        labels = pipeline(item, top_k=None, **cut)
        scores = {label["label"]: label["score"] for label in labels}
        return label_answer([scores[config.id2label[i]] for i in range(config.num_labels)])

    return Comparison(samples=samples, original=original, bundle=ask_classifier)
