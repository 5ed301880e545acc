"""What language model and hotwords say to the texts of a beam search; each is asked once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.speech.hotwords import Hotwords
from onnxtasks.speech.lexicon import MULTIPLIER, Doubles, Hashes, Lexicon, mixed
from onnxtasks.speech.ngram import LanguageModel, States

Rows: TypeAlias = npt.NDArray[np.int64]
"""Places of texts in a table."""

USUAL_LENGTH = 6
"""Characters; a longer beginning of an unknown word costs more (pyctcdecode's AVG_TOKEN_LEN)."""
LN_10 = math.log(10)
"""Language models give log10."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """How a language model joins the acoustic scores, as pyctcdecode's LanguageModel."""

    model: LanguageModel
    lexicon: Lexicon | None
    """The known words; None: the model's, which it does not tell."""
    alpha: float
    """Weight of its score."""
    beta: float
    """Added for every word."""
    unk_score_offset: float
    """Added (in log10, times alpha) for a word that is not known; as it is for the beginning of
    one."""
    score_boundary: bool
    """Whether the text starts and ends as a sentence."""

    def score(
        self, states: States, words: Hashes, spell: Callable[[int], str], ends: bool
    ) -> tuple[Doubles, States]:
        """What each word after each state adds, and the state after it.

        Args:
            states: [word, part].
            words: [word].
            spell: The text of the word at a place.
            ends: Whether the text ends after it.
        """
        scores, after, known = self.model.advance(states, words, spell)
        if self.lexicon is not None and self.lexicon.words.size:
            known = known & self.lexicon.knows(words)
        scores = scores + self.unk_score_offset * ~known
        if ends and self.score_boundary:
            scores = scores + self.model.end(after)
        return self.alpha * LN_10 * scores + self.beta, after

    def of_parts(self, parts: Hashes, lengths: npt.NDArray[np.int64]) -> Doubles:
        """[part]: what the beginning of a word adds: nothing, where a known word begins so."""
        fits = lengths == 0 if self.lexicon is None else self.lexicon.begins(parts)
        cost = self.unk_score_offset * np.maximum(lengths, USUAL_LENGTH) / USUAL_LENGTH
        cost[fits] = 0
        return cost


class TextTable:
    """Texts of finished words: a row of each array, found by the text's hash."""

    def __init__(self, fusion: Fusion | None, hotwords: Hotwords | None, tail: int) -> None:
        """Start with the empty text in row 0.

        Args:
            fusion: The language model.
            hotwords: The hotwords.
            tail: How many last words `tails` tells apart; 0: it is not used.
        """
        self._fusion = fusion
        self._hotwords = hotwords
        self._rows = {0: 0}
        self._hashes = np.zeros(1, np.int64)
        self._model_scores = np.zeros(1)
        self._totals = np.zeros(1)
        self._bonus = np.zeros(1)
        self._tails = np.zeros((1, tail), np.int64)
        self._states: States = np.zeros((1, 0), np.int64)
        if fusion:
            self._states = fusion.model.start(fusion.score_boundary)
        self._used = 1

    @property
    def silent(self) -> bool:
        """Whether nothing is ever added to a score."""
        return self._fusion is None and self._hotwords is None

    def totals(self, rows: Rows) -> Doubles:
        """[text]: what language model and hotwords add."""
        return self._totals.take(rows)

    def tails(self, rows: Rows) -> Hashes:
        """[text]: a hash of its last words."""
        tails: Hashes = self._tails.take(rows, axis=0) * mixed(np.arange(self._tails.shape[1]))
        return np.asarray(tails.sum(-1))

    def of_parts(self, parts: Hashes, lengths: npt.NDArray[np.int64]) -> Doubles:
        """[part]: what the beginning of a word adds; hotwords decide first."""
        if self._fusion is None:
            return self._hotwords.of_parts(parts, lengths)[0] if self._hotwords else np.zeros(1)
        added = self._fusion.of_parts(parts, lengths)
        if self._hotwords:
            favoured, begins = self._hotwords.of_parts(parts, lengths)
            added = np.where(begins, favoured, added)
        return added

    def close(
        self, texts: Hashes, rows: Rows, words: Hashes, spell: Callable[[int], str]
    ) -> tuple[Hashes, Rows]:
        """Add a word to each text.

        Args:
            texts: [beam], hashes.
            rows: [beam].
            words: [beam]; 0, the empty word, leaves the text as it is.
            spell: The text of a beam's word.

        Returns:
            The new texts' hashes and rows.
        """
        made = extended(texts, words)
        if self.silent and not self._tails.shape[1]:
            return made, rows  # nobody asks for the rows
        known, used = self._rows, self._used
        while len(known) > used:  # what a language model failed at
            known.popitem()
        found = np.array([known.setdefault(key, len(known)) for key in made.tolist()], np.int64)
        if len(known) > used:
            places = np.empty(len(known) - used, np.int64)
            new = (found >= used).nonzero()[0]
            places[found.take(new) - used] = new  # one of each, where the same is there twice
            self._add(made[places], rows[places], words[places], lambda one: spell(places[one]))
        return made, found

    def ending(self, rows: Rows, words: Hashes, spell: Callable[[int], str]) -> Doubles:
        """[text]: what is added when each text ends with a word; the empty word counts too."""
        bonus = self._bonus[rows]
        if self._hotwords:
            bonus = bonus + self._hotwords.of_words(words)
        if self._fusion is None:
            return bonus
        scores, _ = self._fusion.score(self._states[rows], words, spell, ends=True)
        return self._model_scores[rows] + scores + bonus

    def kept(self, rows: Rows) -> "TextTable":
        """A table of only these rows, in this order."""
        table = TextTable(self._fusion, self._hotwords, self._tails.shape[1])
        table._hashes = self._hashes[rows]
        table._model_scores, table._bonus = self._model_scores[rows], self._bonus[rows]
        table._totals, table._tails = self._totals[rows], self._tails[rows]
        table._states = self._states[rows]
        table._rows = {key: row for row, key in enumerate(table._hashes.tolist())}
        table._used = len(rows)
        return table

    def _add(self, made: Hashes, rows: Rows, words: Hashes, spell: Callable[[int], str]) -> None:
        used = self._used + len(made)
        self._reserve(used)
        new = slice(self._used, used)
        if self._fusion:
            scores, after = self._fusion.score(self._states[rows], words, spell, ends=False)
            self._model_scores[new] = self._model_scores[rows] + scores
            self._states[new] = after
        bonus = self._bonus[rows]
        if self._hotwords:
            bonus = bonus + self._hotwords.of_words(words)
        self._bonus[new] = bonus
        self._totals[new] = self._model_scores[new] + bonus
        self._hashes[new] = made
        if self._tails.shape[1]:
            self._tails[new, :-1] = self._tails[rows, 1:]
            self._tails[new, -1] = words
        self._used = used

    def _reserve(self, size: int) -> None:
        """Make the arrays at least so long; they double, so that this is rare."""
        if size <= len(self._hashes):
            return
        more = max(size, 2 * len(self._hashes)) - len(self._hashes)
        for name in ("_hashes", "_model_scores", "_totals", "_bonus", "_tails", "_states"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]), old.dtype)]))


def extended(texts: Hashes, words: Hashes) -> Hashes:
    """[text]: the hash of a text and a word after it; of the text alone, where the word is empty.

    The text's hash times a constant, plus the word's, mixed: the order of the words counts.
    """
    return np.where(words == 0, texts, mixed(texts * MULTIPLIER + mixed(words)))
