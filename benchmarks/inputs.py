"""The inputs that are not in the repository, made with fixed seeds."""

import math
import random
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from statistics import NormalDist

import numpy as np

CONSONANTS, VOWELS = "bcdfghjklmnprstvwz", "aeiou"
SYLLABLES = [consonant + vowel for consonant in CONSONANTS for vowel in VOWELS]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = 30522  # of BERT
RATE = 16_000  # samples per second
SHORTEST, MIDDLE, LONGEST, SIGMA = 5, 40, 400, 0.9
"""The lengths of a mixed set, in tokens, and the spread of their logarithms."""


def word_pieces(size: int = VOCABULARY) -> dict[str, int]:
    """A WordPiece vocabulary of pronounceable words: piece -> id.

    Holds every letter, digit and common sign alone and as the inside of a word, so that no text in
    them is unknown; the rest are words of one to four syllables.
    """
    signs = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [*SPECIAL, *".,;:!?'\"()-", *signs, *(f"##{sign}" for sign in signs)]
    pieces += [f"##{syllable}" for syllable in SYLLABLES]
    rng = random.Random(0)
    found = dict.fromkeys(pieces)
    while len(found) < size:
        found["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4)))] = None
    return {piece: index for index, piece in enumerate(found)}


@cache
def _words() -> tuple[str, ...]:
    return tuple(piece for piece in word_pieces() if len(piece) >= 8 and piece.isalpha())


@cache
def _longest_words() -> tuple[str, ...]:
    return tuple(word for word in _words() if len(word) == 8)


def text_of(tokens: int, seed: int = 1) -> str:
    """A text that `word_pieces` cuts into so many tokens, [CLS] and [SEP] included.

    Every ninth token is a full stop or a comma, and every seventh word is longer than any of the
    vocabulary: two pieces.

    Args:
        tokens: At least 3.
        seed: Picks the words.
    """
    words = _words()
    rng = random.Random(seed)
    text, left = rng.choice(words).capitalize(), tokens - 3
    while left > 0:
        if left % 9 == 0:
            text, left = text + rng.choice(".,"), left - 1
        elif left % 7 == 0 and left > 1:
            text, left = f"{text} {rng.choice(_longest_words())}s", left - 2
        else:
            text, left = f"{text} {rng.choice(words)}", left - 1
    return text


def mixed_lengths(count: int) -> list[int]:
    """Lengths as texts of people have them: many short ones, few long ones.

    The quantiles (i + 1/2) / count of a log-normal distribution, so that a set of any size has the
    same shape: median 40 tokens, mean 59, one in ten above 127, one in a hundred above 324. Below 5
    and above 400 they are cut. Their order is shuffled with a fixed seed.

    Args:
        count: How many.
    """
    shape = NormalDist(math.log(MIDDLE), SIGMA)
    drawn = (math.exp(shape.inv_cdf((i + 0.5) / count)) for i in range(count))
    lengths = [min(LONGEST, max(SHORTEST, round(length))) for length in drawn]
    random.Random(2).shuffle(lengths)
    return lengths


def _text(path: Path) -> None:
    path.write_text(text_of(128) + "\n", encoding="utf-8")


def _mixed(path: Path, count: int) -> None:
    """One text a line, each with words of its own."""
    texts = [text_of(tokens, seed) for seed, tokens in enumerate(mixed_lengths(count))]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")


def _photo(path: Path, width: int = 1280, height: int = 960) -> None:
    """Soft shapes under sensor noise: at this size a JPEG of 300 kB, as a camera's would be."""
    from PIL import Image

    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    shapes = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noise = rng.normal(0, 5, shapes.shape).round().astype(np.int16)
    picture = np.clip(shapes + noise, 0, 255).astype(np.uint8)
    Image.fromarray(picture).save(path, quality=90)


def _speech(path: Path) -> None:
    """Five seconds of syllable-like bursts of a gliding tone in noise, 16 bit, 16 kHz."""
    import soundfile

    rng = np.random.default_rng(0)
    time = np.arange(5 * RATE) / RATE
    tone = np.sin(2 * np.pi * (140 * time + 12 * np.sin(2 * np.pi * 0.7 * time)))
    bursts = np.clip(np.sin(2 * np.pi * 4 * time), 0, 1)
    samples = 0.4 * tone * bursts + 0.02 * rng.normal(size=len(time))
    soundfile.write(path, samples.astype(np.float32), RATE, subtype="PCM_16")


MAKERS: dict[str, Callable[[Path], None]] = {
    "mixed-256.txt": partial(_mixed, count=256),
    "mixed-96.txt": partial(_mixed, count=96),
    "photo-1280x960.jpg": _photo,
    "photo-640x480.jpg": partial(_photo, width=640, height=480),
    "speech-5s.wav": _speech,
    "tokens-128.txt": _text,
}
"""File name -> what writes it."""
