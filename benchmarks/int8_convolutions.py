"""Which int8 for models with convolutions? Sessions alone, base-size, random weights, two threads.

`python -m benchmarks.int8_convolutions [CASE ...]`, behind `make bench`, which makes the graphs and
inputs. Every form is made of the case's fp32 graph, with the ranges of its own input and without
the search for sensitive parts: random weights answer nothing that could be right. Each form runs
in a process of its own, in turns; prints the Markdown table of docs/design.md.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.cases import CASES, ROOT, files

CACHE = ROOT / "bench-out/cache"
ROUNDS, SECONDS, THREADS = 3, 1.5, 2
NAMES = (
    "convnext-tiny",
    "detr-r50",
    "mask2former-tiny",
    "segformer-b0",
    "glpn",
    "wav2vec2-base",
)
AROUND = ("Add", "Relu", "MaxPool")
FORMS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "Conv": ("Conv",),
    "Conv, Add, Relu, MaxPool": ("Conv", *AROUND),
    "the same and MatMul": ("Conv", "MatMul", *AROUND),
}
"""Title -> operators with fixed ranges; products that are not among them are dynamic."""


def make(name: str, folder: Path) -> dict[str, Path]:
    """Write the forms of a case's graph."""
    from onnxtasks_export.calibration import Watched
    from onnxtasks_export.precision import to_int8
    from onnxtasks_export.static_int8 import (
        Recipe,
        find_parts,
        prepare,
        to_static_int8,
        watched_tensors,
    )

    case = files(CASES[name], CACHE)
    exact = case.bundle / "graphs/cpu-fp32.model.onnx"
    if not exact.exists():
        sys.exit(f"{exact} is missing; run `make bench` first")
    made, prepared = {"fp32": exact}, folder / "prepared.onnx"
    prepare(exact, prepared)
    with np.load(case.feeds) as arrays:
        feeds = {key: arrays[key] for key in arrays.files}
    for number, (title, form) in enumerate(FORMS.items()):
        made[title] = folder / f"{number}.onnx"
        if not form:
            to_int8(exact, made[title])
            continue
        recipe = Recipe(form)
        parts = find_parts(prepared, recipe)
        watched = Watched(prepared, watched_tensors(prepared, parts))
        watched.run(feeds)
        watched.close()
        to_static_int8(prepared, made[title], parts, watched.ranges)
    return made


def measure(path: str, feeds_path: str) -> float:
    """Median seconds of a run."""
    from onnxtasks.devices import resolve
    from onnxtasks.session import OrtSession

    session = OrtSession(Path(path), resolve("cpu", ("CPUExecutionProvider",)), THREADS)
    with np.load(feeds_path) as arrays:
        feeds = {key: arrays[key] for key in arrays.files}
    session.run(feeds)
    calls: list[float] = []
    while sum(calls) < SECONDS or len(calls) < 3:
        start = time.perf_counter()
        session.run(feeds)
        calls.append(time.perf_counter() - start)
    return median(calls)


def run(path: Path, feeds: Path) -> float:
    """Measure in a process of its own."""
    job = json.dumps([str(path), str(feeds)])
    command = [sys.executable, "-m", "benchmarks.int8_convolutions", "--run", job]
    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    return float(json.loads(done.stdout))


def main(names: list[str]) -> None:
    """Measure every case in turns, and print the table."""
    print(f"| fixed ranges of | fp32 ms | {' | '.join(FORMS)} |")
    print("|---" * (len(FORMS) + 2) + "|")
    for name in names or list(NAMES):
        with tempfile.TemporaryDirectory() as folder:
            made = make(name, Path(folder))
            found: dict[str, list[float]] = {title: [] for title in made}
            for _ in range(ROUNDS):
                for title, path in made.items():
                    found[title].append(run(path, files(CASES[name], CACHE).feeds))
        exact, *others = (median(times) for times in found.values())
        cells = [f"{1e3 * one:.1f} ({exact / one:.2f}x)" for one in others]
        print(f"| {name} | {1e3 * exact:.1f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(measure(*json.loads(sys.argv[2]))))
    else:
        main(sys.argv[1:])
