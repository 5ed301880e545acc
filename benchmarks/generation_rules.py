"""What rules and warpers cost in a step of generation, beside transformers' processors.

`python -m benchmarks.generation_rules` writes docs/benchmarks/generation_rules.md. Random scores of
GPT-2's 50 257 words and random texts, the usual settings, one thread; each call has a
fresh copy of the scores, which is not timed. Once more with cold caches: in a step of generation
the model's weights have gone through them. So that no way does the same to the next, each has its
calls by itself.
"""

import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any, TypeAlias

import numpy as np

from benchmarks.cases import ROOT
from onnxtasks.generation.history import History
from onnxtasks.generation.options import GenerationDefaults, GenerationOptions, settings
from onnxtasks.generation.reader import Float
from onnxtasks.generation.rules import rules_for
from onnxtasks.generation.warpers import warper_for

WORDS = 50257
BATCHES = (1, 8)
TEXTS = (128, 1024)
ROUNDS = 300
PAGE = ROOT / "docs/benchmarks/generation_rules.md"
RULES: GenerationOptions = {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3}
SAMPLING: GenerationOptions = {
    "do_sample": True,
    "temperature": 0.8,
    "top_k": 50,
    "top_p": 0.95,
}
BOUND = {1: 0.3, 8: 1.0}
"""Most milliseconds that a step's Python side may take, search and bookkeeping included."""
COLD = ", caches cold"
SWEPT = 32_000_000
"""Numbers that are written to before a call with cold caches: 128 MB."""
Way: TypeAlias = Callable[[Float], object]


def ways(history: History) -> dict[str, Way]:
    """What is timed, by its name in the table; each takes scores [row, word] to write into."""
    rules = rules_for(settings(GenerationDefaults(), RULES), words=WORDS)
    warp = warper_for(settings(GenerationDefaults(), SAMPLING))

    def apply(scores: Float) -> Float:
        for rule in rules:
            scores = rule(history, scores)
        return scores

    return {
        "rules": apply,
        "warpers": warp,
        "both": lambda scores: warp(apply(scores)),
        f"both{COLD}": lambda scores: warp(apply(scores)),
        "both, transformers": processors(history),
    }


def processors(history: History) -> Way:
    """The same settings as transformers' list of processors."""
    import torch
    from transformers.generation import logits_process as reference

    torch.set_num_threads(1)  # spinning threads would disturb ours
    found: Any = reference.LogitsProcessorList(
        [
            reference.RepetitionPenaltyLogitsProcessor(RULES["repetition_penalty"]),
            reference.NoRepeatNGramLogitsProcessor(RULES["no_repeat_ngram_size"]),
            reference.TemperatureLogitsWarper(SAMPLING["temperature"]),
            reference.TopKLogitsWarper(SAMPLING["top_k"]),
            reference.TopPLogitsWarper(SAMPLING["top_p"]),
        ]
    )
    tokens = torch.from_numpy(history.tokens.copy())
    return lambda scores: found(tokens, torch.from_numpy(scores))


def measure(batch: int, length: int) -> dict[str, list[float]]:
    """Seconds of each call, by way.

    Args:
        batch: Rows.
        length: Tokens of each row's text.
    """
    generator = np.random.default_rng(0)
    history = History(list(generator.integers(0, WORDS, (batch, length))))
    scores = (3 * generator.standard_normal((batch, WORDS))).astype(np.float32)
    timed = ways(history)
    swept = np.zeros(SWEPT, np.float32)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for name, way in timed.items():
        for turn in range(ROUNDS + 20):
            if name.endswith(COLD):
                swept += 1
            fresh = scores.copy()
            start = time.perf_counter()
            way(fresh)
            if turn >= 20:  # the first ones warm up
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Measure, and write the page."""
    rows = []
    for batch in BATCHES:
        for length in TEXTS:
            for name, seconds in measure(batch, length).items():
                low, _, high = quantiles(seconds, n=4)
                rows.append(
                    f"| {batch} | {length} | {name} | {1e3 * median(seconds):.3f} | "
                    f"{1e3 * low:.3f} to {1e3 * high:.3f} |"
                )
    text = page("\n".join(rows))
    PAGE.write_text(text, encoding="utf-8")
    print(text)


def page(table: str) -> str:
    """The page in Markdown."""
    options = ", ".join(f"{name} {value}" for name, value in {**RULES, **SAMPLING}.items())
    bounds = " and ".join(f"{most} ms at batch {batch}" for batch, most in BOUND.items())
    return f"""\
# Rules and warpers of a generation step

Made by `python -m benchmarks.generation_rules`: {WORDS} words, {options}; one
thread, {ROUNDS} calls each way. Cold caches: {4 * SWEPT // 10**6} MB are written to before each
call, as a model's weights are read before the rules of a step.

| batch | tokens of a text | what | median ms | quartiles |
|---|---|---|---|---|
{table}

The whole Python side of a step, search and bookkeeping included, may take {bounds}.
"""


if __name__ == "__main__":
    main()
