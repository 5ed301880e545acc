"""Statistics: medians of rounds, percentiles of calls, ratios with their spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.results import Timing
from onnxtasks.benchmark import spread as percentiles


@dataclass(frozen=True, slots=True)
class Ratio:
    """One quantity divided by another, measured in turns."""

    value: float
    """Of the medians."""
    low: float
    """Smallest ratio of two neighbours in time."""
    high: float

    @property
    def differs(self) -> bool:
        """Whether one was larger in every pair; otherwise there is no difference to speak of."""
        return self.low > 1 or self.high < 1


def timing(rounds: Sequence[Sequence[float]]) -> Timing:
    """Summarise the calls of an engine's rounds.

    Args:
        rounds: Seconds of each call, by round; no round is empty.
    """
    medians = [median(calls) for calls in rounds]
    middle = median(medians)
    every = percentiles([seconds for calls in rounds for seconds in calls])
    return Timing(
        median=middle,
        p95=every.p95,
        p99=every.p99,
        spread=(max(medians) - min(medians)) / middle,
        calls=sum(len(calls) for calls in rounds),
        rounds=tuple(medians),
    )


def ratio(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """Divide two engines' numbers; the n-th of both were measured next to each other.

    Pairs share whatever the machine did at that moment, so their ratios say how sure the whole is.
    """
    pairs = [a / b for a, b in zip(over, under, strict=True)]
    return Ratio(median(over) / median(under), min(pairs), max(pairs))
