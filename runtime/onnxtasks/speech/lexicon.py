"""Words known by their 64-bit hashes, and whether the beginning of a word begins a known one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Hashes: TypeAlias = npt.NDArray[np.int64]
"""64-bit hashes; int64, whose arrays wrap silently."""
Doubles: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

MULTIPLIER = np.array(0x2545F4914F6CDD1D, np.int64)
"""Odd, so that multiplying by it loses nothing."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Known words as two sorted arrays: no tree, no Python object per word.

    A text counts as known where its hash is; of 10**15 look-ups in a million prefixes, some 50
    would be wrong.
    """

    words: Hashes
    """Sorted hashes of the words."""
    prefixes: Hashes
    """Sorted hashes of everything that a word begins with, the empty text and words included."""

    @classmethod
    def of(cls, words: Sequence[str]) -> "Lexicon":
        """The lexicon of these words; the same word may be there more than once."""
        found = [np.zeros(1, np.int64)]
        found += [hashes for _, hashes in _growing(*code_points(words))]
        return cls(np.unique(hash_texts(words)), np.unique(np.concatenate(found)))

    def knows(self, hashes: Hashes) -> Flags:
        """[text]: whether each is a word."""
        return contains(self.words, hashes)

    def begins(self, hashes: Hashes) -> Flags:
        """[text]: whether a word begins with each, or is it."""
        return contains(self.prefixes, hashes)


def contains(known: Hashes, asked: Hashes) -> Flags:
    """Which of the asked hashes are among the known ones, which are sorted."""
    if not known.size:
        return np.zeros(asked.shape, np.bool_)
    return np.equal(known.take(known.searchsorted(asked), mode="clip"), asked)


def hash_texts(texts: Sequence[str]) -> Hashes:
    """[text]: the hash of each; 0 for the empty one.

    The hash of a text and a character after it is the text's times `MULTIPLIER` plus the
    character's (a polynomial modulo 2**64), so that parts can be joined without the text.
    """
    return hash_points(*code_points(texts))


def hash_points(points: npt.NDArray[np.uint32], ends: npt.NDArray[np.int64]) -> Hashes:
    """As `hash_texts`, of what `code_points` made."""
    hashes = np.zeros(len(ends), np.int64)
    for index, longer in _growing(points, ends):
        hashes[index] = longer
    return hashes


def code_points(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The code points of all texts in one array, and where each text ends in it."""
    joined = "".join(texts).encode("utf-32-le", "surrogatepass")
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return np.frombuffer(joined, "<u4"), np.cumsum(lengths)


def powers(lengths: npt.NDArray[np.int64]) -> Hashes:
    """`MULTIPLIER` to the power of each length: what joining so many characters multiplies by."""
    table = np.ones(int(lengths.max(initial=0)) + 1, np.int64)
    table[1:] = MULTIPLIER
    return np.asarray(np.multiply.accumulate(table)[lengths])


def mixed(values: Hashes) -> Hashes:
    """Spread the bits of numbers over 64 bits, one to one (Vigna's splitmix64)."""
    bits = (values + np.array(-0x61C8864680B583EB, np.int64)).view(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.array(0xBF58476D1CE4E5B9, np.uint64)
    bits = (bits ^ (bits >> np.uint64(27))) * np.array(0x94D049BB133111EB, np.uint64)
    return (bits ^ (bits >> np.uint64(31))).view(np.int64)


def _growing(
    points: npt.NDArray[np.uint32], ends: npt.NDArray[np.int64]
) -> Iterator[tuple[npt.NDArray[np.int64], Hashes]]:
    """For 1, 2, ... characters: which texts have so many, and the hashes of those characters."""
    values = mixed(points.astype(np.int64))
    lengths = np.diff(ends, prepend=0)
    starts = ends - lengths
    alive = np.arange(len(ends))
    hashes = np.zeros(len(ends), np.int64)
    for position in range(int(lengths.max(initial=0))):
        longer = lengths[alive] > position
        alive, hashes = alive[longer], hashes[longer]
        hashes = hashes * MULTIPLIER + values[starts[alive] + position]
        yield alive, hashes
