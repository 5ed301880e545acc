"""What it is worth to score the vocabulary at the masks alone: BERT-base, 128 tokens, two threads.

`python -m benchmarks.mask_positions`; captures a graph of random weights first. The same graph
answers one mask, a few, and every token as if it were one: that is what a model without mask
positions computes. The forms take turns. Prints a Markdown table, of which docs/tasks/fill-mask.md
states the ratio.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from onnxtasks.devices import resolve
from onnxtasks.ops.text import TextSpec
from onnxtasks.session import Array, OrtSession

TOKENS, VOCABULARY, THREADS = 128, 30522, 2
MASKS = (1, 4, TOKENS)
ROUNDS, CALLS = 12, 4


def make(path: Path) -> None:
    """Capture a masked language model of BERT-base's shape."""
    import torch
    import transformers

    from onnxtasks_export.capture import capture
    from onnxtasks_export.checkpoint import Checkpoint
    from onnxtasks_export.graphs.mask_filler import mask_filler_graph

    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=VOCABULARY)
    model = transformers.BertForMaskedLM(config).eval()
    text = TextSpec(inputs=("input_ids", "attention_mask"), max_length=TOKENS, pad_id=0)
    checkpoint = Checkpoint("made here", "fill-mask", config, model)
    capture(mask_filler_graph(checkpoint, text, VOCABULARY), path)


def feeds_of(masks: int) -> dict[str, Array]:
    """One text of `TOKENS` random tokens, its first ones masks."""
    ids = np.random.default_rng(0).integers(1000, VOCABULARY, (1, TOKENS))
    positions = np.stack([np.zeros(masks, np.int64), np.arange(masks)], 1)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "mask_positions": positions}


def measure(session: OrtSession) -> dict[int, float]:
    """Number of masks -> median seconds of a run."""
    feeds = {masks: feeds_of(masks) for masks in MASKS}
    calls: dict[int, list[float]] = {masks: [] for masks in MASKS}
    for turn in range(ROUNDS + 1):
        for masks, arrays in feeds.items():
            for _ in range(CALLS):
                start = time.perf_counter()
                session.run(arrays)
                if turn:  # the first turn warms up
                    calls[masks].append(time.perf_counter() - start)
    return {masks: median(seconds) for masks, seconds in calls.items()}


def main() -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        make(path)
        session = OrtSession(path, resolve("cpu", ("CPUExecutionProvider",)), THREADS)
        found = measure(session)
    whole = found[TOKENS]
    print("| vocabulary scored at | run ms | of every token's |")
    print("|---|---|---|")
    for masks, seconds in found.items():
        where = "every token" if masks == TOKENS else f"{masks} mask{'s' * (masks > 1)}"
        print(f"| {where} | {1e3 * seconds:.1f} | {seconds / whole:.2f} |")


if __name__ == "__main__":
    main()
