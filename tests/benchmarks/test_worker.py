import itertools
import json
import os
import sys
from collections.abc import Callable
from time import process_time as cpu_clock

import pytest

from benchmarks.machine import machine_cpu_seconds, process_cpu_seconds
from benchmarks.results import Plan
from benchmarks.runner import (
    Rounds,
    Sample,
    Stopped,
    Worker,
    WorkerError,
    engine_result,
    environment,
    run_rounds,
    run_starts,
    starts_of,
)
from benchmarks.worker import MIN_CALLS, measure, peak_bytes, serve

FAKE = """
import sys
from benchmarks.worker import serve
def open_call():
    print("noise", file=sys.stderr)
    return lambda: {"run": 0.25}
serve(open_call, sys.stdin, lambda line: print(line, flush=True))
"""
READY = {"open_seconds": 1.0, "first_seconds": 2.0, "peak_bytes": 5}
DYING = "import sys; sys.exit('no such model')"


def fake(code: str = FAKE) -> Callable[[], Worker]:
    return lambda: Worker([sys.executable, "-c", code], threads=1)


def test_measure_counts_all_calls_but_the_first() -> None:
    calls: list[int] = []
    ticks = itertools.count()

    def call() -> dict[str, float]:
        calls.append(1)
        return {"run": 0.5}

    # The clock is read at tick 0, around each call, and from the third call on before each.
    samples = measure(call, 10.0, clock=lambda: float(next(ticks)))

    assert samples == [(1.0, {"run": 0.5})] * len(samples)
    assert len(calls) == len(samples) + 1
    assert len(samples) == 4  # three, one more at tick 7, none at tick 10


def test_measure_makes_three_calls_however_slow() -> None:
    ticks = itertools.count(step=100)
    samples = measure(dict, 0.001, clock=lambda: float(next(ticks)))
    assert len(samples) == MIN_CALLS


def test_a_call_over_a_set_counts_from_the_first_and_once() -> None:
    calls: list[int] = []
    ticks = itertools.count(step=100)

    def call() -> dict[str, float]:
        calls.append(1)
        return {}

    samples = measure(call, 1.0, clock=lambda: float(next(ticks)), whole_set=True)

    assert samples == [(100.0, {})]
    assert len(calls) == 1


def test_facts_are_told_at_the_end() -> None:
    said: list[str] = []
    facts: dict[str, float] = {}

    def call() -> dict[str, float]:
        facts["padding_share"] = 0.5
        return {}

    serve(lambda: call, ['{"do": "stop"}\n'], said.append, facts=facts, whole_set=True)

    assert json.loads(said[-1])["facts"] == {"padding_share": 0.5}


def test_serve_speaks_the_protocol() -> None:
    said: list[str] = []
    commands = ['{"do": "measure", "seconds": 0.0}\n', '{"do": "stop"}\n', "never read"]

    serve(lambda: lambda: {"run": 0.5}, commands, said.append)

    ready, measured, stopped = map(json.loads, said)
    assert ready["event"] == "ready"
    assert ready["open_seconds"] >= 0
    assert ready["first_seconds"] >= 0
    assert [stages for _, stages in measured["samples"]] == [{"run": 0.5}] * MIN_CALLS
    assert stopped["event"] == "stopped"
    assert stopped["peak_bytes"] >= ready["peak_bytes"] > 2**20


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_bytes()
    held = bytearray(200 * 2**20)
    held[::4096] = b"x" * len(held[::4096])  # touch every page
    assert peak_bytes() >= min(before + 2**20, 200 * 2**20)


def test_workers_take_turns() -> None:
    plan = Plan(rounds=2, seconds=0.01, starts=2, threads=1)
    with fake()() as one, fake()() as two:
        assert one.ready()["cold_seconds"] > 0
        two.ready()
        found = run_rounds({"one": one, "two": two}, plan)
        stopped = one.stop()
        assert stopped.peak_bytes > 2**20
        assert stopped.facts == {}

    assert isinstance(found, Rounds)
    assert [len(rounds) for rounds in found.samples.values()] == [2, 2]
    assert all(call.stages == {"run": 0.25} for call in found.samples["two"][1])
    assert found.waiting_share < 0.5


def test_fresh_starts() -> None:
    found = run_starts({"one": fake()}, 2, ["one"])["one"]

    assert len(found.cold_seconds) == len(found.peak_bytes) == 2
    for cold, opened, first in zip(
        found.cold_seconds, found.open_seconds, found.first_seconds, strict=True
    ):
        assert cold > opened + first


def test_a_worker_that_dies_tells_why() -> None:
    with fake(DYING)() as worker, pytest.raises(WorkerError, match="ended with 1: no such model"):
        worker.ready()


def test_every_library_gets_the_same_threads() -> None:
    found = environment(3)
    assert {found[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}
    assert found["HF_HUB_OFFLINE"] == "1"


def test_the_run_stage_is_a_figure_of_its_own() -> None:
    rounds = [[Sample(0.3, {"run": 0.2, "preprocess": 0.1})] * 3] * 2
    fresh = run_starts({"one": fake()}, 1, ["one"])["one"]

    found = engine_result("answer", rounds, fresh, Stopped(7, {}), 8)

    assert found.times["answer"].median == 0.3
    assert found.times["model"].median == 0.2
    assert found.stages == {"run": 0.2, "preprocess": 0.1}
    assert (found.steady_peak_bytes, found.disk_bytes, found.padding_share) == (7, 8, None)


def test_of_a_set_the_run_stage_is_no_figure() -> None:
    rounds = [[Sample(0.3, {"run": 0.2})]] * 2
    fresh = starts_of([{**READY, "cold_seconds": 3.0}])

    found = engine_result("throughput", rounds, fresh, Stopped(7, {"padding_share": 0.25}), 8)

    assert list(found.times) == ["throughput"]
    assert found.stages == {"run": 0.2}
    assert found.padding_share == 0.25
    assert found.starts.cold_seconds == (3.0,)


def test_cpu_time_of_this_process_and_of_the_machine() -> None:
    process, machine, clock = process_cpu_seconds(os.getpid()), machine_cpu_seconds(), cpu_clock()
    while cpu_clock() < clock + 0.2:
        pass
    taken = process_cpu_seconds(os.getpid()) - process
    assert 0.15 < taken <= cpu_clock() - clock + 0.05  # in ticks of 0.01 s
    assert machine_cpu_seconds() - machine >= 0.15


def test_a_plan_refuses_what_measures_nothing() -> None:
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        Plan(rounds=1, seconds=1.0, starts=1, threads=1, share=1.5)
    with pytest.raises(ValueError, match="at least 1"):
        Plan(rounds=0, seconds=1.0, starts=1, threads=1)
    with pytest.raises(ValueError, match="above 0"):
        Plan(rounds=1, seconds=0.0, starts=1, threads=1)
