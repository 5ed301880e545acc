"""The original ranker: tokenizer and model, as sentence-transformers puts them together.

`tests/parity/test_ranking.py` compares with its `CrossEncoder` itself, which no export needs.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from onnxtasks.ops.scores import sigmoid
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.text_ranking import Query, TextRanker, TextRankingSpec
from onnxtasks_export.checkpoint import Checkpoint, text_settings
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.originals.words import texts
from onnxtasks_export.sentence_transformers import read_json
from onnxtasks_export.specs.text_ranking import FILES, spec


def spec_of(checkpoint: Checkpoint) -> TextRankingSpec:
    """Read the checkpoint's settings, those that sentence-transformers saved included.

    Raises:
        UnsupportedModelError: A setting that the runtime does not reproduce.
        ExportError: A file that cannot be read.
    """
    saved = {name: read_json(checkpoint.source, "", name) for name in FILES}
    found = {name: content for name, content in saved.items() if content}
    return spec(*text_settings(checkpoint), found)


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with the model's own score of each query and document, one pair at a time.

    The scores are [document, 2]: the sigmoid p of the model's score and 1 - p, whatever function
    the ranking itself applies. The key is the ranking.
    """
    tokenizer = checkpoint.processors["tokenizer"]
    cut = {"truncation": "longest_first", "max_length": spec_of(checkpoint).text.max_length}

    def samples(rng: np.random.Generator) -> Sequence[Query]:
        queries, documents = texts(tokenizer, rng), texts(tokenizer, rng)
        counts = rng.integers(2, 5, len(queries))
        return [
            (query, [str(text) for text in rng.choice(documents, count, replace=False)])
            for query, count in zip(queries, counts, strict=True)
        ]

    def original(item: Query) -> Answer:
        query, documents = item
        logits = []
        for document in documents:
            inputs = tokenizer(query, document, return_tensors="pt", **cut)
            with torch.inference_mode():
                logits.append(checkpoint.model(**inputs).logits[0, 0].item())
        scores = sigmoid(np.array(logits, np.float32))
        ranking = sorted(range(len(scores)), key=lambda index: -scores[index])
        return _answer(ranking, scores.tolist())

    return Comparison(samples=samples, original=original, bundle=_ask_bundle)


def _ask_bundle(task: Task[Any, Any], items: Sequence[Query]) -> list[Answer]:
    if not isinstance(task, TextRanker):
        raise TypeError(f"not a TextRanker: {type(task).__name__}")
    answers = []
    for ranked in task.predict(items, function_to_apply="sigmoid"):
        scores = {document.index: document.score for document in ranked}
        answers.append(_answer(list(scores), [scores[index] for index in range(len(scores))]))
    return answers


def _answer(ranking: Sequence[int], scores: Sequence[float]) -> Answer:
    both = np.array([[score, 1 - score] for score in scores], np.float32)
    steps = np.diff(sorted(scores))
    return Answer(json.dumps(list(ranking)), both, float(steps.min()) if len(steps) else np.inf)
