"""Does cpu-int8 help a text family? Six layers of 384, one text of 128 tokens, two threads.

`python -m benchmarks.int8_families [FAMILY ...]`. Exports a random checkpoint of each family in
both variants, runs each in a process of its own, in turns, and prints the Markdown table of
docs/design.md. A family that int8 makes faster has `True` in `families` of the export's task table.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.cases import ROOT

ROUNDS, SECONDS, TOKENS = 5, 1.0, 128
SIZE = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
DISTILBERT = {"dim": 384, "n_layers": 6, "n_heads": 12, "hidden_dim": 1536}
POSITIONS = 130  # two more than tokens: RoBERTa and its kin count from behind the padding id


def make(family: str, folder: Path) -> Path:
    """Export a random checkpoint; its answers mean nothing, so any divergence is allowed."""
    from onnxtasks_export import export_bundle
    from tests.text_checkpoints import text_checkpoint

    size: dict[str, Any] = DISTILBERT if family == "distilbert" else SIZE
    source = text_checkpoint(
        folder / f"{family}.checkpoint",
        family,
        "ForSequenceClassification",
        max_position_embeddings=POSITIONS,
        initializer_range=0.02,
        **size,
    )
    bundle = folder / family
    export_bundle(source, bundle, variants=("cpu-fp32", "cpu-int8"), max_divergence=1.0)
    return bundle


def measure(bundle: str, variant: str) -> float:
    """Median seconds of a run."""
    import onnxtasks

    with onnxtasks.TextClassifier.load(bundle, variant=variant, threads=2) as task:
        session, spec = task.session, task.spec
        ids = np.random.default_rng(0).integers(5, 100, (1, min(TOKENS, spec.text.max_length)))
        made = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        made["token_type_ids"] = np.zeros_like(ids)
        feeds: dict[str, np.ndarray] = {name: made[name] for name in spec.text.inputs}
        session.run(feeds)
        calls: list[float] = []
        while sum(calls) < SECONDS:
            start = time.perf_counter()
            session.run(feeds)
            calls.append(time.perf_counter() - start)
    return median(calls)


def main(families: list[str]) -> None:
    """Measure every family in turns, and print the table."""
    from tests.text_checkpoints import CONFIGS

    print("| family | fp32 ms | int8 ms | int8 is faster by |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for family in families or list(CONFIGS):
            bundle = make(family, Path(folder))
            found: dict[str, list[float]] = {"cpu-fp32": [], "cpu-int8": []}
            for _ in range(ROUNDS):
                for variant, times in found.items():
                    job = json.dumps([str(bundle), variant])
                    command = [sys.executable, "-m", "benchmarks.int8_families", "--run", job]
                    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
                    times.append(json.loads(done.stdout))
            exact, fast = (median(times) for times in found.values())
            row = f"{1e3 * exact:.1f} | {1e3 * fast:.1f} | {exact / fast:.2f}x"
            print(f"| {family} | {row} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(measure(*json.loads(sys.argv[2]))))
    else:
        main(sys.argv[1:])
