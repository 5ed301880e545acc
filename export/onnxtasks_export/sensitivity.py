"""Which parts of a graph stay in fp32: found by measuring, in a bounded number of steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

GROUPS = 8
"""Runs of neighbouring parts that are first tried as one."""
MOST_MEASURES = 40
"""Measurements of one search. A count and not a time, so that the same inputs give the same bytes.
"""

Measure = Callable[[frozenset[int]], float]
"""Places of the parts in fp32 -> divergence of a graph with all others in 8 bits."""


@dataclass(frozen=True)
class Kept:
    """What a search found."""

    places: frozenset[int]
    """Of the parts that stay in fp32."""
    divergence: float
    """With just these in fp32."""
    measures: int


def find_kept(count: int, measure: Measure, *, limit: float, most: int = MOST_MEASURES) -> Kept:
    """Leave the worst parts in fp32 until the divergence is within a limit.

    Where not everything can be quantised, groups of neighbours are measured one by one: each alone
    in 8 bits. The worst leaves first, then the next, until the rest is within the limit. What had
    to leave comes back in halves, as far as the limit allows.

    Args:
        count: Number of parts.
        measure: Asked once for each choice.
        limit: Largest divergence.
        most: Measurements after which nothing more is tried; at least one for each group is made.

    Returns:
        The parts in fp32: all of them where nothing else is within the limit.
    """
    everything = frozenset(range(count))
    seen: dict[frozenset[int], float] = {everything: 0.0}

    def far(kept: frozenset[int]) -> float:
        if kept not in seen:
            seen[kept] = measure(kept)
        return seen[kept]

    kept: frozenset[int] = frozenset()
    if far(kept) > limit:
        groups = split(range(count), GROUPS)
        alone = [far(everything - set(group)) for group in groups]
        worst_first = sorted(range(len(groups)), key=lambda place: -alone[place])
        left: list[Sequence[int]] = []
        for place in worst_first:
            left.append(groups[place])
            kept = kept | set(groups[place])
            if far(kept) <= limit:
                break
        kept = _back_in_halves(kept, left, far, limit, lambda: len(seen) - 1 < most)
    return Kept(kept, far(kept), len(seen) - 1)


def split(places: Sequence[int], count: int) -> list[Sequence[int]]:
    """Cut into at most so many runs of neighbours, about equal, none of them empty."""
    bounds = [len(places) * part // count for part in range(count + 1)]
    return [places[start:end] for start, end in pairwise(bounds) if end > start]


def _back_in_halves(
    kept: frozenset[int],
    left: Sequence[Sequence[int]],
    far: Measure,
    limit: float,
    more: Callable[[], bool],
) -> frozenset[int]:
    """Quantise again what the limit allows, the least harmful group first."""
    waiting = [half for group in reversed(left) for half in split(group, 2)]
    while waiting and more():
        run = waiting.pop(0)
        without = kept - set(run)
        if far(without) <= limit:
            kept = without
        elif len(run) > 1:
            waiting += split(run, 2)
    return kept
