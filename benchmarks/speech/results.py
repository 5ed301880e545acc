"""What a run writes to results.json, and the report reads."""

from pathlib import Path
from typing import Any

import msgspec

from benchmarks.results import Calibration, Timing
from benchmarks.results import write as write


class EngineResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One engine on one case."""

    times: dict[str, Timing]
    """Of a call: "text", or "features", "encoder", "tokens"."""
    open_seconds: float
    loaded_bytes: int
    """Most memory held when the model was loaded."""
    peak_bytes: int
    """Most memory held at the end."""
    facts: dict[str, float]
    """What it wrote: "characters" and "checksum"."""


class CaseResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All engines on one case."""

    engines: dict[str, EngineResult]
    waiting_share: float
    """CPU that workers took while it was not their turn, as a share of one CPU."""
    foreign_share: float
    """CPU that other programs took, as a share of the machine."""


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run."""

    machine: dict[str, Any]
    calibration: Calibration
    threads: int
    cases: dict[str, CaseResult]
    failures: dict[str, str]


def read(path: Path) -> Results:
    """Read results.json."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
