"""The table of targets, and whether a run met them."""

from dataclasses import dataclass

from benchmarks.figures import Ratio, ratio
from benchmarks.generation.engines import ENGINES
from benchmarks.generation.results import Results, fastest

EIGHT_BITS = ("onnxtasks-int8", "onnxtasks-w8")
GROWTH = 1.2
"""Of what reading the cache once costs: how much a step may grow with the text."""
LIMITS = {"cpu-fp32": 1.15, "cpu-int8": 1.6, "cpu-w8": 1.6, "cpu-w4": 2.0}
"""Variant -> most times the time that reading the weights and the cache once takes."""
PYTHON_SECONDS = 0.3e-3
"""Of a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How many times as fast as a peer."""

    case: str
    peer: str
    ours: tuple[str, ...]
    """The fastest of them counts."""
    bound: float


def _both(case: str, exact: float, fast: float) -> tuple[Target, Target]:
    return (
        Target(case=case, peer="ctranslate2-fp32", ours=("onnxtasks-fp32",), bound=exact),
        Target(case=case, peer="ctranslate2-int8", ours=EIGHT_BITS, bound=fast),
    )


TARGETS: tuple[Target, ...] = (
    *_both("gpt2-greedy-1", 1.2, 2.0),
    *_both("gpt2-greedy-8", 1.2, 1.5),
    *_both("gpt2-prompt-512", 1.2, 1.0),
    *_both("bart-base-greedy-1", 1.05, 2.2),
    *_both("bart-base-beam4-1", 1.4, 3.0),
    *_both("bart-base-beam4-8", 1.7, 1.9),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what came of it."""

    target: Target
    engine: str | None
    """The one of ours that counted; None where it or the peer was not measured."""
    ratio: Ratio | None

    @property
    def met(self) -> bool | None:
        """Whether the medians' ratio reaches the bound."""
        return None if self.ratio is None else self.ratio.value >= self.target.bound

    @property
    def title(self) -> str:
        """What is compared."""
        ours = self.engine or self.target.ours[0]
        return (
            f"{self.target.case}: {ENGINES[ours].title} against {ENGINES[self.target.peer].title}"
        )


def judge(results: Results) -> list[Verdict]:
    """Hold a run against each target whose case it measured."""
    verdicts = []
    for target in TARGETS:
        case = results.cases.get(target.case)
        if case is None:
            continue
        engine, found = fastest(case, target.ours), None
        if engine is not None and target.peer in case.engines:
            peer = case.engines[target.peer].whole.rounds
            found = ratio(peer, case.engines[engine].whole.rounds)
        verdicts.append(Verdict(target, engine, found))
    return verdicts
