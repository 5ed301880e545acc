"""The original writer: `generate` of transformers, one text at a time."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from onnxtasks.generation.decoder import GraphReader
from onnxtasks.generation.reader import Int, Reader
from onnxtasks.generation.spec import SequenceToSequenceSpec, TextGenerationSpec
from onnxtasks.ops.scores import Float, softmax
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.sequence_writer import SequenceWriter
from onnxtasks.tasks.text_generation import TextGenerator
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.generation_tokenizers import tokenizer_settings
from onnxtasks_export.originals.base import Answer, Comparison
from onnxtasks_export.originals.words import texts
from onnxtasks_export.specs import sequence_to_sequence, text_generation

NEW_TOKENS = 12
LONGEST_SAMPLE = 40  # words; longer ones cost time and show nothing new
GREEDY: dict[str, Any] = {"do_sample": False, "num_beams": 1, "num_return_sequences": 1}
BEAMS: dict[str, Any] = {"do_sample": False, "num_beams": 3, "num_return_sequences": 3}
LENGTHS: dict[str, Any] = {"max_new_tokens": NEW_TOKENS, "min_length": 0}

Ask: TypeAlias = Callable[[str], Mapping[str, Any]]
"""A text -> what `generate` takes besides the settings."""


@dataclass(frozen=True)
class Path:
    """What the original wrote: the way along which scores are compared."""

    prompt: Int
    """Token ids that it began with."""
    written: Int
    """Token ids that it added."""


def causal_spec(checkpoint: Checkpoint) -> TextGenerationSpec:
    """Read the settings of a model that goes on with its prompt."""
    return text_generation.spec(*_settings(checkpoint))


def sequence_spec(checkpoint: Checkpoint) -> SequenceToSequenceSpec:
    """Read the settings of an encoder-decoder."""
    return sequence_to_sequence.spec(*_settings(checkpoint), checkpoint.task)


def _settings(checkpoint: Checkpoint) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    return (
        tokenizer_settings(checkpoint.processors["tokenizer"]),
        checkpoint.config.to_dict(),
        checkpoint.model.generation_config.to_dict(),
    )


def causal_comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare how prompts go on; see `comparison`."""
    tokenizer = checkpoint.processors["tokenizer"]

    def ask(item: str) -> Mapping[str, Any]:
        return _tensors(tokenizer(item, return_tensors="pt"))

    return comparison(checkpoint, ask)


