"""The original embedder: the checkpoint in torch, one text at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from onnxtasks.errors import ExportError
from onnxtasks.ops.pooling import similarity
from onnxtasks.ops.scores import Float
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.feature_extraction import Embedder, FeatureExtractionSpec
from onnxtasks_export.checkpoint import Checkpoint, text_settings
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.originals.words import texts
from onnxtasks_export.sentence_transformers import Normalize
from onnxtasks_export.specs import feature_extraction

ANCHORS = (4, 7, 9, 12, 16, 25, 40)  # words


def spec_of(checkpoint: Checkpoint) -> FeatureExtractionSpec:
    """Read the checkpoint's settings.

    Raises:
        ExportError: The layers behind the pooling do not fit, or settings contradict each other.
        UnsupportedModelError: A setting that the runtime does not reproduce.
    """
    sentence = checkpoint.processors["sentence_transformers"]
    tokenizer, config, inputs = text_settings(checkpoint)
    hidden = checkpoint.config.hidden_size
    pooled = hidden * len(feature_extraction.pooling_modes(sentence.pooling, config))
    try:
        with torch.no_grad():
            dim = sentence.layers(torch.zeros(1, pooled)).shape[-1]
    except RuntimeError as error:
        raise ExportError(
            f"{checkpoint.source}: the layers behind the pooling do not take its {pooled} numbers: "
            f"{error}"
        ) from error
    return feature_extraction.spec(
        tokenizer,
        config,
        inputs,
        pooling=sentence.pooling,
        settings=sentence.settings,
        sizes=(hidden, dim),
        normalize=len(sentence.layers) > 0 and isinstance(sentence.layers[-1], Normalize),
    )


def comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare the vectors, and which text of a small index is nearest to each.

    The index holds the original's vectors of fixed texts, as that of a user who changes to the
    bundle; the margin is the lead of the nearest over the second.
    """
    tokenizer, spec = checkpoint.processors["tokenizer"], spec_of(checkpoint)
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha())

    def embed(text: str) -> Float:
        return original_vector(checkpoint, spec, text)

    rng = np.random.default_rng(len(words))
    index = np.stack([embed(" ".join(rng.choice(words, count))) for count in ANCHORS])

    def samples(rng: np.random.Generator) -> Sequence[str]:
        made = texts(tokenizer, rng)
        return [*made, f"  {made[4]}\n\n{made[1]} ", " ".join(made[:-1])]

    def bundle(task: Task[Any, Any], items: Sequence[str]) -> list[Answer]:
        if not isinstance(task, Embedder):
            raise TypeError(f"not an Embedder: {type(task).__name__}")
        return [nearest(vector, index) for vector in task.predict(items)]

    return Comparison(
        samples=samples,
        original=lambda item: nearest(embed(item), index),
        bundle=bundle,
        moved=turned,
    )


def original_vector(checkpoint: Checkpoint, spec: FeatureExtractionSpec, text: str) -> Float:
    """Embed one text with the model in torch, as sentence-transformers does without options."""
    tokenizer = checkpoint.processors["tokenizer"]
    prompt = spec.prompts.get(spec.default_prompt or "", "")

    def tokens(part: str) -> Any:
        cut = {"truncation": True, "max_length": spec.text.max_length}
        return tokenizer(part, return_tensors="pt", **cut)

    inputs = tokens(prompt + text)
    skip = 0
    if prompt and not spec.include_prompt:
        alone = tokens(prompt)["input_ids"][0]
        skip = len(alone) - int(alone[-1] in tokenizer.all_special_ids)
    with torch.inference_mode():
        taken = {name: inputs[name] for name in spec.text.inputs}
        hidden = checkpoint.model(**taken).last_hidden_state[0]  # [token, hidden]
        pooled = torch.cat([_pooled(mode, hidden, skip) for mode in spec.pooling])
        vector = checkpoint.processors["sentence_transformers"].layers(pooled[None])[0]
    made: Float = vector.numpy()[: spec.truncate_dim]
    return made


def turned(one: Answer, other: Answer) -> float:
    """1 - cosine of the angle between two vectors."""
    return max(0.0, 1 - float(similarity(one.scores[0], other.scores[0])[0, 0]))


def _pooled(mode: str, hidden: torch.Tensor, skip: int) -> torch.Tensor:
    """[token, hidden] of one text -> [hidden]; nothing is padded, so no mask is needed."""
    kept = hidden[skip:]
    if mode == "weightedmean":
        weights = torch.arange(skip + 1, len(hidden) + 1, dtype=hidden.dtype)
        return weights @ kept / weights.sum()
    ways = {
        "cls": lambda: kept[0],
        "lasttoken": lambda: kept[-1],
        "max": lambda: kept.max(0).values,
        "mean": lambda: kept.mean(0),
        "mean_sqrt_len_tokens": lambda: kept.sum(0) / len(kept) ** 0.5,
    }
    return ways[mode]()


def nearest(vector: Float, index: Float) -> Answer:
    """The answer of an embedder: its vector, and which of an index [vector, dim] is nearest."""
    near = similarity(vector, index)[0]
    first, second = np.sort(near)[::-1][:2]
    return Answer(str(int(near.argmax())), vector[None], float(first - second))
