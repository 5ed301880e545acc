"""The steps of a run: prepare models, measure a case."""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.cases import ROOT
from benchmarks.figures import timing
from benchmarks.generation.cases import CASES, Files, files
from benchmarks.generation.engines import ENGINES, Engine, takes_part
from benchmarks.generation.results import CaseResult, EngineResult, Results
from benchmarks.results import Plan
from benchmarks.runner import (
    Rounds,
    Sample,
    Stopped,
    Worker,
    WorkerError,
    environment,
    run_rounds,
    starts_of,
)
from benchmarks.suite import disk_bytes

ONE_CALL = 1e-3  # seconds of a turn: shorter than any call, so that a turn is one


def prepare(model: str, cases: Sequence[str], cache: Path, threads: int) -> str | None:
    """Bring a model's files up to date; says what failed."""
    print(f"{model}: preparing", flush=True)
    command = [sys.executable, "-m", "benchmarks.generation.prepare", model, "--cache", str(cache)]
    done = subprocess.run(
        [*command, "--cases", *cases],
        cwd=ROOT,
        env=environment(threads),
        capture_output=True,
        text=True,
    )
    return f"not prepared: {done.stderr.strip()[-2000:]}" if done.returncode else None


def measure(
    name: str, wanted: Sequence[str], found: Results, cache: Path, rounds: int | None
) -> CaseResult | None:
    """Measure a case; an engine that does not load is noted and left out.

    Args:
        name: The case.
        wanted: Engines.
        found: Takes notes of what was skipped and what failed.
        cache: Where its files lie.
        rounds: At most; None for the case's own.
    """
    began = time.perf_counter()
    own = CASES[name].rounds
    plan = Plan(
        rounds=own if rounds is None else min(rounds, own),
        seconds=ONE_CALL,
        starts=1,
        threads=found.threads,
    )
    ready: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for engine in engines_of(name, wanted, found):
            worker = stack.enter_context(Worker(_command(engine, name, cache, plan), plan.threads))
            try:
                ready[engine] = worker.ready()
            except WorkerError as error:
                found.failures[f"{name}, {engine}"] = str(error)
            else:
                workers[engine] = worker
        if not workers:
            return None
        try:
            done = run_rounds(workers, plan, lead_in=False)
            stopped = {engine: worker.stop() for engine, worker in workers.items()}
        except WorkerError as error:
            found.failures[name] = str(error)
            return None
    where = files(name, cache)
    found.seconds[name] = time.perf_counter() - began
    return CaseResult(
        engines={
            engine: _engine_result(done, engine, ready[engine], stopped[engine], where)
            for engine in workers
        },
        waiting_share=done.waiting_share,
        foreign_share=done.foreign_share,
    )


def engines_of(name: str, wanted: Sequence[str], found: Results) -> list[str]:
    """The engines that take part; a package that is not there is noted."""
    chosen = []
    for engine in wanted:
        known = ENGINES[engine]
        if not takes_part(known, CASES[name]):
            continue
        if known.package is not None and find_spec(known.package) is None:
            found.skipped[f"{name}, {engine}"] = f"{known.package} is not installed"
        else:
            chosen.append(engine)
    return chosen


def _command(engine: str, case: str, cache: Path, plan: Plan) -> list[str]:
    options = ["--cache", str(cache), "--threads", str(plan.threads)]
    return [sys.executable, "-m", "benchmarks.generation.worker", engine, case, *options]


def _engine_result(
    done: Rounds, engine: str, ready: dict[str, Any], stopped: Stopped, where: Files
) -> EngineResult:
    rounds = done.samples[engine]
    return EngineResult(
        whole=timing(_column(rounds, "whole")),
        first=timing(_column(rounds, "first")),
        starts=starts_of([ready]),
        peak_bytes=stopped.peak_bytes,
        disk_bytes=_disk_bytes(ENGINES[engine], where),
        agreement=stopped.facts["agreement"],
    )


def _column(rounds: Sequence[Sequence[Sample]], stage: str) -> list[list[float]]:
    return [[sample.stages[stage] for sample in calls] for calls in rounds]


def _disk_bytes(engine: Engine, where: Files) -> int:
    """The files that an engine loads."""
    folder = {
        "ctranslate2_model": where.peers / f"ctranslate2-{engine.precision}",
        "genai_model": where.peers / f"genai-{engine.precision}",
    }.get(engine.module.rpartition(".")[2], where.checkpoint)
    return disk_bytes(folder, where.bundle, engine.variant)
