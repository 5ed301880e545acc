"""CTC beam search against pyctcdecode on the same log-probabilities and language model.

`python -m benchmarks.ctc_beams`; pyctcdecode wants numpy<2 and gets an environment of its own. Both
decode by turns, each in a process of its own with one thread. Prints a Markdown table: the medians
of the rounds, in milliseconds.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

ROUNDS = 3
FRAMES, SIZES, HEIGHTS = (500, 3000), (32, 5000), (15.0, 5.0)
NOISE = 5.0
BEAM_WIDTH = 100
LETTERS = "abcdefghijklmnopqrstuvwxyz'-éß"
WORDS, SENTENCES = 5000, 5000


def vocabulary(size: int) -> list[str]:
    """32 characters, or as many pieces, half of which begin a word."""
    if size == len(LETTERS) + 2:
        return ["", " ", *LETTERS]
    pieces = [
        "".join(letters)
        for length in (1, 2, 3)
        for letters in itertools.product(LETTERS[:26], repeat=length)
    ]
    half = (size - 2) // 2
    return ["", "▁⁇▁", *(f"▁{piece}" for piece in pieces[:half]), *pieces[: size - 2 - half]]


def sentences(symbols: list[str]) -> list[list[str]]:
    """Sentences of words that the symbols can spell."""
    rng = np.random.default_rng(7)
    ends = [symbol for symbol in symbols[2:] if not symbol.startswith("▁")]
    beginnings = [symbol[1:] for symbol in symbols[2:] if symbol.startswith("▁")] or ends
    lengths = rng.integers(1, 7 if len(symbols) == len(LETTERS) + 2 else 3, WORDS)
    words = [
        str(rng.choice(beginnings)) + "".join(rng.choice(ends, length - 1).tolist())
        for length in lengths
    ]
    places = (WORDS * rng.random((SENTENCES, 10)) ** 3).astype(int)
    return [[words[place] for place in row] for row in places]


def arpa(said: list[list[str]]) -> str:
    """All 1-, 2- and 3-grams of sentences, with made-up weights."""
    rng = np.random.default_rng(8)
    lines, bodies = ["\\data\\"], list[str]()
    for length in (1, 2, 3):
        counts: Counter[tuple[str, ...]] = Counter({("<unk>",): 1} if length == 1 else {})
        for sentence in said:
            padded = ["<s>", *sentence, "</s>"]
            counts.update(zip(*(padded[start:] for start in range(length)), strict=False))
        lines.append(f"ngram {length}={len(counts)}")
        bodies += ["", f"\\{length}-grams:"]
        for gram in counts:
            backoff = f"\t{-rng.random():.5f}" if length < 3 else ""
            score = -rng.uniform(1, 5) / length
            bodies.append(f"{score:.5f}\t{' '.join(gram)}{backoff}")
    return "\n".join([*lines, *bodies, "", "\\end\\", ""])


def log_probs(
    symbols: list[str], said: list[list[str]], frames: int, height: float
) -> npt.NDArray[np.float64]:
    """[frame, symbol]: 5 times gaussian noise, and sentences as a path that is higher."""
    rng = np.random.default_rng(9)
    places = {symbol: place for place, symbol in enumerate(symbols)}
    path: list[int] = []
    for word in itertools.chain.from_iterable(said):
        path += [places[piece] for piece in _spelled(word, places)]
        path += [0] * int(rng.integers(0, 3))
        if len(path) >= frames:
            break
    logits = NOISE * rng.standard_normal((frames, len(symbols)))
    logits[np.arange(frames), path[:frames]] += height
    logits -= logits.max(1, keepdims=True)
    made: npt.NDArray[np.float64] = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return made


def _spelled(word: str, places: dict[str, int]) -> list[str]:
    """The symbols of a word and, of characters, the space after it."""
    if " " in places:
        return [*word, " "]
    start = next(end for end in range(3, 0, -1) if f"▁{word[:end]}" in places)
    return [f"▁{word[:start]}", *word[start:]]


def work() -> None:
    """Decode what comes on standard input with pyctcdecode; needs nothing of this repository."""
    from pyctcdecode import build_ctcdecoder  # type: ignore[import-not-found] # another environment

    decoders: dict[str, Any] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name = f"{asked['size']} {asked['model']}"
        if name not in decoders:
            decoders[name] = build_ctcdecoder(vocabulary(asked["size"]), asked["model"])
        values = np.load(asked["values"])
        started = time.perf_counter()
        text, _, _, _, score = decoders[name].decode_beams(values, beam_width=BEAM_WIDTH)[0]
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "text": text, "score": float(score)}), flush=True)


def compare(python: str, rounds: int, sizes: Sequence[int], lengths: Sequence[int]) -> None:
    """Measure and print."""
    from onnxtasks.speech.beam_decoder import BeamDecoder

    print("| frames | symbols | planted | 3-gram | onnxtasks | pyctcdecode | ratio |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, _worker(python) as worker:
        for size in sizes:
            symbols = vocabulary(size)
            said = sentences(symbols)
            ngrams = Path(folder) / f"{size}.arpa"
            ngrams.write_text(arpa(said), encoding="utf-8")
            for model in (None, str(ngrams)):
                decoder = BeamDecoder(symbols, model)
                for frames, height in itertools.product(lengths, HEIGHTS):
                    values = log_probs(symbols, said, frames, height)
                    file = Path(folder) / "values.npy"
                    np.save(file, values)
                    asked = {"size": size, "model": model, "values": str(file)}
                    own, other = _turns(decoder, values, worker, asked, rounds)
                    print(
                        f"| {frames} | {size} | +{height:.0f} | {'yes' if model else 'no'} "
                        f"| {own * 1e3:.0f} | {other * 1e3:.0f} | {other / own:.1f} |",
                        flush=True,
                    )


def _worker(python: str) -> "subprocess.Popen[str]":
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [python, __file__, "--worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | threads,
    )


def _turns(
    decoder: Any,
    values: npt.NDArray[np.float64],
    worker: "subprocess.Popen[str]",
    asked: dict[str, Any],
    rounds: int,
) -> tuple[float, float]:
    """Median seconds of both; the first, which warms up, is not counted.

    Raises:
        SystemExit: They read different texts.
    """
    own, other = [], []
    for number in range(rounds + 1):
        started = time.perf_counter()
        beam = decoder.decode(values, beam_width=BEAM_WIDTH)[0]
        seconds = time.perf_counter() - started
        assert worker.stdin is not None
        assert worker.stdout is not None
        print(json.dumps(asked), file=worker.stdin, flush=True)
        answer = json.loads(worker.stdout.readline())
        if abs(answer["score"] - beam.score) > 1e-3:
            raise SystemExit(f"different scores: {beam.score} and {answer['score']} for {asked}")
        own += [seconds] if number else []
        other += [answer["seconds"]] if number else []
    return median(own), median(other)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pyctcdecode", metavar="PYTHON", help="the interpreter that has it, where one is there"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--symbols", type=int, nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--frames", type=int, nargs="+", default=FRAMES)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        work()
    else:
        from benchmarks.environments import interpreter  # not there in the worker's environment

        python = chosen.pyctcdecode or str(interpreter("pyctcdecode"))
        compare(python, chosen.rounds, chosen.symbols, chosen.frames)
