"""`python -m benchmarks`: prepare, measure, report."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import machine, results
from benchmarks.cases import CASES, ROOT, files
from benchmarks.engines import ENGINES
from benchmarks.report import markdown
from benchmarks.results import Plan, Results
from benchmarks.suite import calibrate, measure, prepare
from onnxtasks.devices import available_threads

SHORT = Plan(rounds=3, seconds=0.6, starts=1, threads=1, share=1 / 6)
FULL = Plan(rounds=9, seconds=2.0, starts=3, threads=1)
"""The two forms; the threads are those that the process may use. The short one answers only the
first texts of a set."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; 1 where something failed, 0 otherwise, missed targets included."""
    options = _options(arguments)
    plan = _plan(options)
    cases, skipped = _available(options.cases, options.cache, options.full)
    failures: dict[str, str] = {}
    options.out.mkdir(parents=True, exist_ok=True)
    ready = [name for name in cases if prepare(name, options.cache, plan.threads, failures)]
    print("calibrating", flush=True)
    found = Results(
        machine=machine.describe(),
        calibration=calibrate(plan.threads),
        plan=plan,
        cases={},
        skipped=skipped,
        failures=failures,
    )
    for name in ready:
        print(f"{name}: measuring", flush=True)
        if case := measure(name, options.engines, plan, options.cache, found):
            found.cases[name] = case
        _write(found, options.out)  # after each case: an interrupted run keeps what it has
    _write(found, options.out)
    for what, why in {**found.skipped, **found.failures}.items():
        print(f"{what}: {why}", file=sys.stderr)
    print(f"wrote {options.out}/results.json, results.md and plots")
    return 1 if failures else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--full", action="store_true", help="more rounds; a missing case fails")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--rounds", type=int, help="turns of each engine")
    parser.add_argument("--seconds", type=float, help="seconds of one turn")
    parser.add_argument("--starts", type=int, help="fresh processes of each engine")
    parser.add_argument("--share", type=float, help="how much of a set of texts, at most 1")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--out", type=Path, default=ROOT / "bench-out")
    parser.add_argument(
        "--cache",
        type=Path,
        default=ROOT / "bench-out" / "cache",
        help="checkpoints, bundles and inputs; kept between runs",
    )
    options = parser.parse_args(arguments)
    options.out, options.cache = options.out.resolve(), options.cache.resolve()
    return options


def _plan(options: argparse.Namespace) -> Plan:
    form = FULL if options.full else SHORT
    given = {
        name: value
        for name in ("rounds", "seconds", "starts", "threads", "share")
        if (value := getattr(options, name)) is not None
    }
    try:
        return msgspec.structs.replace(form, **given)
    except ValueError as error:
        raise SystemExit(f"python -m benchmarks: {error}") from error


def _available(names: Sequence[str], cache: Path, full: bool) -> tuple[list[str], dict[str, str]]:
    """Leave out cases whose shipped checkpoint is not there; the full form refuses to."""
    skipped: dict[str, str] = {}
    for name in names:
        case = CASES[name]
        weights = files(case, cache).checkpoint / "model.safetensors"
        if case.checkpoint.startswith("examples/") and not weights.is_file():
            skipped[name] = f"{case.checkpoint} has no model.safetensors; see examples/README.md"
    if full and skipped:
        raise SystemExit("\n".join(f"{name}: {why}" for name, why in skipped.items()))
    return [name for name in names if name not in skipped], skipped


def _write(found: Results, folder: Path) -> None:
    from benchmarks.plots import draw  # matplotlib: only now, workers are not running

    results.write(found, folder / "results.json")
    (folder / "results.md").write_text(markdown(found), encoding="utf-8")
    draw(found, folder)


if __name__ == "__main__":
    raise SystemExit(main())
