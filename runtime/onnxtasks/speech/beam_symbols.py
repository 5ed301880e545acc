"""What the symbols of a CTC vocabulary do to a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.speech.lexicon import Flags, Hashes, hash_texts, mixed, powers

BLANK, SPACE, MARK = "", " ", "▁"


class Word(NamedTuple):
    """A word and where it was heard: from `start_frame` to before `end_frame`."""

    text: str
    start_frame: int
    end_frame: int


class Sign(NamedTuple):
    """A symbol and where it was heard: from `start_frame` to before `end_frame`."""

    symbol: int
    start_frame: int
    end_frame: int


@dataclass(frozen=True, slots=True)
class SymbolTable:
    """Symbols as numbers, one of each array per symbol.

    A symbol makes of a growing word's hash: hash * multipliers + additions.
    """

    texts: tuple[str, ...]
    """What each adds to a word; "" for the blank and the space."""
    blank: int
    breaks: Flags
    """Whether it ends the word before it: the space, and pieces that start with ▁."""
    opens: bool
    """Whether symbols that end a word also begin the next one: pieces do."""
    closes: Flags
    """Whether it also ends itself, as the piece ▁⁇▁ does."""
    additions: Hashes
    multipliers: Hashes
    """0 of those that end a word: they start from nothing."""
    lengths: npt.NDArray[np.int64]
    """Characters that they add."""
    marks: Hashes
    """Tell texts apart that end in different symbols."""

    @classmethod
    def of(cls, symbols: Sequence[str]) -> "SymbolTable":
        """Prepare a vocabulary.

        Args:
            symbols: In the order of the model's scores: "" is the blank. Words end at " ", or,
                where symbols start with "▁", before those.

        Raises:
            InputError: There is not one blank, symbols are there twice, or both " " and "▁" are
                used.
        """
        _check(symbols)
        pieces = any(symbol.startswith(MARK) for symbol in symbols)
        breaks = [symbol.startswith(MARK) if pieces else symbol == SPACE for symbol in symbols]
        closes = [len(text) > 2 and text[0] == text[-1] == MARK for text in symbols]
        # " " has no text either: its only character is cut off like the mark.
        texts = [
            symbol[1:].removesuffix(MARK) if is_break else symbol
            for symbol, is_break in zip(symbols, breaks, strict=True)
        ]
        lengths = np.array(list(map(len, texts)), np.int64)
        return cls(
            texts=tuple(texts),
            blank=symbols.index(BLANK),
            breaks=np.array(breaks, np.bool_),
            opens=pieces,
            closes=np.array(closes, np.bool_) & pieces,
            additions=hash_texts(texts),
            multipliers=np.where(breaks, 0, powers(lengths)),
            lengths=lengths,
            marks=mixed(mixed(np.arange(len(symbols)))),
        )

    def ends_word(self, symbol: int) -> bool:
        """Whether no word goes on after a symbol."""
        return bool(self.closes[symbol] or (self.breaks[symbol] and not self.opens))

    def words(self, signs: Sequence[Sign]) -> list[Word]:
        """Put symbols together to words; the last may be unfinished."""
        words: list[Word] = []
        text, start, end = "", -1, -1
        closed = False
        for symbol, first, last in signs:
            if self.breaks[symbol] or closed:
                if text:
                    words.append(Word(text, start, end))
                text, start, end = self.texts[symbol], first, last
                if not self.opens:
                    start = -1
            else:
                text += self.texts[symbol]
                start, end = first if start < 0 else start, last
            closed = bool(self.closes[symbol])
        return [*words, Word(text, start, end)] if text else words


def _check(symbols: Sequence[str]) -> None:
    if (
        not symbols
        or isinstance(symbols, str)
        or not all(isinstance(symbol, str) for symbol in symbols)
    ):
        raise InputError("symbols are a list of texts, one per score of a frame")
    if symbols.count(BLANK) != 1:
        raise InputError(
            f"{symbols.count(BLANK)} symbols are '', the blank; there must be one: replace the "
            "padding token's text"
        )
    if len(set(symbols)) < len(symbols):
        twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
        raise InputError(f"symbols that are there twice: {', '.join(map(repr, twice))}")
    spaces = [symbol for symbol in symbols if SPACE in symbol and symbol != SPACE]
    if any(symbol.startswith(MARK) for symbol in symbols) and SPACE in symbols:
        spaces.append(SPACE)
    if spaces:
        raise InputError(
            f"symbols with a space: {', '.join(map(repr, spaces))}; only ' ' itself may be one, in "
            "a vocabulary without pieces that start with '▁'"
        )
