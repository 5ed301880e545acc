"""Two runs of `onnxtasks bench` beside each other: what became better, what worse, what neither."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from onnxtasks.benchmark import Figure
from onnxtasks.errors import InputError

Unit = Literal["seconds", "bytes", "a second"]
Verdict = Literal["better", "worse", "no difference", "-"]
HARDWARE = ("system", "processor", "flags", "threads", "memory")
"""What of a host makes its times another machine's; the rest are versions."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a figure is."""

    title: str
    unit: Unit

    @property
    def more_is_better(self) -> bool:
        """Whether a larger number is the better one."""
        return self.unit == "a second"


FIGURES: dict[str, Kind] = {
    "median": Kind("median", "seconds"),
    "p95": Kind("p95", "seconds"),
    "p99": Kind("p99", "seconds"),
    "run": Kind("run", "seconds"),
    "items_per_second": Kind("inputs a second", "a second"),
    "callers_per_second": Kind("callers: inputs a second", "a second"),
    "callers_median": Kind("callers: median", "seconds"),
    "callers_p95": Kind("callers: p95", "seconds"),
    "callers_p99": Kind("callers: p99", "seconds"),
    "cold_start": Kind("cold start", "seconds"),
    "load": Kind("load", "seconds"),
    "first_answer": Kind("first answer", "seconds"),
    "peak_memory": Kind("peak memory", "bytes"),
    "disk": Kind("size on disk", "bytes"),
}

EXACT = "disk"
"""The only figure that does not wander."""

BETWEEN_PROCESSES = 1.05
"""How many times apart two processes are that do the same; the parts of one do not show it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What was called; two runs of other settings cannot be compared."""

    task: str
    architecture: str
    device: str
    batch: int
    callers: int
    input: str
    """What was given, as a digest; "example" for the task's own."""
    options: str
    """Those of `predict`, as text."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What of `onnxtasks bench --json` is compared; what else is in it is not read."""

    settings: Settings
    host: dict[str, str]
    """The machine and the versions, as `onnxtasks.host.describe` has them."""
    figures: dict[str, dict[str, Figure]]
    """Variant -> name of a figure -> it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one variant, before and now."""

    variant: str
    name: str
    before: Figure
    now: Figure

    @property
    def ratio(self) -> float:
        """Now divided by before."""
        return _divide(self.now.value, self.before.value)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest ratio of any two parts of the two runs."""
        return (_divide(self.now.low, self.before.high), _divide(self.now.high, self.before.low))

    @property
    def verdict(self) -> Verdict:
        """Which is better, if the parts of one run are all above or below those of the other.

        They are so by more than processes differ that do the same. "-" where one of them does not
        say how far it wanders, for then nothing can be said.
        """
        low, high = self.range
        if self.ratio == 1:
            return "no difference"
        if self.name != EXACT and 1 in (self.before.parts, self.now.parts):
            return "-"
        noise = 1.0 if self.name == EXACT else BETWEEN_PROCESSES
        if low <= noise and high >= 1 / noise:
            return "no difference"
        return "better" if (low > 1) == FIGURES[self.name].more_is_better else "worse"

    @property
    def regression(self) -> float:
        """How many times worse it is, by the medians; 1 where the verdict is not "worse"."""
        if self.verdict != "worse":
            return 1.0
        return 1 / self.ratio if FIGURES[self.name].more_is_better else self.ratio

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "variant": self.variant,
            "figure": self.name,
            "before": self.before.value,
            "now": self.now.value,
            "ratio": self.ratio,
            "range": list(self.range),
            "verdict": self.verdict,
        }


def read_report(path: Path) -> Report:
    """Read what `onnxtasks bench --json` printed.

    Raises:
        InputError: No such file, or not one of those.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: not a file that `onnxtasks bench --json` of this version wrote: {error}"
        ) from error


def compare(before: Report, now: Report) -> list[Change]:
    """Every figure that both have, in the order of `FIGURES`, variant after variant.

    Raises:
        InputError: Other settings, or no figure in common.
    """
    old, new = msgspec.structs.asdict(before.settings), msgspec.structs.asdict(now.settings)
    if differ := [f"{k} {old[k]}, now {new[k]}" for k in old if old[k] != new[k]]:
        raise InputError(
            f"the two runs measured different things: {'; '.join(differ)}. Measure both alike"
        )
    changes = [
        Change(variant, name, before.figures[variant][name], figures[name])
        for variant, figures in now.figures.items()
        for name in FIGURES
        if name in figures and name in before.figures.get(variant, {})
    ]
    if not changes:
        have, has = ", ".join(before.figures) or "none", ", ".join(now.figures) or "none"
        raise InputError(f"no variant is in both runs: {have}; and now {has}")
    return changes


def host_differences(
    before: Mapping[str, str], now: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """What differs between two hosts: names of hardware; and versions, as "onnxruntime a -> b"."""
    differ = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    hardware = [name for name in differ if name in HARDWARE]
    versions = [
        f"{name} {before.get(name, 'none')} -> {now.get(name, 'none')}"
        for name in differ
        if name not in HARDWARE
    ]
    return hardware, versions


def _divide(over: float, under: float) -> float:
    return over / under if under else float("inf")
