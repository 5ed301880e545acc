"""Which of several measured ways to load a bundle is the best: figures in, a verdict out.

Two ways are compared by the ratios of their rounds, which were made in turns. Where the lower
quartile of these ratios is not above 1, the difference is within the spread and counts as none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxtasks.errors import InputError

MARGIN = 1.1


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to load a bundle."""

    variant: str
    device: str
    threads: int
    budget: float | None
    """Padded size of one batch of `map`, in the task's units; None for the task's own."""
    exact: bool
    """Whether it computes in fp32."""
    divergence: float
    """What its variant moved in one answer at most, as `parity.json` says; infinite if unknown."""
    default: bool
    """Whether it is what a bundle is loaded with where nothing was tuned."""

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        budget = "" if self.budget is None else f", budget {self.budget:g}"
        return f"{self.variant} on {self.device}, {threads}{budget}"

    @property
    def cost(self) -> tuple[bool, float, int, bool, bool]:
        """What is preferred among equally fast ones; the smaller the better."""
        inexact = 0.0 if self.exact else self.divergence
        return (not self.exact, inexact, self.threads, self.budget is not None, not self.default)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one candidate."""

    candidate: Candidate
    rounds: tuple[float, ...]
    """Seconds of one input, round by round: the mean of its calls, or of one pass of `map`."""
    p95: float | None = None
    """Of all calls with one input, in seconds; None where no such calls were made."""

    @property
    def median(self) -> float:
        """Seconds of one input in the middle round."""
        return float(np.median(self.rounds))


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate and what became of it."""

    figures: Figures
    ratio: tuple[float, float, float] | None
    """Its time over that of the fastest: median and quartiles; None where it is above the limit."""
    verdict: str
    chosen: bool = False


def ratios(rounds: Sequence[float], fastest: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile of the ratios of the rounds that both have."""
    pairs = zip(rounds, fastest, strict=False)
    low, middle, high = np.percentile([one / other for one, other in pairs], (25, 50, 75))
    return float(middle), float(low), float(high)


def clearly_slower(rows: Sequence[Figures]) -> set[int]:
    """Which candidates took `MARGIN` times as long as the fastest in every round, by their index.

    Of two equal ones, one is often the slower in all of a few rounds; so it takes a margin.
    """
    fastest = min(rows, key=lambda row: row.median)
    return {
        index
        for index, row in enumerate(rows)
        if all(one > MARGIN * two for one, two in zip(row.rounds, fastest.rounds, strict=False))
    }


def choose(rows: Sequence[Figures], max_latency: float | None = None) -> list[Row]:
    """Choose the fastest within the limit; of equally fast ones the one that costs least.

    Exactness comes first, then the smaller divergence, fewer threads, the task's own budget, and
    what is loaded without tuning.

    Args:
        rows: What was measured.
        max_latency: Largest p95 of a call with one input, in seconds.

    Returns:
        The chosen one first, then the others from fast to slow; those above the limit last.

    Raises:
        InputError: None is within the limit.
    """
    limit = float("inf") if max_latency is None else max_latency
    allowed = [row for row in rows if row.p95 is None or row.p95 <= limit]
    if not allowed:
        least = min(rows, key=lambda row: row.p95 or 0.0)
        raise InputError(
            f"nothing answers within {_ms(limit)} (p95): {least.candidate} comes closest with "
            f"{_ms(least.p95 or 0.0)}; allow more, or export a faster variant"
        )
    fastest = min(allowed, key=lambda row: row.median)
    against = {id(row): ratios(row.rounds, fastest.rounds) for row in allowed}
    equal = [row for row in allowed if against[id(row)][1] <= 1]
    chosen = min(equal, key=lambda row: row.candidate.cost)
    found = [Row(chosen, against[id(chosen)], _why(chosen, fastest, equal), chosen=True)]
    for row in sorted(allowed, key=lambda row: row.median):
        if row is not chosen:
            told = _as_fast(row, chosen) if row in equal else _slower(against[id(row)])
            found.append(Row(row, against[id(row)], told))
    above = [row for row in rows if row.p95 is not None and row.p95 > limit]
    return found + [
        Row(row, None, f"p95 {_ms(row.p95 or 0.0)} is above the limit") for row in above
    ]


def _why(chosen: Figures, fastest: Figures, equal: Sequence[Figures]) -> str:
    if chosen is fastest:
        return "the fastest" if len(equal) == 1 else "the fastest, and of equally fast ones first"
    return f"as fast as {fastest.candidate}, and {_advantage(chosen.candidate, fastest.candidate)}"


def _as_fast(row: Figures, chosen: Figures) -> str:
    return f"as fast, but the chosen one is {_advantage(chosen.candidate, row.candidate)}"


def _slower(ratio: tuple[float, float, float]) -> str:
    return f"takes {ratio[0]:.2f}x the time of the fastest"


def _advantage(better: Candidate, other: Candidate) -> str:
    """What speaks for the one that costs less."""
    words = ("exact", "closer to the original", "on fewer threads", "on the task's own budget")
    for mine, its, word in zip(better.cost, other.cost, words, strict=False):
        if mine != its:
            return word
    return "the default" if better.default else "listed first"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
