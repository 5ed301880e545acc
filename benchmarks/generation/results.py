"""What a run writes to results.json, and the report reads."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.generation.cases import CASES
from benchmarks.results import Calibration, Starts, Timing
from benchmarks.results import write as write


class EngineResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One engine on one case."""

    whole: Timing
    """All tokens of all texts."""
    first: Timing
    """A call that asks for one token."""
    starts: Starts
    """Of its process; its first call writes one token."""
    peak_bytes: int
    """Most memory held after all rounds."""
    disk_bytes: int
    """The files that it loads."""
    agreement: float
    """Share of the tokens that stand where transformers writes them, 0..1."""


class CaseResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All engines on one case."""

    engines: dict[str, EngineResult]
    waiting_share: float
    """CPU that workers took while it was not their turn, as a share of one CPU; about 0."""
    foreign_share: float
    """CPU that other programs took during the rounds, as a share of the machine; about 0."""


class Steps(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long one token of one text takes, by how many are before it."""

    seconds: dict[int, float]
    """Tokens before -> median seconds."""
    weight_bytes: int
    """What a step reads of the model: every weight but embeddings, which it looks up."""
    cache_bytes: int
    """Keys and values of one token."""


class PythonShare(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a call spends outside the engine."""

    title: str
    runs: int
    """Of graphs, in one call."""
    seconds: float
    """Of one call."""
    outside: float
    """Of these, not inside a run."""


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Memory that a process holds after so many calls of a small model."""

    resident_bytes: dict[int, int]


class Probes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What only our own engine is asked."""

    steps: dict[str, Steps] = {}
    """Variant -> its steps of GPT-2."""
    python: tuple[PythonShare, ...] = ()
    memory: Memory | None = None


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run of the suite."""

    schema_version: int = 1
    machine: dict[str, Any]
    calibration: Calibration
    threads: int
    cases: dict[str, CaseResult]
    probes: Probes
    seconds: dict[str, float]
    """What a case took, loading included."""
    skipped: dict[str, str]
    failures: dict[str, str]


def read(path: Path) -> Results:
    """Read results.json."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def tokens_per_second(case: str, found: EngineResult) -> float:
    """New tokens of all texts, by the seconds of the whole call."""
    return CASES[case].new * CASES[case].batch / found.whole.median


def milliseconds_a_step(case: str, found: EngineResult) -> float | None:
    """What a token after the first takes; None of a case that writes one."""
    new = CASES[case].new
    if new == 1:
        return None
    return 1000 * (found.whole.median - found.first.median) / (new - 1)


def fastest(found: CaseResult, engines: Sequence[str]) -> str | None:
    """The fastest of some engines; None where none was measured."""
    times = {name: found.engines[name].whole.median for name in engines if name in found.engines}
    return min(times, key=lambda name: times[name]) if times else None


def load_seconds(found: EngineResult) -> float:
    """Imports and loading."""
    return median(found.starts.open_seconds)
