"""Binary language models of KenLM, through the Python package `kenlm` where it is installed."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from onnxtasks.errors import InputError
from onnxtasks.speech.lexicon import Doubles, Flags, Hashes
from onnxtasks.speech.ngram import Spell, States

SUFFIXES = (".bin", ".binary", ".klm")


class KenlmModel:
    """As `LanguageModel`. A state is one kenlm.State, in an array of objects."""

    def __init__(self, path: Path) -> None:
        """Args: path: The file.

        Raises:
            InputError: The package is not installed, or cannot read the file.
        """
        try:
            kenlm: Any = import_module("kenlm")
        except ImportError as error:
            raise InputError(
                f"{path}: binary language models are read by the package kenlm, which is not "
                "installed (`pip install kenlm`); ARPA files need nothing"
            ) from error
        try:
            self._model: Any = kenlm.Model(str(path))
        except (OSError, RuntimeError) as error:
            raise InputError(f"{path}: kenlm cannot read it: {error}") from error
        self._new_state: Any = kenlm.State
        self._spelled: dict[int, str] = {}

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return int(self._model.order)

    def lexicon(self) -> None:
        """The file does not tell its words."""

    def knows(self, words: Sequence[str]) -> Flags:
        """Which words are in the model."""
        return np.array([word in self._model for word in words], np.bool_)

    def start(self, sentence: bool) -> States:
        """The state after <s>, or after nothing."""
        state = self._new_state()
        if sentence:
            self._model.BeginSentenceWrite(state)
        else:
            self._model.NullContextWrite(state)
        return _column([state])

    def advance(self, states: States, words: Hashes, spell: Spell) -> tuple[Doubles, States, Flags]:
        """As `LanguageModel.advance`; each word is spelled once."""
        scores, after, known = np.zeros(len(words)), [], []
        for place, (state, word) in enumerate(zip(states[:, 0], words.tolist(), strict=True)):
            if word not in self._spelled:
                self._spelled[word] = spell(place)
            text, new = self._spelled[word], self._new_state()
            scores[place] = self._model.BaseScore(state, text, new)
            after.append(new)
            known.append(text in self._model)
        return scores, _column(after), np.array(known, np.bool_)

    def end(self, states: States) -> Doubles:
        """log10 of </s> after each state."""
        end = self._new_state()
        return np.array([self._model.BaseScore(state, "</s>", end) for state in states[:, 0]])


def _column(states: Sequence[Any]) -> States:
    """[state, 1]."""
    column = np.empty((len(states), 1), np.object_)
    column[:, 0] = states
    return column
