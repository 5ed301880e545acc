"""How long a loaded task takes, stage by stage; several variants in turns."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from onnxtasks.concurrency import Together, call_together
from onnxtasks.errors import InputError
from onnxtasks.tasks.base import Task
from onnxtasks.timing import record_padding, record_stages

MIN_ROUNDS = 3  # a median of fewer says nothing
RUN = "run"
PARTS = 5
"""Into how many parts calls are cut, one after the other, to see how much their median wanders."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took over many calls, in seconds."""

    median: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, and how far it wandered while it was measured."""

    value: float
    low: float
    """Smallest of the parts that were measured one after the other."""
    high: float
    """Largest of them."""
    parts: int = 1
    """How many there were; one says nothing of how far it wanders."""


@dataclass(frozen=True, slots=True)
class AtOnce:
    """What callers saw who called one task at the same time."""

    callers: int
    calls: int
    latency: Spread
    items_per_second: float
    """Of all callers together."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured call, in seconds."""

    total: float
    stages: dict[str, float]
    """"preprocess", "run", "postprocess"."""
    padding_share: float | None = None
    """Share of what the graph computed on that was padding, 0..1; None where nothing is counted."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured of one variant."""

    variant: str
    device: str
    threads: int
    batch: int
    """Items of one call."""
    calls: int
    load_seconds: float
    first_seconds: float
    """The first call after loading, which pays for first-time work."""
    total: Spread
    stages: dict[str, Spread]
    outside_share: float
    """Median share of a call spent outside the graph's run, 0..1."""
    items_per_second: float
    """At the median call."""
    padding_share: float | None
    """Share of the tokens of a call that is padding, 0..1; None of what is no text."""
    at_once: AtOnce | None = None
    """Several callers at once; None where there was one."""
    disk_bytes: int | None = None
    """The variant's graphs and weights; None of a task that was built from parts."""
    figures: dict[str, Figure] = field(default_factory=dict)
    """What two runs can be compared by; names as in `onnxtasks.comparison`."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; times in seconds."""
        return asdict(self)


def spread(seconds: Sequence[float]) -> Spread:
    """Median, 95th and 99th percentile, interpolated between neighbours.

    Raises:
        InputError: There is nothing to summarise.
    """
    if not seconds:
        raise InputError("no call was measured; give it more runs or more seconds")
    median, p95, p99 = np.percentile(np.asarray(seconds), (50, 95, 99))
    return Spread(float(median), float(p95), float(p99))


def figure(parts: Sequence[float], value: float | None = None) -> Figure:
    """One number of several parts: a given value, or their median."""
    middle = float(np.median(parts)) if value is None else value
    return Figure(middle, min(middle, *parts), max(middle, *parts), len(parts))


def in_parts(values: Sequence[float], count: int = PARTS) -> list[Sequence[float]]:
    """Cut values into so many parts of neighbours, or into single ones where there are fewer."""
    bounds = np.linspace(0, len(values), min(count, len(values)) + 1).astype(int)
    return [values[start:end] for start, end in pairwise(bounds.tolist())]


def outside_share(samples: Sequence[Sample]) -> float:
    """Median share of a call that is not the graph's run, 0..1."""
    return float(np.median([1 - s.stages.get(RUN, 0.0) / s.total for s in samples]))


def timed_call(
    task: Task[Any, Any], items: Sequence[Any], options: Mapping[str, Any] | None = None
) -> Sample:
    """Call `predict` once, with these options, and take its times."""
    asked = dict(options or {})
    with record_stages() as stages, record_padding() as padded:
        start = time.perf_counter()
        task.predict(items, **asked)
        total = time.perf_counter() - start
    return Sample(total, dict(stages), padded.share if padded.tokens else None)