def sequence_comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare what is written for sources, between two languages where the model has several."""
    tokenizer, spec = checkpoint.processors["tokenizer"], sequence_spec(checkpoint)
    options: dict[str, Any] = {}
    config = checkpoint.config.to_dict()
    own = sequence_to_sequence.own_preset(config, checkpoint.task)
    asked = {*GREEDY, *BEAMS, *LENGTHS, "max_length"}  # the comparison's own
    settings = sequence_to_sequence.task_settings(config, own)
    forced = {name: value for name, value in settings.items() if name not in asked}
    if spec.languages is not None:
        options = dict(zip(("source", "target"), list(spec.languages.codes)[:2], strict=True))
        named = [one for one in (spec.source_prefix + spec.source_suffix) if isinstance(one, str)]
        if "source" in named or hasattr(tokenizer, "src_lang"):
            tokenizer.src_lang = options["source"]
        if spec.languages.forced:
            forced["forced_bos_token_id"] = spec.languages.codes[options["target"]]
        else:
            del options["source"]

    def ask(item: str) -> Mapping[str, Any]:
        text = spec.prefix + item
        if spec.languages is not None and not spec.languages.forced:
            text = f">>{options['target']}<< {text}"
        cut = {} if spec.max_source is None else {"truncation": True, "max_length": spec.max_source}
        return _tensors(tokenizer(text, return_tensors="pt", **cut)) | forced

    return comparison(checkpoint, ask, options)


def _tensors(encoded: Mapping[str, Any]) -> dict[str, Any]:
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


def comparison(
    checkpoint: Checkpoint, ask: Ask, options: Mapping[str, Any] | None = None
) -> Comparison:
    """Compare with `generate`: greedy and beam texts by name, probabilities along the greedy text.

    The key holds the tokens of the greedy text and of the best of three beams; the scores are the
    probabilities of all words after each token of the original's greedy text; the margin is the
    closest decision of either.

    Args:
        checkpoint: Asked one text at a time.
        ask: Gives what `generate` takes.
        options: What the bundle's task is asked besides the settings.
    """
    tokenizer = checkpoint.processors["tokenizer"]
    paths: dict[str, Path] = {}

    def samples(rng: np.random.Generator) -> Sequence[str]:
        found = texts(tokenizer, rng)
        return [text for text in found if text.count(" ") <= LONGEST_SAMPLE]

    def original(item: str) -> Answer:
        given = ask(item)
        greedy = _generate(checkpoint.model, given, GREEDY)
        beams = _generate(checkpoint.model, given, BEAMS)
        decoder_only = not checkpoint.config.is_encoder_decoder
        start = given["input_ids"].shape[1] if decoder_only else 1
        tokens = greedy.sequences[0].numpy()
        paths[item] = Path(tokens[:start], tokens[start:])
        logits = torch.stack(greedy.logits)[:, 0].numpy()
        decided = torch.stack(greedy.scores)[:, 0].softmax(-1).topk(2).values
        sure = float((decided[:, 0] - decided[:, 1]).min())
        ranks = beams.sequences_scores
        sure = min(sure, float(ranks[0] - ranks[1]))
        best = _without_padding(beams.sequences[0].numpy()[start:], checkpoint)
        return _answer(tokens[start:], best, logits, sure)

    def bundle(task: Task[Any, Any], items: Sequence[str]) -> list[Answer]:
        if not isinstance(task, TextGenerator | SequenceWriter):
            raise TypeError(f"not a task that writes: {type(task).__name__}")
        given = {**(options or {}), **LENGTHS}
        greedy = task.predict(items, **given, **GREEDY)
        beams = task.predict(items, **given, **BEAMS)
        scores = along(_reader(task, items, options or {}), [paths[item] for item in items])
        return [
            _answer(np.array(one[0].token_ids), np.array(other[0].token_ids), logits, np.inf)
            for one, other, logits in zip(greedy, beams, scores, strict=True)
        ]

    return Comparison(samples=samples, original=original, bundle=bundle)


def _generate(model: Any, given: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    with torch.inference_mode():
        return model.generate(
            **given,
            **settings,
            **LENGTHS,
            output_scores=True,
            output_logits=True,
            return_dict_in_generate=True,
        )


def _without_padding(tokens: Int, checkpoint: Checkpoint) -> Int:
    """Tokens up to the first end token; behind it only padding comes."""
    end = checkpoint.model.generation_config.eos_token_id
    ends = np.isin(tokens, [] if end is None else end)
    return tokens[: int(ends.argmax()) + 1] if ends.any() else tokens


def _reader(
    task: TextGenerator | SequenceWriter, items: Sequence[str], options: Mapping[str, Any]
) -> GraphReader:
    """The model alone, for one batch."""
    if isinstance(task, TextGenerator):
        return task.reader(NEW_TOKENS)
    request = task.request(None, options.get("source"), options.get("target"))
    return task.reader([task.encode(item, request) for item in items], NEW_TOKENS)


def along(reader: Reader, paths: Sequence[Path]) -> list[Float]:
    """Logits [token, word] before each token of each path, all paths in one batch."""
    steps = max(len(path.written) for path in paths)
    filled = [np.resize(path.written, steps) for path in paths]  # a short one goes round again
    parents = np.zeros((len(paths), 1), np.int64)
    found = [reader.prompt([path.prompt for path in paths]).all_logits()[:, 0].copy()]
    for step in range(steps - 1):
        tokens = np.array([row[step] for row in filled], np.int64)[:, None]
        found.append(reader.step(tokens, parents).all_logits()[:, 0].copy())
    reader.close()
    logits = np.stack(found, axis=1)  # [sentence, step, word]
    return [rows[: len(path.written)] for rows, path in zip(logits, paths, strict=True)]


def _answer(greedy: Int, beams: Int, logits: Float, sure: float) -> Answer:
    key = json.dumps([greedy.tolist(), beams.tolist()])
    return Answer(key=key, scores=softmax(logits), margin=sure)
