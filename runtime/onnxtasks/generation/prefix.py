"""Kept prefixes: the cache of a text that was read before serves the next one that begins alike."""

import threading
from dataclasses import dataclass

import numpy as np

from onnxtasks.generation.cache import Memory
from onnxtasks.generation.reader import Int

MOST = 16
"""Texts that are kept at most; a new one is compared with each."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """A text that was read, and the memory whose first slots are its tokens."""

    tokens: Int
    """[token]"""
    memory: Memory
    """Of one sentence."""

    def within(self, bytes_allowed: int) -> "Prefix":
        """The same, with the room for more slots given back where it is too much."""
        if self.memory.bytes <= bytes_allowed:
            return self
        return Prefix(self.tokens, self.memory.copy(len(self.tokens), len(self.tokens)))


class Prefixes:
    """The texts read last, up to a number of bytes; safe to use from several threads.

    A caller takes a prefix out and owns it; nobody else sees it until it is put back. With float
    weights an answer is the same as without a kept prefix, up to rounding; with dynamically
    quantised activations it differs as it does between batches.
    """

    def __init__(self, bytes_allowed: int) -> None:
        """Keep nothing yet.

        Args:
            bytes_allowed: What the kept memory may take together; what callers have taken out is
                theirs and not counted.
        """
        self._bytes_allowed = bytes_allowed
        self._kept: list[Prefix] = []  # the one used last is last
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """What the kept memory takes."""
        with self._lock:
            return sum(prefix.memory.bytes for prefix in self._kept)

    def take(self, tokens: Int, slots: int) -> Prefix | None:
        """Take the longest beginning of a text that is kept; None where nothing is.

        A whole kept text is handed over. Of one that goes on differently the common part is
        copied, because the rest may be asked for again, and reading costs far more than a copy.

        Args:
            tokens: [token]; one token at least is left to be read.
            slots: How many tokens there has to be room for in a copy.
        """
        with self._lock:
            shared = [common(prefix.tokens, tokens[:-1]) for prefix in self._kept]
            if not any(shared):
                return None
            length = max(shared)
            prefix = self._kept.pop(shared.index(length))
        if length == len(prefix.tokens):
            return prefix
        memory = prefix.memory.copy(length, slots)
        self.put(prefix)
        return Prefix(tokens[:length].copy(), memory)

    def put(self, prefix: Prefix) -> None:
        """Keep a text; those used longest ago make room, and it is left out where it is too big."""
        prefix = prefix.within(self._bytes_allowed)
        if not len(prefix.tokens) or prefix.memory.bytes > self._bytes_allowed:
            return
        with self._lock:
            kept = [old for old in self._kept if not _begins(prefix.tokens, old.tokens)]
            kept.append(prefix)
            total = sum(old.memory.bytes for old in kept)
            while total > self._bytes_allowed or len(kept) > MOST:
                total -= kept.pop(0).memory.bytes
            self._kept = kept

    def clear(self) -> None:
        """Give all memory back."""
        with self._lock:
            self._kept = []


def common(first: Int, second: Int) -> int:
    """How many tokens two texts begin with alike."""
    length = min(len(first), len(second))
    differs = np.flatnonzero(first[:length] != second[:length])
    return int(differs[0]) if len(differs) else length


def _begins(text: Int, beginning: Int) -> bool:
    return common(text, beginning) == len(beginning)
