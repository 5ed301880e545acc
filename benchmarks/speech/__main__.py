"""`python -m benchmarks.speech`: prepare, measure, report."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import machine
from benchmarks.cases import ROOT
from benchmarks.environments import interpreter
from benchmarks.figures import timing
from benchmarks.results import Plan
from benchmarks.runner import Sample, Worker, WorkerError, environment, run_rounds
from benchmarks.speech import results
from benchmarks.speech.cases import CASES, ENGINES, SHORT, Case
from benchmarks.speech.report import markdown
from benchmarks.speech.results import CaseResult, EngineResult, Results
from benchmarks.suite import calibrate
from onnxtasks.devices import available_threads

PACKAGES = ("onnxruntime", "torch", "transformers", "numpy", "soundfile")
ANSWER_SECONDS = 1800.0  # an hour of sound, through the slowest engine
ONE_CALL = 1e-3  # seconds of a turn: shorter than any call, so that a turn is one
PART_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; 1 where something failed, 0 otherwise, missed targets included."""
    options = _options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.prepare:
        models = dict.fromkeys(CASES[name].model for name in options.cases)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.speech.prepare", *models],
            cwd=ROOT,
            env=environment(options.threads),
            check=True,
        )
    pythons = {
        name: sys.executable if engine.environment is None else str(interpreter(engine.environment))
        for name, engine in ENGINES.items()
        if name in options.engines
    }
    if options.prepare_only:
        return 0
    print("calibrating", flush=True)
    found = Results(
        machine={**machine.describe(), "packages": machine.versions(PACKAGES)},
        calibration=calibrate(options.threads),
        threads=options.threads,
        cases={},
        failures={},
    )
    path = options.out / "results.json"
    if options.add and path.exists():
        before = results.read(path)
        found.cases.update(before.cases)
    for name in options.cases:
        print(f"{name}: measuring", flush=True)
        try:
            found.cases[name] = measure(name, pythons, options.threads, options.rounds)
        except WorkerError as error:
            found.failures[name] = str(error)
            print(f"{name}: {error}", file=sys.stderr)
        ordered = {case: found.cases[case] for case in CASES if case in found.cases}
        found.cases.clear()
        found.cases.update(ordered)
        results.write(found, path)
        (options.out / "results.md").write_text(markdown(found), encoding="utf-8")
    print(f"wrote {options.out}/results.json and results.md")
    return 1 if found.failures else 0


def measure(name: str, pythons: dict[str, str], threads: int, rounds: int | None) -> CaseResult:
    """Let the engines of a case take turns.

    Args:
        name: The case.
        pythons: Engine -> the interpreter that has it.
        threads: Of every library.
        rounds: Turns of each, at most; None: as many as the case says.

    Raises:
        WorkerError: An engine failed.
    """
    case = CASES[name]
    plan = Plan(
        rounds=min(case.rounds, rounds or case.rounds),
        seconds=PART_SECONDS if case.parts else ONE_CALL,
        starts=1,
        threads=threads,
    )
    names = [engine for engine in pythons if case.model in ENGINES[engine].models]
    with ExitStack() as stack:
        workers, ready = {}, {}
        for engine in names:
            command = [pythons[engine], "-m", "benchmarks.speech.worker", engine, name]
            worker = Worker([*command, "--threads", str(threads)], threads, ANSWER_SECONDS)
            workers[engine] = stack.enter_context(worker)
            ready[engine] = worker.ready()
        done = run_rounds(workers, plan, lead_in=False)
        stopped = {engine: worker.stop() for engine, worker in workers.items()}
    engines = {
        engine: EngineResult(
            times={part: timing(_seconds(done.samples[engine], part)) for part in _parts(case)},
            open_seconds=ready[engine]["open_seconds"],
            loaded_bytes=int(stopped[engine].facts.pop("loaded_bytes")),
            peak_bytes=stopped[engine].peak_bytes,
            facts=stopped[engine].facts,
        )
        for engine in names
    }
    return CaseResult(
        engines=engines, waiting_share=done.waiting_share, foreign_share=done.foreign_share
    )


def _parts(case: Case) -> tuple[str, ...]:
    return ("features", "encoder", "tokens") if case.parts else ("text",)


def _seconds(rounds: Sequence[Sequence[Sample]], part: str) -> list[list[float]]:
    return [[s.stages.get(part, s.total) for s in calls] for calls in rounds]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speech", description=main.__doc__)
    parser.add_argument("--case", dest="cases", nargs="+", choices=CASES)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=tuple(ENGINES))
    parser.add_argument("--short", action="store_true", help="leave out recordings of an hour")
    parser.add_argument("--rounds", type=int, help="turns of each engine, at most")
    parser.add_argument(
        "--add", action="store_true", help="keep the other cases of an earlier run in --out"
    )
    parser.add_argument(
        "--no-prepare",
        dest="prepare",
        action="store_false",
        help="measure what an earlier run prepared, whatever has changed since",
    )
    parser.add_argument("--prepare-only", action="store_true", help="measure nothing")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks" / "speech")
    options = parser.parse_args(arguments)
    options.cases = options.cases or (SHORT if options.short else tuple(CASES))
    options.out = options.out.resolve()
    return options


if __name__ == "__main__":
    raise SystemExit(main())
