"""The original zero-shot classifier: transformers' pipeline, one text at a time."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import ZeroShotClassificationPipeline

from onnxtasks.tasks.base import Task
from onnxtasks.tasks.zero_shot_classification import ZeroShotClassifier
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.originals.words import longest, texts

LABELS = ("politics", "sports", "travel", "food and drink")


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with transformers' ZeroShotClassificationPipeline, with labels of our own.

    The scores are [1, label] in the order of the labels, the key is their ranking.
    """
    tokenizer = checkpoint.processors["tokenizer"]
    pipeline = ZeroShotClassificationPipeline(
        model=checkpoint.model, tokenizer=tokenizer, device="cpu"
    )

    def original(item: str) -> Answer:
        # The pipeline cuts to the tokenizer's length, which may be more than the model takes.
        whole = tokenizer.model_max_length
        tokenizer.model_max_length = longest(checkpoint)
        try:
            found = pipeline(item, candidate_labels=list(LABELS))
        finally:
            tokenizer.model_max_length = whole
        return _answer(dict(zip(found["labels"], found["scores"], strict=True)))

    return Comparison(
        samples=lambda rng: texts(tokenizer, rng), original=original, bundle=_ask_bundle
    )


def _ask_bundle(task: Task[Any, Any], items: Sequence[str]) -> list[Answer]:
    if not isinstance(task, ZeroShotClassifier):
        raise TypeError(f"not a ZeroShotClassifier: {type(task).__name__}")
    found = task.predict(items, labels=LABELS)
    return [_answer({label.label: label.score for label in labels}) for labels in found]


def _answer(ranked: dict[str, float]) -> Answer:
    """From the labels with their scores, best first."""
    scores = np.array([[ranked[label] for label in LABELS]], np.float32)
    steps = -np.diff(list(ranked.values()))
    return Answer(json.dumps(list(ranked)), scores, float(steps.min()))
