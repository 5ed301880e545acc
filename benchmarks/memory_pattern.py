"""Does ONNX Runtime's memory pattern pay? It plans all of a run's memory as one block.

`python -m benchmarks.memory_pattern`; needs the bundles that `python -m benchmarks` and
`python -m benchmarks.speech` made. Time: two sessions of a graph in one process, by turns. Memory:
what a fresh process holds at most after six runs, above the loaded graph; the first run comes
before the pattern is known, so that with one there are both its memory and the block. Prints the
Markdown table of docs/design.md.
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.cases import ROOT
from benchmarks.worker import peak_bytes
from onnxtasks.session import SLEEP_AFTER_RUN

CACHE = ROOT / "bench-out" / "cache"
THREADS, PAIRS, RUNS = 2, 15, 6
Shapes = dict[str, tuple[int, ...]]
TEXT: Shapes = {name: (1, 128) for name in ("input_ids", "attention_mask", "token_type_ids")}
GRAPHS: dict[str, tuple[str, Shapes]] = {
    "BERT-base, 128 tokens": ("bundles/bert-base/graphs/cpu-fp32.model.onnx", TEXT),
    "BERT-base, 128 tokens, int8": ("bundles/bert-base/graphs/cpu-int8.model.onnx", TEXT),
    "ViT-base": (
        "bundles/vit-base/graphs/cpu-fp32.model.onnx",
        {"pixel_values": (1, 3, 224, 224)},
    ),
    "ConvNeXT-tiny": (
        "bundles/convnext-tiny/graphs/cpu-fp32.model.onnx",
        {"pixel_values": (1, 3, 224, 224)},
    ),
    "SegFormer-b0, 512 x 512": (
        "bundles/segformer-b0/graphs/cpu-fp32.model.onnx",
        {"pixel_values": (1, 3, 512, 512)},
    ),
    "Wav2Vec2-base, 7 s": (
        "speech/bundles/wav2vec2-base/graphs/cpu-fp32.model.onnx",
        {"input_values": (1, 112000)},
    ),
    "Whisper-base, encoder": (
        "speech/bundles/whisper-base/graphs/cpu-fp32.encoder.onnx",
        {"input_features": (1, 80, 3000)},
    ),
    "Whisper-base, encoder, int8": (
        "speech/bundles/whisper-base/graphs/cpu-int8.encoder.onnx",
        {"input_features": (1, 80, 3000)},
    ),
}


def session(path: Path, pattern: bool) -> Any:
    """Load a graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    options.enable_mem_pattern = pattern
    options.add_session_config_entry(SLEEP_AFTER_RUN, "1")  # two take turns in one process
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def feeds(loaded: Any, shapes: Shapes) -> dict[str, Any]:
    """Ones for whole numbers, noise for others."""
    rng = np.random.default_rng(0)
    return {
        one.name: np.ones(shapes[one.name], np.int64)
        if one.type == "tensor(int64)"
        else rng.normal(size=shapes[one.name]).astype(np.float32)
        for one in loaded.get_inputs()
    }


def seconds(name: str) -> tuple[float, float, float]:
    """Medians with and without a pattern, and the median of the pairs' ratios."""
    file, shapes = GRAPHS[name]
    both = [session(CACHE / file, pattern) for pattern in (True, False)]
    given = feeds(both[0], shapes)
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(-2, PAIRS):
        for place in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            both[place].run(None, given)
            if number >= 0:
                found[place].append(time.perf_counter() - start)
    pairs = [off / on for on, off in zip(*found, strict=True)]
    return median(found[0]), median(found[1]), median(pairs)


def above_loaded(name: str, pattern: bool) -> int:
    """Most memory after some runs less that of the loaded graph, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory_pattern", "--memory", name, str(pattern)]
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)


def memory(name: str, pattern: bool) -> int:
    """As `above_loaded`, of this process."""
    file, shapes = GRAPHS[name]
    loaded = session(CACHE / file, pattern)
    given = feeds(loaded, shapes)
    before = peak_bytes()
    for _ in range(RUNS):
        loaded.run(None, given)
    return peak_bytes() - before


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--memory"]:
        print(memory(sys.argv[2], sys.argv[3] == "True"))
        return
    print("| graph | pattern ms | none ms | none / pattern | pattern MB | none MB |")
    print("|---|---|---|---|---|---|")
    for name, (file, _) in GRAPHS.items():
        if not (CACHE / file).exists():
            print(f"| {name} | not made | | | | |")
            continue
        on, off, ratio = seconds(name)
        held = [above_loaded(name, pattern) / 1e6 for pattern in (True, False)]
        print(
            f"| {name} | {1e3 * on:.1f} | {1e3 * off:.1f} | {ratio:.3f} | {held[0]:.0f} | "
            f"{held[1]:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
