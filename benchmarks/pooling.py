"""Does pooling in the graph pay? A run that copies vectors out, and one that copies hidden states.

`python -m benchmarks.pooling` writes docs/benchmarks/pooling.md. An encoder of MiniLM-L6's shape
with random weights is exported once; both ways run in turns in one process, a batch each, so that
what else the machine does falls on both.
"""

import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import numpy as np

from benchmarks.cases import ROOT

BATCH, TOKENS, HIDDEN = 32, 128, 384
PAIRS = 10
IN_GRAPH, IN_NUMPY = "embeddings", "last_hidden_state"
PAGE = ROOT / "docs/benchmarks/pooling.md"


def export(path: Path) -> None:
    """Capture the encoder with mean pooling and normalised vectors."""
    import torch
    import transformers
    from torch import nn

    from onnxtasks.ops.text import TextSpec
    from onnxtasks.tasks.feature_extraction import FeatureExtractionSpec
    from onnxtasks_export.capture import capture
    from onnxtasks_export.checkpoint import Checkpoint
    from onnxtasks_export.graphs.embedder import embedder_graph
    from onnxtasks_export.sentence_transformers import Normalize

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=30522,
        hidden_size=HIDDEN,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
    )
    model = transformers.BertModel(config).eval()
    spec = FeatureExtractionSpec(
        text=TextSpec(
            inputs=("input_ids", "attention_mask", "token_type_ids"), max_length=TOKENS, pad_id=0
        ),
        dim=HIDDEN,
        hidden_size=HIDDEN,
        pooling=("mean",),
        normalize=True,
        prompts={},
    )
    checkpoint = Checkpoint("random", "feature-extraction", config, model)
    capture(embedder_graph(checkpoint, spec, nn.Sequential(Normalize())), path)


def measure(path: Path) -> tuple[dict[str, list[float]], dict[str, int], list[float]]:
    """Seconds of each batch, bytes copied out of the engine, seconds of the pooling in numpy."""
    from onnxtasks.devices import available_threads, resolve
    from onnxtasks.ops.pooling import normalise, pool
    from onnxtasks.session import OrtSession

    session = OrtSession(path, resolve("cpu", ("CPUExecutionProvider",)), available_threads())
    ids = np.random.default_rng(0).integers(1000, 30000, (BATCH, TOKENS))
    mask, types = np.ones_like(ids), np.zeros_like(ids)
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    seconds: dict[str, list[float]] = {IN_GRAPH: [], IN_NUMPY: []}
    copied: dict[str, int] = {}
    pooling: list[float] = []
    session.run(feeds, [IN_NUMPY])  # first-time work
    for pair in range(PAIRS):
        for way in (IN_GRAPH, IN_NUMPY) if pair % 2 else (IN_NUMPY, IN_GRAPH):
            start = time.perf_counter()
            array = session.run(feeds, [way])[way]
            ran = time.perf_counter()
            if way == IN_NUMPY:
                normalise(np.stack([pool(hidden, "mean") for hidden in array]))
                pooling.append(time.perf_counter() - ran)
            seconds[way].append(time.perf_counter() - start)
            copied[way] = array.nbytes
    return seconds, copied, pooling


def main() -> None:
    """Measure both ways in turns, and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(path)
        text = page(*measure(path))
    PAGE.write_text(text, encoding="utf-8")
    print(text)


def page(seconds: dict[str, list[float]], copied: dict[str, int], pooling: list[float]) -> str:
    """The page in Markdown."""
    from onnxtasks.devices import available_threads

    ratios = [b / a for a, b in zip(seconds[IN_GRAPH], seconds[IN_NUMPY], strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    rows = [
        f"| {title} | {copied[way] / BATCH / 2**10:g} KiB | {1e3 * median(seconds[way]):.0f} ms |"
        for title, way in (("in the graph", IN_GRAPH), ("in numpy", IN_NUMPY))
    ]
    return f"""\
# Pooling in the graph

Made by `python -m benchmarks.pooling`: an encoder of MiniLM-L6's shape (6 layers, {HIDDEN} numbers,
12 heads) with random weights, fp32, {available_threads()} threads; mean pooling, normalised;
{BATCH} texts of {TOKENS} tokens a batch. {PAIRS} batches each way, in turns, in one process.

| pooling | copied out of the engine for a text | median of a batch |
|---|---|---|
{rows[0]}
{rows[1]}

Time in numpy / time in the graph, of each pair: median {middle:.3f}, quartiles {low:.3f} and
{high:.3f}. The pooling in numpy alone takes {1e3 * median(pooling):.1f} ms of a batch
({100 * median(pooling) / median(seconds[IN_NUMPY]):.2f}%).
"""


if __name__ == "__main__":
    main()
