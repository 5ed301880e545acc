"""The original question answerer: the model itself, in torch, one question at a time.

transformers 5 has no pipeline for it any more. What stands before and behind the model is the
runtime's own here; `tests/parity/frozen` holds the answers of the last version that had one.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from onnxtasks.ops.question_windows import Question, WindowOptions
from onnxtasks.ops.text import TextEncoder
from onnxtasks.session import Feeds, Outputs
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.question_answering import (
    AnswerOptions,
    QuestionAnswerer,
    QuestionAnsweringSpec,
)
from onnxtasks_export.checkpoint import Checkpoint, text_settings
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.specs.question_answering import spec

TYPED = (
    "AlbertTokenizer",
    "FunnelTokenizer",
    "RemBertTokenizer",
    "RoFormerTokenizer",
    "SplinterTokenizer",
)
"""Tokenizers that told question from context by token types, until transformers 5 dropped them."""
QUESTION_WORDS = (1, 3, 7, 4, 12, 2, 5, 9, 3, 6)
CONTEXT_WORDS = (1, 2, 4, 7, 15, 30, 60, 150, 400, 33)


def spec_of(checkpoint: Checkpoint) -> QuestionAnsweringSpec:
    """Read the checkpoint's settings."""
    settings, config, inputs = text_settings(checkpoint)
    tokenizer = checkpoint.processors["tokenizer"]
    told = "model_input_names" in tokenizer.init_kwargs  # the checkpoint's own word
    if type(tokenizer).__name__ in TYPED and not told and config.get("type_vocab_size", 0) > 1:
        inputs = [*inputs, "token_type_ids"]
    return spec(settings, config, inputs)


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with the checkpoint's model, on texts of its own vocabulary.

    The key holds the best answer and its place; the scores are the probabilities that an answer
    starts and ends at a token, two rows for each window. The margin is the best answer's lead.
    """
    tokenizer = checkpoint.processors["tokenizer"]
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha())
    settings = spec_of(checkpoint)
    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    text = TextEncoder(own, settings.text)
    answerer = QuestionAnswerer(_TorchSession(checkpoint.model), settings, text)

    def samples(rng: np.random.Generator) -> Sequence[Question]:
        def some(count: int) -> str:
            return " ".join(rng.choice(words, count))

        plain = [
            (some(asked), some(count))
            for asked, count in zip(QUESTION_WORDS, CONTEXT_WORDS, strict=True)
        ]
        odd = f"{some(5).capitalize()}, {some(3).upper()}! Caf\u00e9 \u4f60\u597d \U0001f600?"
        return [*plain, (odd, some(20)), (some(4), odd)]

    return Comparison(
        samples=samples,
        original=lambda item: _ask(answerer, [item])[0],
        bundle=_ask,
    )


class _TorchSession:
    """The checkpoint's model in the place of a loaded graph."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Return the logits that the model gives."""
        inputs = {name: torch.from_numpy(array) for name, array in feeds.items()}
        with torch.inference_mode():
            found = self.model(**inputs)
        return {name: found[name].numpy() for name in ("start_logits", "end_logits")}


def _ask(task: Task[Any, Any], items: Sequence[Question]) -> list[Answer]:
    if not isinstance(task, QuestionAnswerer):
        raise TypeError(f"not a QuestionAnswerer: {type(task).__name__}")
    prepared = task.preprocess(items, WindowOptions())
    found: list[Answer] = []
    for item, own, windows in zip(items, prepared, task.scores(prepared), strict=True):
        answers = task.postprocess(item[1], own, windows, AnswerOptions(top_k=2))
        rows = np.zeros((2 * len(windows), task.spec.text.max_length), np.float32)
        for index, window in enumerate(windows):
            rows[2 * index : 2 * index + 2, : window.shape[1]] = window
        best = answers[0]
        margin = best.score - answers[1].score if len(answers) > 1 else float("inf")
        found.append(Answer(json.dumps([best.text, best.start, best.end]), rows, margin))
    return found
