"""Scores of an n-gram language model with back-off, for many contexts and words at once."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.speech.lexicon import (
    Doubles,
    Flags,
    Hashes,
    Lexicon,
    hash_texts,
)
from onnxtasks.speech.ngram_file import UNKNOWN, NGramArrays

Ids: TypeAlias = npt.NDArray[np.int64]
States: TypeAlias = npt.NDArray[Any]
"""[state, part]: what a language model keeps of the words before."""
Spell: TypeAlias = Callable[[int], str]


class LanguageModel(Protocol):
    """What a beam search asks of a language model over words."""

    @property
    def order(self) -> int:
        """Words of its longest n-grams."""

    def lexicon(self) -> Lexicon | None:
        """The words that it knows, where it can tell."""

    def start(self, sentence: bool) -> States:
        """[1, part]: the state at the start of a sentence, or of a text that is part of one."""

    def advance(self, states: States, words: Hashes, spell: Spell) -> tuple[Doubles, States, Flags]:
        """Score words after states.

        Args:
            states: [word, part].
            words: [word].
            spell: Gives the text of the word at a place.

        Returns:
            log10 of the probability, the states after the words, and which words it knows.
        """

    def end(self, states: States) -> Doubles:
        """log10 of the probability that a sentence ends after each state."""

    def knows(self, words: Sequence[str]) -> Flags:
        """Which words it knows."""


class NGramModel:
    """A back-off model over sorted arrays.

    A state holds, for 1, 2, ... words, the place of the n-gram that the last so many words are, or
    -1. Scores are sums in float64 of the file's numbers in float32, which KenLM sums in float32.
    """

    def __init__(self, arrays: NGramArrays) -> None:
        """Args: arrays: As `read_arpa` or `open_cache` gives them."""
        self._arrays = arrays
        self._size = len(arrays.hashes)

    @property
    def arrays(self) -> NGramArrays:
        """The model."""
        return self._arrays

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return len(self._arrays.scores)

    def words(self) -> list[str]:
        """All words, <unk>, <s> and </s> among them, in the order of their ids."""
        text = self._arrays.points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        ends = self._arrays.ends.tolist()
        return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def lexicon(self) -> Lexicon:
        """All words but <unk>."""
        return Lexicon.of([word for word in self.words() if word != UNKNOWN])

    def knows(self, words: Sequence[str]) -> Flags:
        """Which words are in the model; <unk> is not one."""
        hashes = hash_texts(words)
        known: Flags = self.ids(hashes) != self._arrays.unknown
        return known

    def ids(self, words: Hashes) -> Ids:
        """[word]: the id of each, <unk>'s for those that the model does not know."""
        hashes = self._arrays.hashes
        places = hashes.searchsorted(words)
        return np.where(hashes.take(places, mode="clip") == words, places, self._arrays.unknown)

    def start(self, sentence: bool) -> States:
        """The state after <s>, or after nothing."""
        state = np.full((1, self.order - 1), -1)
        if sentence and self.order > 1:
            state[0, 0] = self._arrays.start
        return state

    def advance(self, states: States, words: Hashes, spell: Spell) -> tuple[Doubles, States, Flags]:
        """As `LanguageModel.advance`; words need not be spelled."""
        ids = self.ids(words)
        scores, after = self.score(states, ids)
        return scores, after, ids != self._arrays.unknown

    def end(self, states: States) -> Doubles:
        """log10 of </s> after each state."""
        return self.score(states, np.full(len(states), self._arrays.end))[0]

    def score(self, states: States, ids: Ids) -> tuple[Doubles, States]:
        """Score words after states, as KenLM's BaseScore.

        Args:
            states: [word, order - 1].
            ids: [word].

        Returns:
            [word] log10 of the probability of the longest n-gram there is, plus the back-off
            weights of the longer contexts; [word, order - 1] the states after the words.
        """
        arrays = self._arrays
        scores = arrays.scores[0][ids].astype(np.float64)
        after = np.empty_like(states)
        if self.order > 1:
            after[:, 0] = ids
        for length, keys in enumerate(arrays.keys, 1):  # of the context
            context = states[:, length - 1]
            wanted = context * self._size + ids  # negative, and no key, where there is no context
            places = keys.searchsorted(wanted)
            found = keys.take(places, mode="clip") == wanted
            backoff = np.where(context < 0, 0, arrays.backoffs[length - 1].take(context))
            longer = arrays.scores[length].take(places, mode="clip")
            scores = np.where(found, longer, scores + backoff)
            if length < self.order - 1:
                after[:, length] = np.where(found, places, -1)
        return scores, after
