"""Makes beams.json: what pyctcdecode 0.5.0 reads in log-probabilities that are made from seeds.

In an environment with numpy<2, pyctcdecode==0.5.0 and kenlm==0.3.0 (nothing of this repository is
imported there):

    python tests/parity/frozen/ctc_beams/make_beams.py

The test makes the same log-probabilities, vocabularies and language models with the functions here.
"""

import json
import tempfile
import zlib
from collections import Counter
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BEAMS = Path(__file__).with_name("beams.json")
REFERENCES = {"pyctcdecode": "0.5.0", "kenlm": "0.3.0"}
KEPT = 5
"""Beams kept of each list."""

SYLLABLES = [one + other for one in "bdfgklmnprstvz" for other in "aeiou"]
CHARACTERS = ["", " ", *"abcdefghijklmnopqrstuvwxyz", "'", "-", "é", "ß"]
PIECES = [
    *("▁⁇▁", ""),
    *(f"▁{syllable}" for syllable in SYLLABLES),
    *SYLLABLES,
    *"aeiou",
    *("▁" + one for one in "bdgkmnst"),
    *("ban", "tel", "nor", "kas"),
]
VOCABULARIES = {
    "characters": CHARACTERS,
    "pieces": PIECES,
    "no words": [symbol for symbol in CHARACTERS if symbol != " "],
}
ORDERS = (2, 3, 4)
"""Of the language models."""
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"hotwords": ["bana telu", "zuzu"], "hotword_weight": 6.0},
    {"beam_width": 10, "token_min_logp": -8.0, "beam_prune_logp": -25.0},
    {"prune_history": True},
    {"hotwords": ["di", "dibano", "ra"], "hotword_weight": 2.5, "beam_width": 40},
    {"beam_width": 200, "token_min_logp": -3.0, "beam_prune_logp": -6.0},
)
MODEL_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"alpha": 1.2, "beta": 0.3, "unk_score_offset": -4.0},
    {"lm_score_boundary": False},
    {"unigrams": "half"},
)
SOUNDS = ((3.0, 10.0, 45), (5.0, 15.0, 60), (5.0, 8.0, 30))
"""Of the log-probabilities: size of the noise, height of what is said, frames."""


@cache
def words() -> list[str]:
    """A language's words, the frequent ones first."""
    rng = np.random.default_rng(1)
    made = ["bana", "telu", "zuzu", "di", "dibano", "ra"]
    while len(made) < 400:
        word = "".join(rng.choice(SYLLABLES, rng.integers(1, 4)).tolist())
        made += [word] if word not in made else []
    return made


def sentences(count: int, seed: int) -> list[list[str]]:
    """Sentences of words, the frequent ones more often."""
    rng, known = np.random.default_rng(seed), words()
    # Not rng.zipf: versions of numpy draw other numbers from the same seed.
    drawn = rng.random((count, 8))
    places = (len(known) * drawn * drawn * drawn * drawn).astype(int)
    lengths = rng.integers(1, 9, count)
    return [
        [known[place] for place in row[:length]]
        for row, length in zip(places, lengths, strict=True)
    ]


@cache
def arpa(order: int, seed: int = 2) -> str:
    """An ARPA file of all n-grams of 600 sentences, with weights that depend on the counts."""
    counts: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(order)]
    counts[0].update([("<unk>",), *((word,) for word in words())])
    for sentence in sentences(600, seed):
        padded = ["<s>", *sentence, "</s>"]
        for length in range(1, order + 1):
            grams = zip(*(padded[start:] for start in range(length)), strict=False)
            counts[length - 1].update(grams)
    lines = ["\\data\\", *(f"ngram {n}={len(grams)}" for n, grams in enumerate(counts, 1))]
    for length, known in enumerate(counts, 1):
        lines += ["", f"\\{length}-grams:"]
        for place, (gram, count) in enumerate(sorted(known.items())):
            score = -4.5 / length + 0.5 * np.log10(count) - (place * 7919 % 1000) / 2000
            backoff = f"\t{-(place * 104729 % 1000) / 1500:.6f}" if length < order else ""
            lines.append(f"{min(score, -0.01):.6f}\t{' '.join(gram)}{backoff}")
    return "\n".join([*lines, "", "\\end\\", ""])


