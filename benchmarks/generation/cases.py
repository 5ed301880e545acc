"""What is measured: the table of cases, and where their files lie.

Imported by every worker before its clock starts, so it imports the standard library only.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import ROOT
from benchmarks.generation.models import MODELS, Model

LOOKUP = 10
"""Tokens that prompt-lookup decoding proposes at once, where it is on."""
PIECE, EVERY = 12, 16
"""Of every 16 tokens that the copying model writes, 12 stand in its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model, one size of input, one way to search."""

    title: str
    model: str
    read: int
    """Tokens of a prompt or a source, special ones included."""
    new: int
    """Tokens that are written, neither more nor less."""
    batch: int = 1
    beams: int = 1
    rounds: int = 4
    copies: bool = False
    """Whether the model writes what stands in its prompt: prompt-lookup decoding takes part."""


def _cases(
    name: str, title: str, read: int, new: int, forms: tuple[tuple[int, int, int], ...]
) -> dict[str, Case]:
    """The cases of one model: beams, sentences, rounds."""
    found = {}
    for beams, batch, rounds in forms:
        search = "greedy" if beams == 1 else f"beam {beams}"
        found[f"{name}-{search.replace(' ', '')}-{batch}"] = Case(
            title=f"{title}, {read} + {new} tokens, {search}, batch {batch}",
            model=name,
            read=read,
            new=new,
            batch=batch,
            beams=beams,
            rounds=rounds,
        )
    return found


CASES: dict[str, Case] = {
    **_cases("gpt2", "GPT-2 124M", 128, 128, ((1, 1, 4), (1, 8, 3), (1, 32, 2))),
    "gpt2-prompt-512": Case(
        title="GPT-2 124M, prompt of 512 tokens to the first new one",
        model="gpt2",
        read=512,
        new=1,
        rounds=9,
    ),
    "gpt2-copying": Case(
        title="GPT-2 124M, 128 + 128 tokens, three quarters of which stand in the prompt",
        model="gpt2-copying",
        read=128,
        new=128,
        copies=True,
        rounds=3,
    ),
    **_cases("bart-base", "BART-base", 256, 64, ((1, 1, 5), (4, 1, 5), (1, 8, 3), (4, 8, 3))),
    **_cases("t5-base", "T5-base", 256, 64, ((1, 1, 4), (4, 1, 4))),
    **_cases("opus-mt", "Marian (opus-mt shape)", 128, 64, ((4, 1, 5),)),
    **_cases("llama-246m", "Llama shape, 246M, 4 of 16 heads kept", 128, 64, ((1, 1, 4),)),
    **_cases("gpt2-tiny", "GPT-2 tiny (tries the suite)", 16, 8, ((1, 1, 3), (4, 2, 3))),
}
TINY = ("gpt2-tiny-greedy-1", "gpt2-tiny-beam4-2")
"""Only measured where they are asked for."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where a model's files lie."""

    checkpoint: Path
    bundle: Path
    peers: Path
    """What other engines load: a folder each."""
    reference: Path
    """What transformers writes in the case's first call (JSON)."""


def files(name: str, cache: Path) -> Files:
    """The files of a case, or of a model by its name; cases of one model share them."""
    model = CASES[name].model if name in CASES else name
    folder = cache / "generation"
    return Files(
        checkpoint=folder / "checkpoints" / model,
        bundle=folder / "bundles" / model,
        peers=folder / "peers" / model,
        reference=folder / "references" / f"{name}.json",
    )


def inputs(case: Case, call: int) -> list[list[int]]:
    """Token ids of each text of a call, special ones included; every call has other texts.

    So a cache of prompts that came before helps no engine.

    Args:
        case: Says how many, and how long.
        call: Its number.
    """
    rng = random.Random(f"{case.model} {case.read} {call}")
    model = MODELS[case.model]
    first, last = len(model.special), model.words - len(model.last)
    count = case.read - len(model.before) - len(model.after)
    found = []
    for _ in range(case.batch):
        if case.copies:
            ids = copied(rng, range(first, last), count, case.new)
        else:
            ids = rng.choices(range(first, last), k=count)
        found.append([*model.before, *ids, *model.after])
    return found


def copied(rng: random.Random, known: range, count: int, new: int) -> list[int]:
    """A prompt for a model that follows each token with the next id.

    It ends with the token before those that will be written, and holds pieces of them in another
    order, with random words between.

    Args:
        rng: Draws where they begin.
        known: The ids of words.
        count: Tokens of the prompt.
        new: Tokens that will be written.
    """
    start = rng.randrange(known.start + 1, known.stop - new)
    pieces = [range(at, at + PIECE) for at in range(start, start + new - PIECE + 1, EVERY)]
    rng.shuffle(pieces)
    ids = [token for piece in pieces for token in (*piece, rng.choice(known))]
    ids = ids[: count - 1]
    filler = rng.choices(known, k=count - 1 - len(ids))
    return [*filler, *ids, start - 1]


def text_of(ids: list[int], model: Model, tokens: list[str]) -> str:
    """The text that the tokenizer turns into these ids, special ones added by it."""
    inner = ids[len(model.before) : len(ids) - len(model.after)]
    return " ".join(tokens[token] for token in inner)


CACHE = ROOT / "bench-out" / "cache"
