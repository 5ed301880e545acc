"""How long each stage of a call takes, and what it pads; costs a lookup when nobody asks."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Padding:
    """What the text tasks gave to the graph."""

    tokens: int = 0
    """Tokens of the inputs, special ones included."""
    padding: int = 0
    """Filler behind the shorter inputs of a run."""

    @property
    def share(self) -> float:
        """Share of what the graph computed on that is padding, 0..1."""
        return self.padding / max(1, self.tokens + self.padding)


_recorded: ContextVar[dict[str, float] | None] = ContextVar("onnxtasks_stages", default=None)
_padded: ContextVar[Padding | None] = ContextVar("onnxtasks_padding", default=None)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Add the seconds spent inside to the stage `name`, if someone records."""
    seconds = _recorded.get()
    if seconds is None:
        yield
        return
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start


def staged(name: str, items: Iterable[T]) -> Iterator[T]:
    """The same items; the time it takes to get each counts as the stage `name`.

    What is done with an item in between does not.
    """
    source = iter(items)
    while True:
        with stage(name):
            found = list(islice(source, 1))
        if not found:
            return
        yield found[0]


@contextmanager
def record_stages() -> Iterator[dict[str, float]]:
    """Collect the seconds of every stage of the calls made inside, in this thread.

    Yields:
        A dictionary that fills up: "preprocess", "run", "postprocess" -> seconds.
    """
    seconds: dict[str, float] = {}
    token = _recorded.set(seconds)
    try:
        yield seconds
    finally:
        _recorded.reset(token)


def count_padding(tokens: int, padding: int) -> None:
    """Add one run's tokens and padding, if someone records."""
    counts = _padded.get()
    if counts is not None:
        counts.tokens += tokens
        counts.padding += padding


@contextmanager
def record_padding() -> Iterator[Padding]:
    """Collect what the text tasks called inside give to their graphs, in this thread.

    Yields:
        Counts that grow: tokens, padding, and the share of padding.
    """
    counts = Padding()
    token = _padded.set(counts)
    try:
        yield counts
    finally:
        _padded.reset(token)