def in_turns(
    calls: Mapping[str, Callable[[], Sample]],
    *,
    runs: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[Sample]]:
    """Call each in turn, round after round, so that a change of the machine's speed hits all.

    Args:
        calls: Name -> one measured call. Every second round goes backwards, so that none of them
            always follows the same other one.
        runs: At most this many rounds.
        seconds: No round starts later than this for each call; three rounds are always made,
            where `runs` allows.
        clock: Seconds that only grow.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in calls}
    end = clock() + seconds * len(calls)
    for round_number in range(runs):
        if round_number >= MIN_ROUNDS and clock() >= end:
            break
        for name in list(calls)[:: -1 if round_number % 2 else 1]:
            samples[name].append(calls[name]())
    return samples


def measure(
    load: Mapping[str, Callable[[], Task[Any, Any]]],
    item: Any | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    batch: int = 1,
    runs: int = 50,
    seconds: float = 5.0,
    callers: int = 1,
) -> list[Measurement]:
    """Load the tasks, warm them up and measure them in turns.

    Args:
        load: Any name, such as the variant -> what loads its task. The tasks are closed at the end.
        item: The input; None takes the task's example.
        options: Those of `predict`, such as the labels of zero-shot classification.
        batch: How many times the input is given to one call.
        runs: Most calls of each task.
        seconds: Most seconds for each task; three calls are always made, where `runs` allows.
        callers: Threads that then call each task at once with one input a call, for as many
            seconds again; 1 leaves that out.

    Raises:
        InputError: A number below 1, or an input that the task cannot answer.
    """
    for name, value in (("batch", batch), ("runs", runs), ("callers", callers)):
        if value < 1:
            raise InputError(f"{name} is {value!r}; it is a number of at least 1")
    tasks: dict[str, Task[Any, Any]] = {}
    loads: dict[str, float] = {}
    firsts: dict[str, float] = {}
    try:
        for name, load_one in load.items():
            start = time.perf_counter()
            tasks[name] = load_one()
            loads[name] = time.perf_counter() - start
        items = {
            name: [task.example() if item is None else item] * batch for name, task in tasks.items()
        }
        for name, task in tasks.items():
            firsts[name] = timed_call(task, items[name], options).total
            timed_call(task, items[name], options)
        calls = {
            name: partial(timed_call, task, items[name], options) for name, task in tasks.items()
        }
        samples = in_turns(calls, runs=runs, seconds=seconds)
        together = _together(
            {name: partial(_answer, task, options) for name, task in tasks.items()},
            {name: items[name][0] for name in tasks},
            callers,
            seconds,
        )
        return [
            _summary(task, batch, loads[name], firsts[name], samples[name], callers, together[name])
            for name, task in tasks.items()
        ]
    finally:
        for task in tasks.values():
            task.close()


def _answer(task: Task[Any, Any], options: Mapping[str, Any] | None, item: Any) -> None:
    task.predict([item], **dict(options or {}))


def _together(
    calls: Mapping[str, Callable[[Any], object]],
    items: Mapping[str, Any],
    callers: int,
    seconds: float,
) -> dict[str, list[Together]]:
    """Several callers at once, part after part, the tasks in turns; no part for one caller."""
    found: dict[str, list[Together]] = {name: [] for name in calls}
    for part in range(PARTS if callers > 1 else 0):
        for name in list(calls)[:: -1 if part % 2 else 1]:
            found[name].append(
                call_together(calls[name], [items[name]], callers=callers, seconds=seconds / PARTS)
            )
    return found


def _summary(
    task: Task[Any, Any],
    batch: int,
    load_seconds: float,
    first_seconds: float,
    samples: Sequence[Sample],
    callers: int,
    together: Sequence[Together],
) -> Measurement:
    about = task.describe()
    total = spread([sample.total for sample in samples])
    stages = dict.fromkeys(stage for sample in samples for stage in sample.stages)
    disk = _disk_bytes(task, about.variant)
    figures = _figures(samples, batch, together)
    if disk is not None:
        figures["disk"] = figure([disk])
    return Measurement(
        variant=about.variant,
        device=about.device,
        threads=about.threads,
        batch=batch,
        calls=len(samples),
        load_seconds=load_seconds,
        first_seconds=first_seconds,
        total=total,
        stages={s: spread([sample.stages.get(s, 0.0) for sample in samples]) for s in stages},
        outside_share=outside_share(samples),
        items_per_second=batch / total.median,
        padding_share=samples[0].padding_share,  # of the same input, always the same
        at_once=_at_once(callers, together),
        disk_bytes=disk,
        figures=figures,
    )


def _at_once(callers: int, together: Sequence[Together]) -> AtOnce | None:
    if not together:
        return None
    latencies = [seconds for part in together for seconds in part.latencies]
    rate = float(np.median([part.per_second for part in together]))
    return AtOnce(callers, len(latencies), spread(latencies), rate)


def _figures(
    samples: Sequence[Sample], batch: int, together: Sequence[Together]
) -> dict[str, Figure]:
    """What two runs can be compared by, each with how far it wandered between parts."""
    totals = [sample.total for sample in samples]
    whole, parts = spread(totals), [spread(part) for part in in_parts(totals)]
    found = {
        "median": figure([part.median for part in parts], whole.median),
        "p95": figure([part.p95 for part in parts], whole.p95),
        "p99": figure([part.p99 for part in parts], whole.p99),
        "items_per_second": figure([batch / part.median for part in parts], batch / whole.median),
    }
    runs = [sample.stages[RUN] for sample in samples if RUN in sample.stages]
    if runs:
        found["run"] = figure([spread(part).median for part in in_parts(runs)], spread(runs).median)
    if together:
        seen = [spread(part.latencies) for part in together]
        every = spread([seconds for part in together for seconds in part.latencies])
        found["callers_per_second"] = figure([part.per_second for part in together])
        for name in ("median", "p95", "p99"):
            values = [getattr(part, name) for part in seen]
            found[f"callers_{name}"] = figure(values, getattr(every, name))
    return found


def _disk_bytes(task: Task[Any, Any], variant: str) -> int | None:
    if task.bundle is None:
        return None
    files = task.bundle.manifest.files.items()
    return sum(record.bytes for file, record in files if file.startswith(f"graphs/{variant}."))


def peak_memory(status: Path = Path("/proc/self/status")) -> int | None:
    """Most memory that this process has held so far, in bytes; None where it cannot be told."""
    if status.exists():  # Linux; its getrusage begins with what the parent process held
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # the others count kibibytes
