"""The table of targets, and whether a run met them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.engines import AS_GIVEN
from benchmarks.figures import Ratio, ratio
from benchmarks.results import Quantity, Results, fastest, series


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A ratio of two figures of one case, and its bound."""

    what: str
    case: str
    over: tuple[str | tuple[str, ...], Quantity]
    """Engine and quantity above the line; of several engines, the fastest over a set of texts."""
    under: tuple[str | tuple[str, ...], Quantity]
    bound: float
    want: Literal["at least", "at most"]
    form: Literal["times", "share"]
    """How it is written: "1.8x" or "60 %"."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what came of it."""

    target: Target
    ratio: Ratio | None
    """None where one of the two was not measured."""

    @property
    def met(self) -> bool | None:
        """Whether the medians' ratio is within the bound."""
        if self.ratio is None:
            return None
        at_least = self.target.want == "at least"
        value, bound = self.ratio.value, self.target.bound
        return value >= bound if at_least else value <= bound

    @property
    def sure(self) -> bool:
        """Whether every pair of rounds says the same as the medians."""
        return self.ratio is not None and not self.ratio.low < self.target.bound < self.ratio.high


TARGETS: tuple[Target, ...] = (
    Target(
        what="cpu-fp32 model against torch's",
        case="bert-base",
        over=("torch", "model"),
        under=("onnxtasks-fp32", "model"),
        bound=1.8,
        want="at least",
        form="times",
    ),
    Target(
        what="cpu-int8 model against torch's",
        case="bert-base",
        over=("torch", "model"),
        under=("onnxtasks-int8", "model"),
        bound=4.5,
        want="at least",
        form="times",
    ),
    Target(
        what="cpu-fp32 text to answer against the pipeline",
        case="bert-base",
        over=("transformers", "answer"),
        under=("onnxtasks-fp32", "answer"),
        bound=1.8,
        want="at least",
        form="times",
    ),
    Target(
        what="cpu-int8 text to answer against the pipeline",
        case="bert-base",
        over=("transformers", "answer"),
        under=("onnxtasks-int8", "answer"),
        bound=4.5,
        want="at least",
        form="times",
    ),
    Target(
        what="import to first answer against the pipeline",
        case="bert-base",
        over=("transformers", "cold"),
        under=("onnxtasks-fp32", "cold"),
        bound=5.0,
        want="at least",
        form="times",
    ),
    Target(
        what="peak memory at the first answer, of the pipeline's",
        case="bert-base",
        over=("onnxtasks-fp32", "memory"),
        under=("transformers", "memory"),
        bound=0.6,
        want="at most",
        form="share",
    ),
    Target(
        what="text to answer, of a bare session on the same graph",
        case="bert-base",
        over=("onnxtasks-fp32", "answer"),
        under=("onnxruntime", "model"),
        bound=1.05,
        want="at most",
        form="share",
    ),
    Target(
        what="preprocessing against the original's Pillow backend",
        case="preprocess-vit",
        over=("transformers-preprocess", "preprocess"),
        under=("onnxtasks-preprocess", "preprocess"),
        bound=1.0,
        want="at least",
        form="times",
    ),
    Target(
        what="cpu-fp32 texts per second, of the pipeline's at its best batch size",
        case="text-mixed",
        over=(AS_GIVEN, "throughput"),
        under=("onnxtasks-map-fp32", "throughput"),
        bound=2.5,
        want="at least",
        form="times",
    ),
    Target(
        what="cpu-int8 texts per second, of the pipeline's at its best batch size",
        case="text-mixed",
        over=(AS_GIVEN, "throughput"),
        under=("onnxtasks-map-int8", "throughput"),
        bound=6.0,
        want="at least",
        form="times",
    ),
    Target(
        what="cpu-fp32 peak memory, of the pipeline's at its best batch size",
        case="text-mixed",
        over=("onnxtasks-map-fp32", "peak"),
        under=(AS_GIVEN, "peak"),
        bound=1.0,
        want="at most",
        form="share",
    ),
    Target(
        what="cpu-int8 peak memory, of the pipeline's at its best batch size",
        case="text-mixed",
        over=("onnxtasks-map-int8", "peak"),
        under=(AS_GIVEN, "peak"),
        bound=1.0,
        want="at most",
        form="share",
    ),
)


def judge(results: Results) -> list[Verdict]:
    """Hold a run against each target whose case it measured."""
    verdicts = []
    for target in TARGETS:
        if target.case not in results.cases:
            continue
        over = _numbers(results, target.case, *target.over)
        under = _numbers(results, target.case, *target.under)
        found = None if over is None or under is None else ratio(over, under)
        verdicts.append(Verdict(target, found))
    return verdicts


def _numbers(
    results: Results, case: str, engine: str | tuple[str, ...], quantity: Quantity
) -> Sequence[float] | None:
    name = engine if isinstance(engine, str) else fastest(results, case, engine)
    return None if name is None else series(results, case, name, quantity)
