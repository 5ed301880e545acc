"""The steps of a run: prepare a case, calibrate, measure a case."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.cases import CASES, ROOT, files
from benchmarks.engines import ENGINES
from benchmarks.results import Calibration, CaseResult, Plan, Results
from benchmarks.runner import (
    Worker,
    WorkerError,
    engine_result,
    environment,
    run_rounds,
    run_starts,
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
    where = files(CASES[name], cache)
    engines = engines_of(name, wanted, where.bundle, found.skipped)
    if not engines:
        found.skipped[name] = "none of the chosen engines measures it"
        return None
    start = {
        engine: partial(Worker, worker_command(engine, name, cache, plan.threads), plan.threads)
        for engine in engines
    }
    about = json.loads(where.about.read_text(encoding="utf-8"))
    peaks: dict[str, int] = {}
    try:
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for engine in engines:
                workers[engine] = stack.enter_context(start[engine]())
                workers[engine].ready()
            rounds = run_rounds(workers, plan)
            peaks.update({engine: worker.stop() for engine, worker in workers.items()})
        starts = run_starts(start, plan.starts, engines)
    except WorkerError as error:
        found.failures[name] = str(error)
        return None
    return CaseResult(
        feeds=about["feeds"],
        flops=about["flops"],
        engines={
            engine: engine_result(
                ENGINES[engine].figure,
                rounds.samples[engine],
                starts[engine],
                peaks[engine],
                disk_bytes(where.checkpoint, where.bundle, ENGINES[engine].variant),
            )
            for engine in engines
        },
        waiting_share=rounds.waiting_share,
        foreign_share=rounds.foreign_share,
    )


def engines_of(
    name: str, wanted: Sequence[str], bundle: Path, skipped: dict[str, str]
) -> list[str]:
    """The engines that take part in a case; a variant that its bundle lacks is noted."""
    variants = read_manifest(bundle).variants
    chosen = []
    for engine in wanted:
        if ENGINES[engine].figure not in CASES[name].figures:
            continue
        variant = ENGINES[engine].variant
        if variant is not None and variant not in variants:
            skipped[f"{name}, {engine}"] = f"its bundle has no {variant}"
            continue
        chosen.append(engine)
    return chosen


def disk_bytes(checkpoint: Path, bundle: Path, variant: str | None) -> int:
    """Bytes of the files that are loaded: of a bundle one variant's graphs and the tokenizer."""
    if variant is None:
        return sum(path.stat().st_size for path in checkpoint.iterdir() if path.is_file())
    records = read_manifest(bundle).files
    needed = (f"graphs/{variant}.", "tokenizer.json")
    return sum(record.bytes for file, record in records.items() if file.startswith(needed))
