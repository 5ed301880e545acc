"""What each part of the int8 recipe is worth on BERT-base, 128 tokens, two threads.

`python -m benchmarks.int8_recipe`; needs the bundle that `python -m benchmarks` made. Each form of
the graph runs in a process of its own, in turns. Prints the Markdown table of docs/design.md.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.cases import ROOT

SOURCE = ROOT / "bench-out/cache/bundles/bert-base/graphs/cpu-fp32.model.onnx"
FEEDS = ROOT / "bench-out/cache/feeds/bert-base.tokens-128.npz"
ROUNDS, SECONDS = 7, 1.0

FORMS: dict[str, tuple[str, bool, bool]] = {
    "fp32": ("fp32", False, False),
    "quantised, the engine's own choices": ("quantised", False, False),
    "without SkipLayerNormFusion": ("quantised", True, False),
    "without it, GELU approximated": ("quantised", True, True),
    "the same, optimised at export (cpu-int8)": ("optimised", False, False),
}
"""Title -> graph file, SkipLayerNormFusion off, GELU approximated (both while loading)."""


def make(folder: Path) -> None:
    """Write the graphs that `FORMS` names."""
    from onnxtasks_export.precision import optimise, quantise

    quantise(SOURCE, folder / "quantised.onnx")
    optimise(folder / "quantised.onnx", folder / "optimised.onnx")


def measure(path: str, no_fusion: bool, approximate: bool) -> dict[str, float]:
    """Load a graph and run it for `SECONDS`: seconds of loading, median seconds of a run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    if approximate:
        options.add_session_config_entry("optimization.enable_gelu_approximation", "1")
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(
        path,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["SkipLayerNormFusion"] if no_fusion else [],
    )
    loaded = time.perf_counter() - start
    with np.load(FEEDS) as arrays:
        feeds = {name: arrays[name] for name in arrays.files}
    session.run(None, feeds)
    calls: list[float] = []
    while sum(calls) < SECONDS:
        start = time.perf_counter()
        session.run(None, feeds)
        calls.append(time.perf_counter() - start)
    return {"load": loaded, "run": median(calls)}


def main() -> None:
    """Measure every form in turns, and print the table."""
    found: dict[str, list[dict[str, float]]] = {title: [] for title in FORMS}
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        for _ in range(ROUNDS):
            for title, (name, no_fusion, approximate) in FORMS.items():
                path = SOURCE if name == "fp32" else Path(folder) / f"{name}.onnx"
                job = json.dumps([str(path), no_fusion, approximate])
                command = [sys.executable, "-m", "benchmarks.int8_recipe", job]
                done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
                found[title].append(json.loads(done.stdout))
    print("| BERT-base, 128 tokens | run ms | of fp32's | load ms |")
    print("|---|---|---|---|")
    base = median(row["run"] for row in found["fp32"])
    for title, rows in found.items():
        run, load = (median(row[key] for row in rows) for key in ("run", "load"))
        print(f"| {title} | {1e3 * run:.1f} | {run / base:.2f} | {1e3 * load:.0f} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(*json.loads(sys.argv[1]))))
    else:
        main()
