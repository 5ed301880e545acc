"""How long a loaded task takes, stage by stage; several variants in turns."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from onnxtasks.errors import InputError
from onnxtasks.tasks.base import Task
from onnxtasks.timing import record_padding, record_stages

MIN_ROUNDS = 3  # a median of fewer says nothing
RUN = "run"


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took over many calls, in seconds."""

    median: float
    p95: float
    p99: float


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
) -> list[Measurement]:
    """Load the tasks, warm them up and measure them in turns.

    Args:
        load: Any name, such as the variant -> what loads its task. The tasks are closed at the end.
        item: The input; None takes the task's example.
        options: Those of `predict`, such as the labels of zero-shot classification.
        batch: How many times the input is given to one call.
        runs: Most calls of each task.
        seconds: Most seconds for each task; three calls are always made, where `runs` allows.

    Raises:
        InputError: A number below 1, or an input that the task cannot answer.
    """
    for name, value in (("batch", batch), ("runs", runs)):
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
        return [
            _summary(task, batch, loads[name], firsts[name], samples[name])
            for name, task in tasks.items()
        ]
    finally:
        for task in tasks.values():
            task.close()


def _summary(
    task: Task[Any, Any],
    batch: int,
    load_seconds: float,
    first_seconds: float,
    samples: Sequence[Sample],
) -> Measurement:
    about = task.describe()
    total = spread([sample.total for sample in samples])
    stages = dict.fromkeys(stage for sample in samples for stage in sample.stages)
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
    )


def peak_memory() -> int | None:
    """Most memory that this process has held so far, in bytes; None where it cannot be told."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts kibibytes
