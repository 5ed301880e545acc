"""The tokens of a text: what they stand for, where, and which continue a word.

Written anew after transformers 5.23's `TokenClassificationPipeline.gather_pre_entities`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding

from onnxtasks.errors import InputError
from onnxtasks.ops.text import Int, checked_text

Bool: TypeAlias = npt.NDArray[np.bool_]
TextOrWords: TypeAlias = str | tuple[str, ...]
"""A text, or its words; those stand for the text with one space between two words."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a whole text, without special ones."""

    strings: list[str]
    """Of the vocabulary; for an unknown token the text it stands for."""
    starts: Int  # [token], characters of the text
    ends: Int  # [token]
    inside: Bool  # [token], whether it continues the word before
    leading: int
    """Special tokens in front of the first one."""

    def part(self, at: int, count: int) -> "Tokens":
        """Some of them, as if there were no others."""
        cut = slice(at, at + count)
        return Tokens(
            self.strings[cut], self.starts[cut], self.ends[cut], self.inside[cut], self.leading
        )


def checked_words(item: TextOrWords) -> tuple[str, list[str] | None]:
    """Split into the text and, where words were given, the words.

    Raises:
        InputError: A wrong type, an empty text, or lone surrogates.
    """
    if isinstance(item, str):
        return checked_text(item)[0], None
    if not isinstance(item, tuple) or not all(isinstance(word, str) for word in item):
        kinds = (
            f"({', '.join(type(word).__name__ for word in item)})"
            if isinstance(item, tuple)
            else type(item).__name__
        )
        raise InputError(f"an item is a str or a tuple of words (str, ...), got {kinds}")
    if not item:
        raise InputError("the tuple of words is empty; there is nothing to answer")
    words = list(item)
    return checked_text(" ".join(words))[0], words


def own_tokens(encoding: Encoding) -> Int:
    """Positions of the tokens that are of the text, not special ones around it."""
    return np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)


def tokens_of(
    text: str, words: Sequence[str] | None, whole: Encoding, unk_id: int | None, *, marked: bool
) -> Tokens:
    """Read an encoding.

    Args:
        text: The original; with words, those with a space between two.
        words: What was encoded, if not the text itself.
        whole: From `TextEncoder.whole`.
        unk_id: The unknown token.
        marked: As `read_tokens`.
    """
    own = own_tokens(whole)
    offsets = np.array(whole.offsets, np.int64).reshape(-1, 2)[own]
    if words is not None:  # they count in each word
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])
        offsets += starts[[number or 0 for number in whole.word_ids]][own, None]
    strings = whole.tokens
    return read_tokens(
        text,
        [strings[place] for place in own.tolist()],
        (offsets[:, 0], offsets[:, 1]),
        np.array(whole.ids)[own] == (-1 if unk_id is None else unk_id),
        marked=marked,
        leading=int(own[0]) if len(own) else 0,
    )


def read_tokens(
    text: str,
    strings: Sequence[str],
    offsets: tuple[Int, Int],
    unknown: Bool,
    *,
    marked: bool,
    leading: int,
) -> Tokens:
    """Tell for each token whether it continues a word, and spell out the unknown ones.

    Args:
        text: What was tokenized.
        strings: The tokens as in the vocabulary.
        offsets: Starts and ends [token], characters of the text.
        unknown: [token], whether it stands for what is not in the vocabulary.
        marked: Whether tokens within a word have a mark (WordPiece's "##"), so that they are longer
            than their text. Else a word is what has spaces around it.
        leading: Special tokens in front.
    """
    starts, ends = offsets
    if marked:
        lengths = np.array([len(string) for string in strings], np.int64)
        inside = lengths != np.clip(ends - starts, 0, None)
    else:
        spaces = [" " in text[max(start - 1, 0) : start + 1] for start in starts.tolist()]
        inside = (starts > 0) & ~np.array(spaces, bool)
    spelled = list(strings)
    for place in np.flatnonzero(unknown).tolist():
        spelled[place] = text[starts[place] : ends[place]]
    return Tokens(spelled, starts, ends, inside & ~unknown, leading)
