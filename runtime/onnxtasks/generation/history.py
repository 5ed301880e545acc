"""The tokens of every row so far, as the rules see them."""

from collections.abc import Sequence

import numpy as np

from onnxtasks.generation.reader import Int

SPARE = 64
"""Places beyond the longest prompt at the start; later the room doubles."""


class History:
    """Token ids of all rows, kept in one array that grows in place.

    A row is one text being written; the rows of all sentences are numbered through. Places of
    `tokens` that a row does not fill hold the row's first token: a rule that takes the tokens as a
    set needs no mask.
    """

    __slots__ = (
        "_source",
        "_source_lengths",
        "_tokens",
        "_width",
        "items",
        "lengths",
        "prompt_lengths",
        "ragged",
    )

    def __init__(self, prompts: Sequence[Int], source: Sequence[Int] | None = None) -> None:
        """One row for each prompt.

        Args:
            prompts: Token ids of each, at least one; of an encoder-decoder, the decoder's start
                tokens.
            source: What the encoder of an encoder-decoder read, one array a row, at least one token
                each. None for a decoder alone, whose source is its prompt.
        """
        self.lengths = np.array([len(prompt) for prompt in prompts], np.int64)
        """How many tokens each row has: int64 [row]."""
        self.prompt_lengths = self.lengths.copy()
        """How many of them are its prompt: int64 [row]."""
        self.items = np.arange(len(prompts), dtype=np.int64)
        """Index of the prompt that each row goes on from, as the call gave them: int64 [row]."""
        self._width = int(self.lengths.max(initial=0))
        self.ragged = bool((self.lengths != self._width).any())
        """Whether some row is shorter than the longest."""
        self._tokens = _padded(prompts, self._width + SPARE)
        self._source: Int | None = None
        self._source_lengths = self.prompt_lengths
        if source is not None:
            self._source_lengths = np.array([len(tokens) for tokens in source], np.int64)
            self._source = _padded(source, int(self._source_lengths.max(initial=0)))

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.lengths)

    @property
    def tokens(self) -> Int:
        """int64 [row, longest row]; beyond a row's length its first token again."""
        return self._tokens[:, : self._width]

    @property
    def source(self) -> list[Int] | None:
        """What the encoder read, one array a row; None for a decoder alone."""
        if self._source is None:
            return None
        pairs = zip(self._source, self._source_lengths, strict=True)
        return [tokens[:length] for tokens, length in pairs]

    def source_tokens(self) -> tuple[Int, Int]:
        """What the rules about the encoder's input look at: of a decoder alone, the prompts.

        Returns:
            int64 [row, longest], with the row's first token again beyond its length, and the
            lengths int64 [row].
        """
        if self._source is not None:
            return self._source, self._source_lengths
        lengths = self.prompt_lengths
        tokens = self._tokens[:, : int(lengths.max(initial=0))]
        inside = np.arange(tokens.shape[1]) < lengths[:, None]
        return np.where(inside, tokens, tokens[:, :1]), lengths

    def row(self, index: int) -> Int:
        """The tokens of one row, its prompt included: int64 [token], not to be written to."""
        view = self._tokens[index, : self.lengths[index]]
        view.flags.writeable = False
        return view

    def ends(self, count: int) -> Int:
        """The last `count` tokens of each row: int64 [row, count].

        A row with fewer has its first token in place of those that it lacks.
        """
        if not self.ragged and count <= self._width:
            return self._tokens[:, self._width - count : self._width]
        places = np.maximum(self.lengths[:, None] - np.arange(count, 0, -1), 0)
        found: Int = self._tokens[np.arange(len(self.lengths))[:, None], places]
        return found

    def append(self, tokens: Int) -> None:
        """Add one token to each row.

        Args:
            tokens: int64 [row].
        """
        if self._width == self._tokens.shape[1]:
            more = np.repeat(self._tokens[:, :1], max(self._width, SPARE), axis=1)
            self._tokens = np.concatenate([self._tokens, more], axis=1)
        self._tokens[np.arange(len(self.lengths)), self.lengths] = tokens
        self.lengths += 1
        self._width += 1

    def reorder(self, parents: Int) -> None:
        """Row r becomes a copy of what row parents[r] was; there may be more or fewer rows then.

        Args:
            parents: [row after].
        """
        rows = np.asarray(parents, np.int64)
        self._tokens = self._tokens[rows]
        self.lengths = self.lengths[rows]
        self.prompt_lengths = self.prompt_lengths[rows]
        self.items = self.items[rows]
        self._width = int(self.lengths.max(initial=0))
        self.ragged = bool((self.lengths != self._width).any())
        if self._source is None:
            self._source_lengths = self.prompt_lengths
        else:
            self._source = self._source[rows]
            self._source_lengths = self._source_lengths[rows]

    def keep(self, rows: Sequence[int] | Int) -> None:
        """Go on with these rows only, in this order."""
        self.reorder(np.asarray(rows, np.int64))

    def forget(self, tokens: int) -> None:
        """Take back the last `tokens` of every row (drafts that were not confirmed)."""
        if tokens:
            self.lengths -= tokens
            self._width -= tokens
            beyond = np.arange(self._width + tokens) >= self.lengths[:, None]
            held = self._tokens[:, : self._width + tokens]
            np.copyto(held, held[:, :1], where=beyond)


def _padded(rows: Sequence[Int], width: int) -> Int:
    """Rows of different lengths in one array [row, width], filled with each row's first token."""
    tokens = np.empty((len(rows), width), np.int64)
    for padded, row in zip(tokens, rows, strict=True):
        padded[: len(row)] = row
        padded[len(row) :] = row[0]
    return tokens
