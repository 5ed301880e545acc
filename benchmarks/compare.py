"""Two runs of the suite beside each other.

`python -m benchmarks.compare OLD/results.json [NEW/results.json]` prints a Markdown table: each
engine's medians before and now, their ratio, its range over any two rounds, and what can be said: a
difference smaller than the spread of the rounds is no difference. With `--max-regression 1.1` the
exit status is 1 where one of this project's engines became surely worse, and more than so many
times.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks import results
from benchmarks.cases import ROOT
from benchmarks.results import EngineResult, Results
from onnxtasks.benchmark import Figure, figure
from onnxtasks.comparison import FIGURES, Change
from onnxtasks.errors import InputError

OURS = "onnxtasks"
"""How the names of this project's engines begin."""


def figures(measured: EngineResult) -> Iterator[tuple[str, str, Figure]]:
    """What one engine has: title, name in `FIGURES`, and its rounds or processes."""
    for name, timing in measured.times.items():
        yield name, "median", figure(timing.rounds, timing.median)
    starts = measured.starts
    if starts.cold_seconds:
        yield "start", "cold_start", figure(starts.cold_seconds)
        yield "peak memory", "peak_memory", figure(starts.peak_bytes)
    yield "model files", "disk", figure([measured.disk_bytes])


def compare(before: Results, now: Results) -> list[Change]:
    """Every figure that both have, case after case.

    Raises:
        InputError: Other numbers of threads or shares of the sets, or nothing in common.
    """
    for name in ("threads", "share"):
        old, new = getattr(before.plan, name), getattr(now.plan, name)
        if old != new:
            raise InputError(f"the two runs measured with {name} {old} and {new}")
    changes = []
    for case, found in now.cases.items():
        earlier = before.cases.get(case)
        for engine in found.engines:
            if earlier is None or engine not in earlier.engines:
                continue
            old_figures = {title: one for title, _, one in figures(earlier.engines[engine])}
            changes += [
                Change(f"{case}, {engine}, {title}", name, old_figures[title], one)
                for title, name, one in figures(found.engines[engine])
                if title in old_figures
            ]
    if not changes:
        raise InputError("the two runs have no engine of one case in common")
    return changes


def markdown(changes: Sequence[Change]) -> str:
    """The table."""
    lines = ["| what | before | now | now / before | of any two rounds | |", "|---" * 6 + "|"]
    for change in changes:
        seconds = FIGURES[change.name].unit == "seconds"
        cells = [
            f"{1e3 * one.value:.4g} ms" if seconds else f"{one.value / 1e6:.4g} MB"
            for one in (change.before, change.now)
        ]
        low, high = change.range
        cells += [f"{change.ratio:.2f}", f"{low:.2f}-{high:.2f}", change.verdict]
        lines.append(f"| {change.variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def warnings(before: Results, now: Results) -> list[str]:
    """What makes the numbers of two runs each other's strangers."""
    differ = [
        name
        for name in ("cpu", "cpus", "flags", "memory_bytes")
        if before.machine.get(name) != now.machine.get(name)
    ]
    told = [f"made on other machines ({', '.join(differ)} differ)"] if differ else []
    faster = now.calibration.matrix_gflops / before.calibration.matrix_gflops
    if not 0.9 < faster < 1.1:
        told.append(f"the machine's matrix product was {faster:.2f} times as fast as before")
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two files; 1 where something became worse than allowed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=main.__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("now", type=Path, nargs="?", default=ROOT / "bench-out" / "results.json")
    parser.add_argument("--max-regression", type=float)
    options = parser.parse_args(arguments)
    try:
        before, now = results.read(options.before), results.read(options.now)
        changes = compare(before, now)
    except (OSError, msgspec.DecodeError, InputError) as error:
        raise SystemExit(f"python -m benchmarks.compare: {error}") from error
    for line in warnings(before, now):
        print(f"warning: {line}\n")
    print(markdown(changes))
    ours = [one.regression for one in changes if one.variant.split(", ")[1].startswith(OURS)]
    worst = max(ours, default=1.0)
    return int(options.max_regression is not None and worst > options.max_regression)


if __name__ == "__main__":
    raise SystemExit(main())
