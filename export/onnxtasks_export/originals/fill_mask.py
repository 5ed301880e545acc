"""The original mask filler: transformers' pipeline, one text at a time."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import FillMaskPipeline

from onnxtasks.ops.scores import Float, softmax
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.fill_mask import MaskFiller
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.originals.words import longest, texts

TOP = 5  # tokens of a mask that are compared by name


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with transformers' FillMaskPipeline: best tokens, whole texts, all probabilities.

    The scores are [mask, vocabulary]; the key holds the best tokens of each mask in their order.
    """
    tokenizer = checkpoint.processors["tokenizer"]
    pipeline = FillMaskPipeline(model=checkpoint.model, tokenizer=tokenizer, device="cpu")
    # With this option the pipeline cuts as the bundle does; by itself it fails on long texts.
    cut = {"truncation": True, "max_length": longest(checkpoint)}

    def samples(rng: np.random.Generator) -> Sequence[str]:
        made = [_masked(text, tokenizer, 1, rng) for text in texts(tokenizer, rng)]
        several = [_masked(made[4 + masks], tokenizer, masks, rng) for masks in (1, 2, 3)]
        return [*made, *several, tokenizer.mask_token]

    def original(text: str) -> Answer:
        found = pipeline(text, top_k=min(TOP, checkpoint.config.vocab_size), tokenizer_kwargs=cut)
        inputs = tokenizer(text, return_tensors="pt", **cut)
        with torch.inference_mode():
            logits = checkpoint.model(**inputs).logits[0]
        masks = inputs["input_ids"][0] == tokenizer.mask_token_id
        return _answer(found if isinstance(found[0], list) else [found], logits[masks].numpy())

    return Comparison(samples=samples, original=original, bundle=_ask_bundle)


def _masked(text: str, tokenizer: Any, masks: int, rng: np.random.Generator) -> str:
    """Put masks between the words, where no cut of a long text reaches them."""
    words = text.split(" ")
    for _ in range(masks):
        place = int(rng.integers(0, min(len(words), 8) + 1))
        place = len(words) - place if tokenizer.truncation_side == "left" else place
        words.insert(place, tokenizer.mask_token)
    return " ".join(words)


def _ask_bundle(task: Task[Any, Any], items: Sequence[str]) -> list[Answer]:
    if not isinstance(task, MaskFiller):
        raise TypeError(f"not a MaskFiller: {type(task).__name__}")
    encodings = task.preprocess(items)
    found: dict[int, Answer] = {}
    for index, logits in task.logits(encodings):
        masks = task.postprocess(encodings[index], logits, TOP)
        found[index] = _answer([[fill.to_dict() for fill in fills] for fills in masks], logits)
    return [found[index] for index in range(len(items))]


def _answer(masks: list[list[dict[str, Any]]], logits: Float) -> Answer:
    names = ("token", "token_str", "sequence")
    key = json.dumps([[[fill[name] for name in names] for fill in fills] for fills in masks])
    scores = softmax(logits)
    order = -np.sort(-scores, axis=-1)[:, : TOP + 1]  # every neighbour in the key, and the next
    return Answer(key, scores, float((order[:, :-1] - order[:, 1:]).min()))
