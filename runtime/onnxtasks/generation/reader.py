"""The border between the decode loop and a model: what reads tokens and gives scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Int: TypeAlias = npt.NDArray[np.int64]
Float: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of the next token: all logits, or only the best log-probabilities of each row.

    Valid until the reader's next call. The caller may write into the arrays.
    """

    logits: Float | None = None
    """[sentence, row, word]; log-probabilities where they were asked for normalized; None where
    only the best were asked for."""
    top_scores: Float | None = None
    """[sentence, row, k]: log-probabilities, best first; None where all logits were asked for."""
    top_ids: Int | None = None
    """[sentence, row, k]: the words of `top_scores`."""

    def all_logits(self) -> Float:
        """All scores [sentence, row, word] of a call without `top`."""
        if self.logits is None:
            raise TypeError("the reader gave no logits although none of the best were asked for")
        return self.logits

    def best(self) -> tuple[Float, Int]:
        """Log-probabilities and words [sentence, row, k] of a call with `top`."""
        if self.top_scores is None or self.top_ids is None:
            raise TypeError("the reader gave no best scores although they were asked for")
        return self.top_scores, self.top_ids


class Reader(Protocol):
    """A model that reads tokens into its cache and scores what may follow.

    A sentence is one prompt; its rows are what goes on from it side by side (beams, or several
    returned samples). `sentences` is how many are present.
    """

    @property
    def sentences(self) -> int:
        """How many sentences are present."""
        ...

    @property
    def words(self) -> int:
        """Size of the vocabulary."""
        ...

    @property
    def room(self) -> int | None:
        """The largest number of tokens in one text, its prompt included; None for no limit."""
        ...

    def prompt(self, prompts: Sequence[Int], *, top: int = 0, normalized: bool = False) -> Scores:
        """Read one prompt a sentence; scores after the last token of each, with one row.

        Args:
            prompts: Token ids of each, at least one.
            top: 0 for all scores, else how many of the best log-probabilities of each row.
            normalized: Whether all scores are log-probabilities, and not logits.
        """
        ...

    def step(self, tokens: Int, parents: Int, *, top: int = 0, normalized: bool = False) -> Scores:
        """Read one token a row.

        Args:
            tokens: [sentence, row].
            parents: [sentence, row]: row r goes on from row parents[s, r] of the call before.
            top: As in `prompt`.
            normalized: As in `prompt`.
        """
        ...

    def chain(self, tokens: Int) -> Scores:
        """Read several tokens [row], one after the other, of the only sentence; scores after each.

        The next call goes on after the last of them that was not forgotten.
        """
        ...

    def forget(self, tokens: int) -> None:
        """Undo the last `tokens` of the call of `chain` before."""
        ...

    def keep(self, sentences: Sequence[int]) -> None:
        """Go on with these only: ascending indices of the present ones."""
        ...

    def close(self) -> None:
        """Give the cache back; may be called twice."""
        ...
