"""The original token classifier: transformers' pipeline, one text at a time."""

import copy
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import TokenClassificationPipeline
from transformers.pipelines.token_classification import AggregationStrategy

from onnxtasks.ops.scores import Float, softmax
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.token_classification import TokenClassifier
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.originals.words import longest, texts

LONGEST_SAMPLE = 1024  # words; a model that takes more is not asked for windows, which take minutes


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with transformers' TokenClassificationPipeline, window by window.

    The key holds the entities of each window with aggregation "simple": labels, words and places.
    The scores are the probabilities [token, class] of all windows. What happens between windows
    does not depend on the checkpoint.
    """
    # With its length set, the pipeline cuts as the bundle does.
    tokenizer = copy.deepcopy(checkpoint.processors["tokenizer"])
    tokenizer.model_max_length = longest(checkpoint)
    pipeline = TokenClassificationPipeline(
        model=checkpoint.model, tokenizer=tokenizer, device="cpu"
    )
    # The bundle's own default: a quarter of a window.
    stride = (tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()) // 4
    windows = {"return_overflowing_tokens": True, "padding": True, "stride": stride}

    def samples(rng: np.random.Generator) -> Sequence[Any]:
        made = texts(tokenizer, rng)
        count = min(tokenizer.model_max_length * 3 // 2, LONGEST_SAMPLE)
        long = " ".join(rng.choice(" ".join(made).split(), count))
        return [*made, *AWKWARD, long, tuple(made[4].split(" ")), tuple(long.split(" "))]

    def original(item: Any) -> Answer:
        split = isinstance(item, tuple)
        inputs = pipeline.preprocess(
            list(item) if split else item,
            is_split_into_words=split,
            delimiter=" ",
            tokenizer_params=dict(windows),
        )
        found = [pipeline.forward(one) for one in inputs]
        found = found[::-1] if tokenizer.truncation_side == "left" else found
        entities, scores = [], []
        for one in found:
            one["sentence"] = " ".join(item) if split else item
            entities.append(pipeline.postprocess([one], AggregationStrategy.SIMPLE))
            own = one["special_tokens_mask"][0].numpy() == 0
            scores.append(softmax(one["logits"][0].numpy()[own]))
        return _answer(entities, scores)

    return Comparison(samples=samples, original=original, bundle=_ask_bundle)


AWKWARD = (
    "  Jose\u0301 lives in S\u00e3o Paulo,  (Brazil)\t.",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 met \u738b\u5c0f\u660e in \u6771\u4eac!",
    "\u05d3\u05d5\u05d3 \u05d2\u05e8 \u05d1\u05d9\u05e8\u05d5\u05e9\u05dc\u05d9\u05dd. "
    "\u0645\u0631\u062d\u0628\u0627\n",
)


def _ask_bundle(task: Task[Any, Any], items: Sequence[Any]) -> list[Answer]:
    if not isinstance(task, TokenClassifier):
        raise TypeError(f"not a TokenClassifier: {type(task).__name__}")
    rules = task.rules("simple")
    prepared = [task.preprocess(item, task.stride(None)) for item in items]
    answers = []
    for text, windows in zip(prepared, task.scores(prepared), strict=True):
        found = [task.postprocess(text, [window], rules) for window in windows]
        entities = [[entity.to_dict() for entity in window] for window in found]
        answers.append(_answer(entities, [window.scores for window in windows]))
    return answers


def _answer(windows: list[list[dict[str, Any]]], scores: list[Float]) -> Answer:
    """The entities and the probabilities [token, class] of each window."""
    names = ("entity_group", "word", "start", "end")
    key = json.dumps([[[entity[name] for name in names] for entity in found] for found in windows])
    every = np.concatenate(scores)
    if not every.size:  # a text without tokens
        return Answer(key, np.zeros((1, 1), np.float32), float("inf"))
    best = -np.sort(-every, axis=-1)[:, :2]
    margin = float((best[:, 0] - best[:, 1]).min()) if best.shape[1] > 1 else float("inf")
    return Answer(key, every, margin)