def spelled(vocabulary: str, sentence: list[str]) -> list[int]:
    """The symbols of a sentence, without blanks."""
    symbols = VOCABULARIES[vocabulary]
    if vocabulary == "pieces":
        pieces = [
            ("▁" if start == 0 else "") + word[start : start + 2]
            for word in sentence
            for start in range(0, len(word), 2)
        ]
    else:
        pieces = list((" " if vocabulary == "characters" else "").join(sentence))
    return [symbols.index(piece) for piece in pieces]


def sound(item: dict[str, Any]) -> npt.NDArray[np.floating]:
    """[frame, symbol]: log-probabilities of an item."""
    rng = np.random.default_rng(item["seed"])
    symbols = VOCABULARIES[item["vocabulary"]]
    noise, height, frames = item["sound"]
    said = spelled(item["vocabulary"], sentences(1, item["seed"])[0])[: frames // 2]
    path = np.full(frames, symbols.index(""))
    places = np.sort(rng.permutation(frames)[: len(said)])
    path[places] = said
    longer = rng.random(frames) < 0.3
    longer[0] = False
    path[longer] = path[np.flatnonzero(longer) - 1]
    logits = noise * rng.standard_normal((frames, len(symbols)))
    logits[np.arange(frames), path] += height
    if "▁⁇▁" in symbols:  # where the reference's treatment depends on the order of its beams
        logits[:, symbols.index("▁⁇▁")] = -100.0
    logits -= logits.max(1, keepdims=True)
    values: npt.NDArray[np.floating] = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return values.astype(np.float32) if item["float32"] else values


def items() -> list[dict[str, Any]]:
    """What is decoded and how."""
    made: list[dict[str, Any]] = []
    for vocabulary in VOCABULARIES:
        for order in (None, *ORDERS):
            for place, options in enumerate(OPTIONS * 4):
                seed = len(made)
                model = MODEL_OPTIONS[(place // 2) % len(MODEL_OPTIONS)] if order else {}
                row: dict[str, Any] = {"vocabulary": vocabulary, "order": order, "model": model}
                row |= {"options": options, "sound": SOUNDS[seed % len(SOUNDS)]}
                made.append(row | {"seed": seed, "float32": seed % 5 == 4})
    return made


def known_words(item: dict[str, Any]) -> list[str] | None:
    """The unigrams that an item names: every second word, and one that no model has."""
    return [*words()[::2], "unheard"] if item["model"].get("unigrams") else None


def beams_of(item: dict[str, Any], folder: Path) -> list[list[Any]]:
    """The reference's beams: text, acoustic and combined score, and the words' frames."""
    from pyctcdecode import build_ctcdecoder  # type: ignore[import-not-found] # another venv

    path = None
    if item["order"]:
        path = folder / f"{item['order']}.arpa"
        path.write_text(arpa(item["order"]), encoding="utf-8")
    settings = {name: value for name, value in item["model"].items() if name != "unigrams"}
    decoder = build_ctcdecoder(
        VOCABULARIES[item["vocabulary"]], path and str(path), known_words(item), **settings
    )
    found = decoder.decode_beams(sound(item), **item["options"])
    decoder.cleanup()
    return [
        [text, round(float(acoustic), 6), round(float(score), 6), [frames for _, frames in spans]]
        for text, _, spans, acoustic, score in found[:KEPT]
    ]


def fingerprint(item: dict[str, Any]) -> list[float]:
    """Tells whether another version of numpy makes the same of the seeds."""
    model = zlib.crc32(arpa(item["order"]).encode()) if item["order"] else 0
    return [model, round(float(sound(item)[::3, ::5].sum(dtype=np.float64)), 2)]


def main() -> None:
    """Ask the reference and write what it says."""
    versions = {name: metadata.version(name) for name in REFERENCES}
    if versions != REFERENCES:
        raise SystemExit(f"these are {versions}, not {REFERENCES}")
    with tempfile.TemporaryDirectory() as folder:
        rows = [json.dumps(beams_of(item, Path(folder)), ensure_ascii=False) for item in items()]
    made = json.dumps([fingerprint(item) for item in items()])
    text = f'{{"versions": {json.dumps(versions)},\n"made": {made},\n"beams": [\n'
    text += ",\n".join(rows) + "\n]}\n"
    BEAMS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
