"""Give the word recogniser a 3-gram of commands: counted, written as ARPA text, and measured.

Probabilities are Witten and Bell's (1991), interpolated, as in Chen and Goodman (1999), 2.5:
p(w | h) = (c(h w) + t(h) p(w | h')) / (c(h) + t(h)), where t(h) is how many words follow h, and h'
is h without its first word. A word that was not seen after h has t(h) / (c(h) + t(h)) p(w | h'),
of which the factor is the back-off weight of h; so all probabilities after h add up to 1.
"""

import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_data import commands, plan_commands
from speech_data import HELD_OUT_VOICE, RATE, WORDS, Speech, plan, record
from train_speech import SYMBOLS, TEST_SIZE, word_errors
from training import CHECKPOINTS

import onnxtasks

ORDER = 3
TEXTS = 20_000
BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
# Weights that pyctcdecode has by default, too.
SETTINGS = {"alpha": 0.5, "beta": 1.5, "unk_score_offset": -10.0, "score_boundary": True}
READ_AS = {"<pad>": "", "<unk>": "⁇", "|": " "}
"""Symbols that pyctcdecode calls otherwise."""
NEVER = -99.0  # log10 of what is never predicted, as others write it

Words = tuple[str, ...]


@dataclass(frozen=True)
class Ngrams:
    """Probabilities of n-grams and back-off weights of those that others begin with."""

    chances: Mapping[Words, float]
    weights: Mapping[Words, float]


def count(texts: Iterable[str], order: int) -> dict[Words, Counter[str]]:
    """How often each word follows each history of up to `order` - 1 words."""
    found: dict[Words, Counter[str]] = defaultdict(Counter)
    for text in texts:
        words = (BEGIN, *text.split(), END)
        for place in range(1, len(words)):
            for length in range(min(order - 1, place) + 1):
                found[words[place - length : place]][words[place]] += 1
    return found


def estimate(texts: Iterable[str], order: int, vocabulary: Iterable[str]) -> Ngrams:
    """Probabilities of all n-grams that are in the texts, and of every word alone.

    Args:
        texts: Words with spaces between them.
        order: Longest n-gram.
        vocabulary: All words but the marks of a text's begin and end.
    """
    counts = count(texts, order)
    words = (*vocabulary, END, UNKNOWN)
    chances: dict[Words, float] = {(word,): 1 / len(words) for word in words}
    weights: dict[Words, float] = {}
    for history in sorted(counts, key=len):
        follow = counts[history]
        total = follow.total() + len(follow)
        weight = len(follow) / total
        for word in follow if history else words:
            shorter = chances[(*history[1:], word)]
            chances[(*history, word)] = follow[word] / total + weight * shorter
        if history:
            weights[history] = weight
    return Ngrams(chances, weights)


def arpa(ngrams: Ngrams, order: int) -> str:
    """The ARPA text: logarithms to base 10, n-grams in order."""
    chances = {words: math.log10(chance) for words, chance in ngrams.chances.items()}
    chances[(BEGIN,)] = NEVER
    sections = {size: sorted(w for w in chances if len(w) == size) for size in range(1, order + 1)}
    lines = ["\\data\\", *(f"ngram {size}={len(found)}" for size, found in sections.items())]
    for size, found in sections.items():
        lines += ["", f"\\{size}-grams:"]
        for words in found:
            weight = ngrams.weights.get(words)
            end = "" if weight is None else f"\t{math.log10(weight):.6f}"
            lines.append(f"{chances[words]:.6f}\t{' '.join(words)}{end}")
    return "\n".join([*lines, "", "\\end\\", ""])


def write_decoder(folder: Path, order: int) -> None:
    """Write what a Wav2Vec2ProcessorWithLM has besides: `alphabet.json` and `language_model/`."""
    labels = [READ_AS.get(symbol, symbol) for symbol in SYMBOLS]
    alphabet = json.dumps({"labels": labels, "is_bpe": False}, ensure_ascii=False)
    (folder / "alphabet.json").write_text(alphabet + "\n", encoding="utf-8")
    part = folder / "language_model"
    part.mkdir(exist_ok=True)
    text = arpa(estimate(commands(TEXTS, 0), order, WORDS), order)
    (part / f"{order}gram.arpa").write_text(text, encoding="utf-8")
    (part / "attrs.json").write_text(json.dumps(SETTINGS) + "\n", encoding="utf-8")
    (part / "unigrams.txt").write_text("\n".join(sorted(WORDS)) + "\n", encoding="utf-8")


def word_error_rate(task: Any, speech: Speech, decoder: str) -> float:
    """Word errors divided by the number of words said, of a bundle's answers."""
    heard = task.map([(wave, RATE) for wave in speech.waves], decoder=decoder)
    pairs = zip(speech.texts, heard, strict=True)
    errors = sum(word_errors(said, found.text.strip()) for said, found in pairs)
    return round(errors / sum(len(text.split()) for text in speech.texts), 4)


def measure(checkpoint: Path) -> dict[str, dict[str, float]]:
    """Greedy and with n-grams, through exported bundles, in the held-out voice."""
    tests = {
        "commands": record(plan_commands(TEST_SIZE, 3000)),
        "words at random": record(plan(TEST_SIZE, 1000, HELD_OUT_VOICE)),
    }
    found: dict[str, dict[str, float]] = {name: {} for name in tests}
    program = Path(sys.executable).parent / "onnxtasks"
    for order in (1, ORDER):
        with tempfile.TemporaryDirectory() as place:
            folder, bundle = Path(place) / "checkpoint", Path(place) / "bundle"
            shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns("language_model"))
            write_decoder(folder, order)
            subprocess.run([program, "export", str(folder), str(bundle)], check=True)
            with onnxtasks.load(bundle, variant="cpu-fp32") as task:
                for name, speech in tests.items():
                    found[name]["greedy"] = word_error_rate(task, speech, "greedy")
                    found[name][f"{order}-gram"] = word_error_rate(task, speech, "beam")
    return found


def main() -> None:
    """Count, write, measure; the numbers join those of the checkpoint."""
    folder = CHECKPOINTS / "speech"
    write_decoder(folder, ORDER)
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    metrics["decoders"] = {"texts": TEXTS, "held_out_size": TEST_SIZE, **measure(folder)}
    text = json.dumps(metrics, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
