"""`python -m benchmarks.generation`: prepare, measure, report."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import machine
from benchmarks.cases import ROOT
from benchmarks.generation import probes, results
from benchmarks.generation.cases import CACHE, CASES, TINY
from benchmarks.generation.engines import ENGINES
from benchmarks.generation.report import markdown
from benchmarks.generation.results import Probes, Results
from benchmarks.generation.suite import measure, prepare
from benchmarks.suite import calibrate
from onnxtasks.devices import available_threads

PACKAGES = (
    *("onnxruntime", "torch", "transformers", "tokenizers", "numpy"),
    *("ctranslate2", "onnxruntime-genai"),
)
QUICK_ENGINES = tuple(
    name for name in ENGINES if name not in ("onnxtasks-w8", "onnxtasks-w4", "onnxtasks-w8-lookup")
)
QUICK_CASES = tuple(name for name, case in CASES.items() if name not in TINY and case.batch == 1)
FULL_CASES = tuple(name for name in CASES if name not in TINY)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; 1 where something failed, 0 otherwise, missed targets included."""
    options = _options(arguments)
    failures: dict[str, str] = {}
    options.out.mkdir(parents=True, exist_ok=True)
    cases = _prepared(options, failures)
    if options.prepare_only:
        return _end(failures)
    print("calibrating", flush=True)
    found = Results(
        machine={**machine.describe(), "packages": machine.versions(PACKAGES)},
        calibration=calibrate(options.threads),
        threads=options.threads,
        cases={},
        probes=Probes(),
        seconds={},
        skipped={},
        failures=failures,
    )
    for name in cases:
        print(f"{name}: measuring", flush=True)
        if case := measure(name, options.engines, found, options.cache, options.rounds):
            found.cases[name] = case
            print(f"{name}: {found.seconds[name]:.0f} s", flush=True)
        _write(found, options.out)  # after each case: an interrupted run keeps what it has
    if options.probes:
        start = time.perf_counter()
        asked = probes.measure(options.cache, options.threads, failures, quick=options.quick)
        found = msgspec.structs.replace(found, probes=asked)
        found.seconds["probes"] = time.perf_counter() - start
    _write(found, options.out)
    print(f"wrote {options.out}/results.json, results.md and plots")
    return _end({**found.skipped, **failures} if failures else {})


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generation", description=main.__doc__
    )
    parser.add_argument("--case", dest="cases", nargs="+", choices=CASES)
    parser.add_argument("--engines", nargs="+", choices=ENGINES)
    parser.add_argument(
        "--quick", action="store_true", help="one text a call, two rounds, fewer variants"
    )
    parser.add_argument("--rounds", type=int, help="turns of each engine, at most")
    parser.add_argument(
        "--no-probes", dest="probes", action="store_false", help="leave out steps, Python, memory"
    )
    parser.add_argument(
        "--prepare-only", action="store_true", help="make checkpoints and exports, measure nothing"
    )
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks/generation")
    parser.add_argument("--cache", type=Path, default=CACHE, help="kept between runs")
    options = parser.parse_args(arguments)
    options.cases = options.cases or (QUICK_CASES if options.quick else FULL_CASES)
    options.engines = options.engines or (QUICK_ENGINES if options.quick else tuple(ENGINES))
    options.rounds = options.rounds or (2 if options.quick else None)
    options.out, options.cache = options.out.resolve(), options.cache.resolve()
    return options


def _prepared(options: argparse.Namespace, failures: dict[str, str]) -> list[str]:
    """Prepare the models of the chosen cases, and those of the probes; the cases that are ready."""
    wanted: dict[str, list[str]] = {}
    for name in options.cases:
        wanted.setdefault(CASES[name].model, []).append(name)
    if options.probes:
        for name in (*probes.SHARES, probes.SMALL):
            wanted.setdefault(CASES[name].model, [])
    for model, names in wanted.items():
        if failed := prepare(model, names, options.cache, options.threads):
            failures[model] = failed
    return [name for name in options.cases if CASES[name].model not in failures]


def _write(found: Results, folder: Path) -> None:
    from benchmarks.generation.plots import draw  # matplotlib: only now, workers are not running

    results.write(found, folder / "results.json")
    (folder / "results.md").write_text(markdown(found), encoding="utf-8")
    draw(found, folder)


def _end(notes: dict[str, str]) -> int:
    for what, why in notes.items():
        print(f"{what}: {why}", file=sys.stderr)
    return 1 if notes else 0


if __name__ == "__main__":
    raise SystemExit(main())
