"""How long the variants of a bundle take where it is exported."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from onnxtasks.bundle import Bundle
from onnxtasks.session import open_sessions
from onnxtasks.tasks import bundle_class
from onnxtasks.timing import record_stages
from onnxtasks_export.calibration import spread_out
from onnxtasks_export.originals.base import Comparison
from onnxtasks_export.quiet import quiet

ROUNDS = 3
CALLS = 3
"""Measured calls of a variant in one round."""
SECONDS = 1.0
"""A round of a variant starts no further call after this long."""
TRIED = 9
"""Inputs of which one is chosen."""
RUN = "run"


def run_seconds(
    folder: Path, variants: Sequence[str], comparison: Comparison, items: Sequence[Any]
) -> dict[str, float]:
    """Median seconds that the graphs of each variant take for one answer.

    Preprocessing and what comes behind the graphs are the same for all, and left out.

    Args:
        folder: The bundle.
        variants: Measured in turns, so that a change of the machine's speed hits all of them.
        comparison: Asks a task.
        items: Of some of them, the one that takes the first variant a middling time.
    """
    bundle = Bundle.open(folder)
    item: Any = None
    with quiet(), ExitStack() as stack:
        calls: dict[str, Callable[[], float]] = {}
        for name in variants:
            sessions = stack.enter_context(closing(open_sessions(bundle, variant=name)))
            task = bundle_class(bundle).from_bundle(bundle, sessions.by_role)
            ask = partial(comparison.bundle, task)
            if not calls:
                tried = [items[place] for place in spread_out(items, TRIED)]
                seconds = [_seconds(partial(ask, [one])) for one in tried]
                item = tried[sorted(range(len(tried)), key=seconds.__getitem__)[len(tried) // 2]]
            calls[name] = partial(_seconds, partial(ask, [item]))
        return in_rounds(calls)


def in_rounds(
    calls: Mapping[str, Callable[[], float]], clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """The median of what each call gives; a round calls each some times, once without counting.

    Between two of them the threads of one may still spin when the other begins.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()
            end = clock() + SECONDS
            for _ in range(CALLS):
                found[name].append(call())
                if clock() >= end:
                    break
    return {name: median(seconds) for name, seconds in found.items()}


def _seconds(ask: Callable[[], object]) -> float:
    start = time.perf_counter()
    with record_stages() as stages:
        ask()
    return stages.get(RUN, time.perf_counter() - start)  # an answer may need no run
