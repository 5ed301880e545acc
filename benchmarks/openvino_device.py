"""The device `openvino` against ONNX Runtime's own CPU operators, and what its cache is worth.

`python -m benchmarks.openvino_device PYTHON [CASE ...]`, where PYTHON is the interpreter of an
environment with onnxruntime-openvino and the runtime's other dependencies; needs the bundles and
feeds that `python -m benchmarks` made. Each row runs in processes of its own, in turns: spinning
threads disturb their neighbours. Prints Markdown; a round takes about half a minute a case.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent
CACHE = ROOT / "bench-out" / "cache"
CASES = {
    "bert-base": "bert-base.tokens-128",
    "vit-base": "vit-base.photo-1280x960",
    "convnext-tiny": "convnext-tiny.photo-1280x960",
    "wav2vec2-base": "wav2vec2-base.speech-5s",
    "detr-r50": "detr-r50.photo-1280x960",
    "segformer-b0": "segformer-b0.photo-1280x960",
    "glpn": "glpn.photo-640x480",
}
"""Bundle -> feeds of one run; of the families that OpenVINO runs whole."""
ROUNDS, SECONDS, THREADS = 3, 2.0, 2
LIMIT = 300  # seconds that one process may take


@dataclass(frozen=True)
class Row:
    """One way to run a case."""

    name: str
    variant: str
    device: Any
    """As `onnxtasks.load` takes it."""
    other: bool
    """Whether it needs the environment with onnxruntime-openvino."""


def kept(folder: str) -> list[Any]:
    """The device `openvino` as a list of providers, with what it compiled kept in a folder."""
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": str(THREADS),
        "CACHE_DIR": folder,
    }
    options = {"device_type": "CPU", "load_config": json.dumps({"CPU": settings})}
    return [["OpenVINOExecutionProvider", options], "CPUExecutionProvider"]


def rows(bundle: Path, folder: str) -> list[Row]:
    """The rows of a case: int8 only where the bundle has it."""
    variants = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["variants"]
    made = [
        Row("cpu, cpu-fp32", "cpu-fp32", "cpu", False),
        Row("cpu, cpu-int8", "cpu-int8", "cpu", False),
        Row("openvino", "cpu-fp32", "openvino", True),
        Row("openvino, CACHE_DIR filled", "cpu-fp32", kept(folder), True),
        Row("openvino:bf16", "cpu-fp32", "openvino:bf16", True),
    ]
    graph = (bundle / "graphs" / "cpu-fp32.model.onnx").read_bytes()
    masked = b"attention_mask" in graph  # the device refuses bf16 there
    made = made[:-1] if masked else made
    return [row for row in made if row.variant in variants]


def measured(python: str, bundle: Path, feeds: Path, row: Row) -> dict[str, float]:
    """Run one row in a process of its own."""
    device = json.dumps(row.device)
    place = os.pathsep.join((str(ROOT / "runtime"), str(ROOT)))
    told_it = ("--one", str(bundle), row.variant, device, str(feeds))
    made = subprocess.run(
        [python, "-m", "benchmarks.openvino_device", *told_it],
        env={**os.environ, "PYTHONPATH": place},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if made.returncode:
        raise SystemExit(f"{row.name}: {made.stderr.strip()}")
    told: dict[str, float] = json.loads(made.stdout.splitlines()[-1])
    return told


def one(bundle: str, variant: str, device: str, feeds: str) -> None:
    """Load a graph, run it for `SECONDS`, and print milliseconds as JSON."""
    import time

    start = time.perf_counter()
    import numpy as np

    from onnxtasks.bundle import Bundle
    from onnxtasks.session import open_sessions

    where = json.loads(device)
    if not isinstance(where, str):
        where = [name if isinstance(name, str) else tuple(name) for name in where]
    arrays = dict(np.load(feeds))
    opened = Bundle.open(bundle)
    imported = time.perf_counter()
    session = open_sessions(opened, device=where, variant=variant, threads=THREADS)
    graph = session.by_role["model"]
    loaded = time.perf_counter()
    graph.run(arrays)
    first = time.perf_counter()
    times: list[float] = []
    while len(times) < 3 or time.perf_counter() - first < SECONDS:
        begin = time.perf_counter()
        graph.run(arrays)
        times.append(time.perf_counter() - begin)
    told = {"load": loaded - imported, "start": first - start, "run": median(times)}
    print(json.dumps({name: 1000 * seconds for name, seconds in told.items()}))


def table(name: str, found: dict[str, list[dict[str, float]]]) -> list[str]:
    """Lines of Markdown: medians over the rounds, and the ratio to the first row."""
    base = median(one["run"] for one in next(iter(found.values())))
    lines = [
        f"**{name}**, {THREADS} threads, medians of {ROUNDS} processes",
        "",
        "| device, variant | a run, ms | lowest, highest | times the first | load, ms "
        "| import to answer, ms |",
        "|---|---|---|---|---|---|",
    ]
    for row, told in found.items():
        run = [one["run"] for one in told]
        load, start = (median(one[key] for one in told) for key in ("load", "start"))
        lines.append(
            f"| {row} | {median(run):.1f} | {min(run):.1f}, {max(run):.1f} "
            f"| {base / median(run):.2f} | {load:.0f} | {start:.0f} |"
        )
    return [*lines, ""]


def main(python: str, names: Sequence[str]) -> None:
    """Measure the cases and print their tables."""
    for name in names or CASES:
        bundle, feeds = CACHE / "bundles" / name, CACHE / "feeds" / f"{CASES[name]}.npz"
        with tempfile.TemporaryDirectory() as folder:
            found: dict[str, list[dict[str, float]]] = {}
            ways = rows(bundle, folder)
            for row in ways:
                if row.device == kept(folder):  # fills it
                    measured(python, bundle, feeds, row)
            for _ in range(ROUNDS):
                for row in ways:
                    interpreter = python if row.other else sys.executable
                    told = measured(interpreter, bundle, feeds, row)
                    found.setdefault(row.name, []).append(told)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*"))
        print("\n".join(table(name, found)))
        print(f"CACHE_DIR holds {size / 1e6:.0f} MB.\n", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        one(*sys.argv[2:])
    else:
        main(sys.argv[1], sys.argv[2:])
