"""Should idle threads of a session spin? Latency of one caller, and of four callers at once.

`python -m benchmarks.spinning`; needs the bundles that `python -m benchmarks` and
`python -m benchmarks.generation` made. Each setting runs in a process of its own, in turns:
spinning threads disturb their neighbours. Prints the Markdown tables of docs/design.md.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np

from benchmarks.cases import ROOT
from onnxtasks.bundle import Bundle
from onnxtasks.devices import resolve
from onnxtasks.generation.decoder import GraphReader
from onnxtasks.generation.spec import SequenceToSequenceSpec
from onnxtasks.session import OrtSession

BUNDLES = ROOT / "bench-out/cache/bundles"
WRITERS = ROOT / "bench-out/cache/generation/bundles"
FEEDS = ROOT / "bench-out/cache/feeds"
GRAPHS = {
    "BERT-base, 128 tokens, fp32": ("bert-base", "cpu-fp32", "bert-base.tokens-128"),
    "BERT-base, 128 tokens, int8": ("bert-base", "cpu-int8", "bert-base.tokens-128"),
    "DistilBERT tiny, fp32": ("text-example", "cpu-fp32", "text-example.reviews"),
}
SOURCE, WRITTEN = 256, 64
TURNS = {
    f"BART-base {precision}, {SOURCE} + {WRITTEN} tokens": ("bart-base", f"cpu-{precision}")
    for precision in ("fp32", "int8", "w8")
}
"""Two graphs by turns: an encoder, then a decoder step after step."""
ROUNDS, SECONDS = 5, 1.0


def turns(bundle: str, variant: str, sleep: bool) -> list[float]:
    """Seconds of calls that read a source and write, for `SECONDS` and a call after warming up."""
    device = resolve("cpu", ("CPUExecutionProvider",))
    folder = Bundle.open(WRITERS / bundle)
    encoder, decoder = (
        OrtSession(folder.graph(variant, role), device, 2, takes_turns=sleep)
        for role in ("encoder", "decoder")
    )
    spec = folder.spec(SequenceToSequenceSpec).decoder
    tokens, parents = np.array([[5]]), np.zeros((1, 1), np.int64)

    def call() -> None:
        reader = GraphReader(decoder, spec, encoder, expected=WRITTEN)
        reader.begin([np.arange(5, 5 + SOURCE)])
        reader.prompt([np.array([2])])
        for _ in range(WRITTEN - 1):
            reader.step(tokens, parents)
        reader.close()

    return timed(call)


def timed(call: Callable[[], object]) -> list[float]:
    """Seconds of each call, for `SECONDS`, after one that is not counted."""
    call()
    calls: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or not calls:
        start = time.perf_counter()
        call()
        calls.append(time.perf_counter() - start)
    return calls


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
        return timed(lambda: session.run(None, feeds))

    with ThreadPoolExecutor(callers) as pool:
        return [seconds for calls in pool.map(caller, range(callers)) for seconds in calls]


def in_process(*job: str | int | bool) -> list[float]:
    """Seconds of calls in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.spinning", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    found: list[float] = json.loads(done.stdout)
    return found


def by_turns() -> None:
    """Measure two graphs by turns, whose threads spin after a run or sleep."""
    print("\n| encoder and decoder by turns | they spin, ms | they sleep, ms | sleep / spin |")
    print("|---|---|---|---|")
    for title, graphs in TURNS.items():
        found: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(ROUNDS):
            for sleep, rounds in found.items():
                rounds.append(1e3 * median(in_process(*graphs, sleep)))
        spin, asleep = (median(rounds) for rounds in found.values())
        print(f"| {title} | {spin:.0f} | {asleep:.0f} | {asleep / spin:.2f} |", flush=True)


def main() -> None:
    """Measure every graph with spinning on and off, in turns, and print the tables."""
    print("| graph | callers | spinning: median, p99 ms | off: median, p99 ms | off / on |")
    print("|---|---|---|---|---|")
    for title, graph in GRAPHS.items():
        for callers in (1, 4):
            found: dict[str, list[list[float]]] = {"1": [], "0": []}
            for _ in range(ROUNDS):
                for spin, rounds in found.items():
                    rounds.append(in_process(*graph, spin, callers))
            cells, medians = [], {}
            for spin, rounds in found.items():
                medians[spin] = median(median(calls) for calls in rounds)
                p99 = float(np.percentile([call for calls in rounds for call in calls], 99))
                cells.append(f"{1e3 * medians[spin]:.2f}, {1e3 * p99:.2f}")
            ratio = medians["0"] / medians["1"]
            print(f"| {title} | {callers} | {cells[0]} | {cells[1]} | {ratio:.2f} |", flush=True)
    by_turns()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asked = json.loads(sys.argv[1])
        print(json.dumps(turns(*asked) if isinstance(asked[-1], bool) else measure(*asked)))
    else:
        main()
