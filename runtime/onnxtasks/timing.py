"""How long each stage of a call takes; costs a lookup when nobody asks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_recorded: ContextVar[dict[str, float] | None] = ContextVar("onnxtasks_stages", default=None)


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
