"""Workers in turns: only one computes at a time, and all see the same moments of the machine."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, NamedTuple, Self

from benchmarks.cases import ROOT, Figure
from benchmarks.engines import MEASURED_STAGES
from benchmarks.figures import timing
from benchmarks.machine import machine_cpu_seconds, process_cpu_seconds
from benchmarks.results import EngineResult, Plan, Starts, Timing

ANSWER_SECONDS = 300.0
SETTLE_SECONDS = 0.2  # threads of onnxruntime and OpenMP spin for a while before they sleep
LEAD_IN_SECONDS = 0.3  # of calls before the first round, not counted


class Sample(NamedTuple):
    """One call, in seconds."""

    total: float
    stages: dict[str, float]


class Stopped(NamedTuple):
    """What a worker says at its end."""

    peak_bytes: int
    """Most memory that it held."""
    facts: dict[str, float]


class WorkerError(RuntimeError):
    """A worker failed; the message ends with what it wrote to stderr."""


class Worker:
    """A process that serves one engine; a context manager that ends it."""

    def __init__(
        self, command: Sequence[str], threads: int, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        """Start the process.

        Args:
            command: What to run; it speaks the protocol of `benchmarks.worker`.
            threads: For every library that reads its number of threads from the environment.
            answer_seconds: A worker that is silent for longer has failed.
        """
        self._answer_seconds = answer_seconds
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # in __exit__
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            bufsize=1,
        )

    def ready(self) -> dict[str, Any]:
        """Wait for the first answer; adds "cold_seconds" since the process was started."""
        found = self._receive()
        return {**found, "cold_seconds": time.perf_counter() - self._started}

    def measure(self, seconds: float) -> list[Sample]:
        """Let it call for so long."""
        self._send({"do": "measure", "seconds": seconds})
        return [Sample(total, stages) for total, stages in self._receive()["samples"]]

    def stop(self) -> Stopped:
        """End it."""
        self._send({"do": "stop"})
        found = self._receive()
        return Stopped(found["peak_bytes"], found["facts"])

    def cpu_seconds(self) -> float:
        """CPU time it has taken so far."""
        return process_cpu_seconds(self._process.pid)

    def _send(self, command: dict[str, Any]) -> None:
        if self._process.stdin is None:
            raise WorkerError("the worker has no stdin")
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
        except BrokenPipeError as error:
            raise WorkerError(self._story("the worker ended")) from error

    def _receive(self) -> dict[str, Any]:
        out = self._process.stdout
        if out is None or not select.select([out], [], [], self._answer_seconds)[0]:
            raise WorkerError(self._story(f"no answer in {self._answer_seconds:.0f} s"))
        line = out.readline()
        if not line:
            self._process.wait()
            raise WorkerError(self._story(f"the worker ended with {self._process.returncode}"))
        message: dict[str, Any] = json.loads(line)
        return message

    def _story(self, what: str) -> str:
        self._stderr.seek(0)
        return f"{what}: " + "".join(self._stderr.readlines()[-15:]).strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()


def environment(threads: int) -> dict[str, str]:
    """A worker's environment: the same threads for every library, and no hub."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(names, str(threads)),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }


def worker_command(engine: str, case: str, cache: Path, plan: Plan) -> list[str]:
    """The command line of an engine's worker."""
    options = ["--cache", str(cache), "--threads", str(plan.threads), "--share", str(plan.share)]
    return [sys.executable, "-m", "benchmarks.worker", engine, case, *options]


class Rounds(NamedTuple):
    """What the turns of all engines gave."""

    samples: dict[str, list[list[Sample]]]
    """Engine -> round -> calls."""
    waiting_share: float
    foreign_share: float


def run_rounds(workers: Mapping[str, Worker], plan: Plan, *, lead_in: bool = True) -> Rounds:
    """Give each worker its turn, round after round.

    Every second round goes backwards, so that none of them always follows the same other one.

    Args:
        workers: Engine -> its worker, which is ready.
        plan: How many rounds, and how long.
        lead_in: Whether to call before the first round; not where one call has shown everything.
    """
    if lead_in:
        for worker in workers.values():
            worker.measure(min(LEAD_IN_SECONDS, plan.seconds))
    samples: dict[str, list[list[Sample]]] = {name: [] for name in workers}
    waiting = foreign = wall = 0.0
    for number in range(plan.rounds):
        for name in list(workers)[:: -1 if number % 2 else 1]:
            time.sleep(SETTLE_SECONDS)
            before, start, busy = _used(workers), time.perf_counter(), machine_cpu_seconds()
            samples[name].append(workers[name].measure(plan.seconds))
            wall += time.perf_counter() - start
            spent = {n: used - before[n] for n, used in _used(workers).items()}
            waiting += sum(spent.values()) - spent[name]
            foreign += machine_cpu_seconds() - busy - sum(spent.values())
    cpus = os.cpu_count() or 1
    return Rounds(samples, waiting / wall, max(0.0, foreign / wall / cpus))


def _used(workers: Mapping[str, Worker]) -> dict[str, float]:
    return {name: worker.cpu_seconds() for name, worker in workers.items()}


def run_starts(
    start: Mapping[str, Callable[[], Worker]], count: int, steady: Iterable[str]
) -> dict[str, Starts]:
    """Start fresh processes in turns, each alone, and stop them after their first answer.

    Args:
        start: Engine -> starts its worker.
        count: Processes of each.
        steady: The engines to start, in their order.
    """
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in steady}
    for _ in range(count):
        for name, rows in seen.items():
            with start[name]() as worker:
                rows.append(worker.ready())
                worker.stop()
    return {name: starts_of(rows) for name, rows in seen.items()}


def starts_of(rows: Sequence[Mapping[str, Any]]) -> Starts:
    """Put together what processes said when they were ready.

    Args:
        rows: What `Worker.ready` gave, for each process.
    """

    def column(key: str) -> tuple[Any, ...]:
        return tuple(row[key] for row in rows)

    return Starts(
        open_seconds=column("open_seconds"),
        first_seconds=column("first_seconds"),
        cold_seconds=column("cold_seconds"),
        peak_bytes=column("peak_bytes"),
    )


def engine_result(
    figure: Figure,
    rounds: Sequence[Sequence[Sample]],
    starts: Starts,
    stopped: Stopped,
    disk_bytes: int,
) -> EngineResult:
    """Put together what was measured of one engine.

    Args:
        figure: What one of its calls covers.
        rounds: Its calls, by round.
        starts: Its fresh processes.
        stopped: What it said after all rounds.
        disk_bytes: Its model's files.
    """
    times: dict[Figure, Timing] = {figure: timing([[s.total for s in calls] for calls in rounds])}
    names = dict.fromkeys(name for calls in rounds for s in calls for name in s.stages)
    by_stage = {
        name: [[s.stages.get(name, 0.0) for s in calls] for calls in rounds] for name in names
    }
    for name, calls in by_stage.items():
        if (figure, name) in MEASURED_STAGES:
            times[MEASURED_STAGES[figure, name]] = timing(calls)
    return EngineResult(
        times=times,
        stages={name: median(map(median, calls)) for name, calls in by_stage.items()},
        starts=starts,
        steady_peak_bytes=stopped.peak_bytes,
        disk_bytes=disk_bytes,
        padding_share=stopped.facts.get("padding_share"),
    )
