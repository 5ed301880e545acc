"""The steps of a run: prepare a case, calibrate, measure a case."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.cases import CASES, ROOT, Case, files, part
from benchmarks.engines import ENGINES, Engine
from benchmarks.results import Calibration, CaseResult, Plan, Results
from benchmarks.runner import (
    Stopped,
    Worker,
    WorkerError,
    engine_result,
    environment,
    run_rounds,
    run_starts,
    starts_of,
    worker_command,
)
from onnxtasks.bundle import read_manifest


def prepare(name: str, cache: Path, threads: int, failures: dict[str, str]) -> bool:
    """Bring a case up to date in a process of its own, whose memory is free again afterwards.

    Returns:
        False, and a failure noted, where it could not be done.
    """
    print(f"{name}: preparing", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.prepare", name, "--cache", str(cache)],
        cwd=ROOT,
        env=environment(threads),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        failures[name] = f"not prepared: {done.stderr.strip()[-2000:]}"
    return done.returncode == 0


def calibrate(threads: int) -> Calibration:
    """Measure what the machine can do at best with so many threads."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.calibration"],
        cwd=ROOT,
        env=environment(threads),
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Calibration)


def measure(
    name: str, wanted: Sequence[str], plan: Plan, cache: Path, found: Results
) -> CaseResult | None:
    """Measure a case; None, and a failure noted, where a worker died."""
    case = CASES[name]
    where = files(case, cache)
    plan = plan_of(case, plan)
    engines = engines_of(name, wanted, where.bundle, found.skipped)
    if not engines:
        found.skipped[name] = "none of the chosen engines measures it"
        return None
    start = {
        engine: partial(Worker, worker_command(engine, name, cache, plan), plan.threads)
        for engine in engines
    }
    about = json.loads(where.about.read_text(encoding="utf-8"))
    stopped: dict[str, Stopped] = {}
    ready: dict[str, dict[str, Any]] = {}
    try:
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for engine in engines:
                workers[engine] = stack.enter_context(start[engine]())
                ready[engine] = workers[engine].ready()
            rounds = run_rounds(workers, plan, lead_in=not case.is_long)
            stopped.update({engine: worker.stop() for engine, worker in workers.items()})
        if case.is_long:  # its first call takes seconds: not worth a process for its start alone
            starts = {engine: starts_of([row]) for engine, row in ready.items()}
        else:
            starts = run_starts(start, plan.starts, engines)
    except WorkerError as error:
        found.failures[name] = str(error)
        return None
    flops = part(about["flops"], plan.share)
    return CaseResult(
        feeds=describe_set(part(about["tokens"], plan.share)) if case.is_set else about["feeds"],
        flops=sum(flops),
        texts=len(flops) * case.batch,
        engines={
            engine: engine_result(
                ENGINES[engine].figure,
                rounds.samples[engine],
                starts[engine],
                stopped[engine],
                disk_bytes(where.checkpoint, where.bundle, ENGINES[engine].variant),
            )
            for engine in engines
        },
        waiting_share=rounds.waiting_share,
        foreign_share=rounds.foreign_share,
    )


def plan_of(case: Case, plan: Plan) -> Plan:
    """The run's plan, with no more rounds than the case takes."""
    if case.most_rounds is None:
        return plan
    return msgspec.structs.replace(plan, rounds=min(plan.rounds, case.most_rounds))


def describe_set(tokens: Sequence[int]) -> str:
    """Say how long the texts of a set are."""
    return (
        f"{len(tokens)} texts of {min(tokens)} to {max(tokens)} tokens, median "
        f"{median(tokens):g}, together {sum(tokens)}"
    )


def engines_of(
    name: str, wanted: Sequence[str], bundle: Path, skipped: dict[str, str]
) -> list[str]:
    """The engines that take part in a case; a variant or package that is not there is noted."""
    variants = read_manifest(bundle).variants
    chosen = []
    for engine in wanted:
        known = ENGINES[engine]
        if not takes_part(known, CASES[name]):
            continue
        if known.variant is not None and known.variant not in variants:
            skipped[f"{name}, {engine}"] = f"its bundle has no {known.variant}"
        elif known.package is not None and find_spec(known.package) is None:
            skipped[f"{name}, {engine}"] = f"{known.package} is not installed"
        else:
            chosen.append(engine)
    return chosen


def takes_part(engine: Engine, case: Case) -> bool:
    """Whether an engine measures what a case is about."""
    return engine.figure in case.figures and case.kind in engine.kinds


def disk_bytes(checkpoint: Path, bundle: Path, variant: str | None) -> int:
    """Bytes of the files that are loaded: of a bundle one variant's graphs and the tokenizer."""
    if variant is None:
        return sum(path.stat().st_size for path in checkpoint.iterdir() if path.is_file())
    records = read_manifest(bundle).files
    needed = (f"graphs/{variant}.", "tokenizer.json")
    return sum(record.bytes for file, record in records.items() if file.startswith(needed))
