"""What a run writes to results.json, and the report reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from benchmarks.cases import Figure

Quantity = Literal["answer", "model", "preprocess", "throughput", "cold", "memory", "peak"]
"""A figure of a call, or of the start: seconds to the first answer, peak bytes at that moment; or
peak bytes after all rounds."""


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long a call takes, in seconds."""

    median: float
    """Median of the rounds' medians, so that a fast round does not count more for its calls."""
    p95: float
    """Over all calls."""
    p99: float
    spread: float
    """Slowest minus fastest round, as a share of the median."""
    calls: int
    rounds: tuple[float, ...]
    """The median of each round, in the order of measuring."""


class Starts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fresh processes that open the engine and answer once; one number for each."""

    open_seconds: tuple[float, ...]
    """Imports and loading, inside the process."""
    first_seconds: tuple[float, ...]
    """The first call."""
    cold_seconds: tuple[float, ...]
    """From starting the process to its first answer, the interpreter's own start included."""
    peak_bytes: tuple[int, ...]
    """Most memory held up to that answer."""


class EngineResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One engine on one case."""

    times: dict[Figure, Timing]
    stages: dict[str, float]
    """Median seconds of each stage of an answer; empty where the engine tells none."""
    starts: Starts
    steady_peak_bytes: int
    """Most memory held after all rounds."""
    disk_bytes: int
    """The files that it loads; packages are not counted."""
    padding_share: float | None = None
    """Of what it computed on, 0..1; None where no texts share a run."""


class CaseResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All engines on one case."""

    feeds: str
    """The graph's inputs and their shapes."""
    flops: int
    """Of one call's forward pass, matrix products and convolutions; of a set the sum, without
    padding."""
    texts: int = 1
    """Inputs that one call answers."""
    engines: dict[str, EngineResult]
    waiting_share: float
    """CPU that workers took while it was not their turn, as a share of one CPU; about 0."""
    foreign_share: float
    """CPU that other programs took during the rounds, as a share of the machine; about 0."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long to measure."""

    rounds: int
    """Turns of each engine."""
    seconds: float
    """Of one turn."""
    starts: int
    """Fresh processes of each engine."""
    threads: int
    share: float = 1.0
    """How much of a set of texts is measured."""

    def __post_init__(self) -> None:
        """Refuse numbers that measure nothing."""
        if min(self.rounds, self.starts, self.threads) < 1 or not self.seconds > 0:
            raise ValueError("rounds, starts and threads are at least 1, seconds is above 0")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}; it is above 0 and at most 1")


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the machine can do at best, with the run's number of threads."""

    matrix_gflops: float
    """fp32 matrix product."""
    read_gbytes: float
    """Reading memory, 10^9 bytes per second."""


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run of the suite."""

    schema_version: int = 1
    machine: dict[str, Any]
    calibration: Calibration
    plan: Plan
    cases: dict[str, CaseResult]
    skipped: dict[str, str]
    """What was left out -> why."""
    failures: dict[str, str]
    """What failed -> its error."""


def read(path: Path) -> Results:
    """Read results.json."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def write(results: msgspec.Struct, path: Path) -> None:
    """Write results.json, indented so that two runs can be compared line by line."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def fastest(results: Results, case: str, engines: Sequence[str]) -> str | None:
    """The fastest of some engines over a case's set of texts; None where none was measured."""
    found = results.cases.get(case)
    if found is None:
        return None
    medians = {
        name: timing.median
        for name in engines
        if name in found.engines and (timing := found.engines[name].times.get("throughput"))
    }
    return min(medians, key=lambda name: medians[name]) if medians else None


def series(results: Results, case: str, engine: str, quantity: Quantity) -> Sequence[float] | None:
    """An engine's numbers in the order of measuring; None where it was not measured."""
    found = results.cases.get(case)
    if found is None or engine not in found.engines:
        return None
    measured = found.engines[engine]
    if quantity == "cold":
        return measured.starts.cold_seconds
    if quantity == "memory":
        return measured.starts.peak_bytes
    if quantity == "peak":
        return (measured.steady_peak_bytes,)
    timing = measured.times.get(quantity)
    return None if timing is None else timing.rounds
