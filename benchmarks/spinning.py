"""Should idle threads of a session spin? Latency of one caller, and of four callers at once.

`python -m benchmarks.spinning`; needs the bundles that `python -m benchmarks` made. Each setting
runs in a process of its own, in turns: spinning threads disturb their neighbours. Prints the
Markdown table of docs/design.md.
"""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np

from benchmarks.cases import ROOT

BUNDLES = ROOT / "bench-out/cache/bundles"
FEEDS = ROOT / "bench-out/cache/feeds"
GRAPHS = {
    "BERT-base, 128 tokens, fp32": ("bert-base", "cpu-fp32", "bert-base.tokens-128"),
    "BERT-base, 128 tokens, int8": ("bert-base", "cpu-int8", "bert-base.tokens-128"),
    "DistilBERT tiny, fp32": ("text-example", "cpu-fp32", "text-example.reviews"),
}
ROUNDS, SECONDS = 5, 1.0


def measure(bundle: str, variant: str, feeds_file: str, spin: str, callers: int) -> list[float]:
    """Seconds of each call of a fresh session, for `SECONDS` after warming up."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", spin)
    path = BUNDLES / bundle / "graphs" / f"{variant}.model.onnx"
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    with np.load(FEEDS / f"{feeds_file}.npz") as arrays:
        feeds = {name: arrays[name] for name in arrays.files}

    def caller(_: int) -> list[float]:
        calls: list[float] = []
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            start = time.perf_counter()
            session.run(None, feeds)
            calls.append(time.perf_counter() - start)
        return calls

    session.run(None, feeds)
    with ThreadPoolExecutor(callers) as pool:
        return [seconds for calls in pool.map(caller, range(callers)) for seconds in calls]


def main() -> None:
    """Measure every graph with spinning on and off, in turns, and print the table."""
    print("| graph | callers | spinning: median, p99 ms | off: median, p99 ms | off / on |")
    print("|---|---|---|---|---|")
    for title, graph in GRAPHS.items():
        for callers in (1, 4):
            found: dict[str, list[list[float]]] = {"1": [], "0": []}
            for _ in range(ROUNDS):
                for spin, rounds in found.items():
                    job = json.dumps([*graph, spin, callers])
                    command = [sys.executable, "-m", "benchmarks.spinning", job]
                    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
                    rounds.append(json.loads(done.stdout))
            cells, medians = [], {}
            for spin, rounds in found.items():
                medians[spin] = median(median(calls) for calls in rounds)
                p99 = float(np.percentile([call for calls in rounds for call in calls], 99))
                cells.append(f"{1e3 * medians[spin]:.2f}, {1e3 * p99:.2f}")
            ratio = medians["0"] / medians["1"]
            print(f"| {title} | {callers} | {cells[0]} | {cells[1]} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(*json.loads(sys.argv[1]))))
    else:
        main()
