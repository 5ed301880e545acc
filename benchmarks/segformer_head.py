"""What folding SegFormer's decoding head saves: the model as it is, and the graph that is exported.

`python -m benchmarks.segformer_head` writes docs/benchmarks/segformer_head.md. SegFormer-b0 with
random weights is captured twice, once through transformers' own code and once as it is exported;
both, and torch, run in turns in one process, so that what else the machine does falls on all.
"""

import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from benchmarks.cases import ROOT

SIDE, CLASSES = 512, 150
ROUNDS = 10
TORCH, AS_IT_IS, FOLDED = "torch", "as it is", "as exported"
TITLES = {
    TORCH: "torch",
    AS_IT_IS: "ONNX Runtime, the model as it is",
    FOLDED: "ONNX Runtime, as exported",
}
PAGE = ROOT / "docs/benchmarks/segformer_head.md"


def make() -> tuple[Any, Any]:
    """A checkpoint of b0's size, whose batch norm has some statistics, and its settings."""
    import torch
    import transformers

    from onnxtasks.ops.image import ExactSize, ImageSpec
    from onnxtasks.tasks.image_segmentation import ImageSegmentationSpec, SemanticHead
    from onnxtasks_export.checkpoint import Checkpoint

    torch.manual_seed(0)
    config = transformers.SegformerConfig(num_labels=CLASSES)
    model = transformers.SegformerForSemanticSegmentation(config).eval()
    model.decode_head.batch_norm.running_mean.normal_()
    model.decode_head.batch_norm.running_var.uniform_(0.5, 2)
    spec = ImageSegmentationSpec(
        image=ImageSpec(resize=ExactSize(height=SIDE, width=SIDE)),
        labels=tuple(map(str, range(CLASSES))),
        head=SemanticHead(),
        min_size=29,
    )
    return Checkpoint("random", "image-segmentation", config, model, {}), spec


def export(checkpoint: Any, spec: Any, folder: Path) -> dict[str, Path]:
    """Capture both graphs."""
    from onnxtasks_export.attention import plain_copy
    from onnxtasks_export.capture import capture
    from onnxtasks_export.graphs.segformer import segformer_graph
    from onnxtasks_export.graphs.semantic import (
        SemanticGraph,
        logits_axes,
        pixel_graph,
    )

    plain = SemanticGraph(plain_copy(checkpoint.model))
    graphs = {
        AS_IT_IS: pixel_graph(checkpoint, spec, plain, logits_axes(spec), dynamic=True),
        FOLDED: segformer_graph(checkpoint, spec),
    }
    paths = {way: folder / f"{index}.onnx" for index, way in enumerate(graphs)}
    for way, graph in graphs.items():
        capture(graph, paths[way])
    return paths


def measure(model: Any, paths: dict[str, Path]) -> tuple[dict[str, list[float]], float]:
    """Seconds of each picture, and how far the graphs' logits are apart."""
    import torch

    from onnxtasks.devices import available_threads, resolve
    from onnxtasks.session import OrtSession

    torch.set_num_threads(available_threads())
    device = resolve("cpu", ("CPUExecutionProvider",))
    sessions = {way: OrtSession(path, device, available_threads()) for way, path in paths.items()}
    pixels = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE), dtype=np.float32)

    def run(way: str) -> Any:
        if way in sessions:
            return sessions[way].run({"pixel_values": pixels})["logits"]
        with torch.no_grad():
            return model(torch.from_numpy(pixels)).logits.numpy()

    logits = {way: run(way) for way in TITLES}  # first-time work
    apart = float(np.abs(logits[TORCH] - logits[FOLDED]).max() / np.abs(logits[TORCH]).max())
    seconds: dict[str, list[float]] = {way: [] for way in TITLES}
    for index in range(ROUNDS):
        for way in list(TITLES)[:: 1 if index % 2 else -1]:
            start = time.perf_counter()
            run(way)
            seconds[way].append(time.perf_counter() - start)
            time.sleep(0.2)  # until the threads of one session spin no longer beside another's
    return seconds, apart


def main() -> None:
    """Measure all ways in turns, and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, spec = make()
        text = page(*measure(checkpoint.model, export(checkpoint, spec, Path(folder))))
    PAGE.write_text(text, encoding="utf-8")
    print(text)


def page(seconds: dict[str, list[float]], apart: float) -> str:
    """The page in Markdown."""
    from onnxtasks.devices import available_threads

    rows = []
    for way, title in TITLES.items():
        ratios = [a / b for a, b in zip(seconds[way], seconds[FOLDED], strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        rows.append(
            f"| {title} | {1e3 * median(seconds[way]):.0f} ms | {1e3 * min(seconds[way]):.0f} ms | "
            f"{middle:.2f} | {low:.2f} to {high:.2f} |"
        )
    table = "\n".join(rows)
    return f"""\
# SegFormer's decoding head, folded

Made by `python -m benchmarks.segformer_head`: SegFormer-b0 with random weights, {SIDE} x {SIDE}
pixels, {CLASSES} classes, fp32, {available_threads()} threads, up to the logits. {ROUNDS} pictures
each way, in turns, in one process; the ratio is taken in each turn.

| way | median | least | time / time as exported | quartiles |
|---|---|---|---|---|
{table}

The logits of torch and of the exported graph differ by {apart:.1g} of the largest.

What the exported graph changes, none of it more than the rounding of a number:

- Each level goes through one small matrix, before upsampling; the model multiplies the
  concatenated levels, 1024 channels, at the largest level's size.
- Upsampling is a product with a matrix an axis, for all levels at once, which adds them up too.
- The batch norm lies in the matrices.
- Convolutions over tokens permute four axes, not three: the engine takes that permutation into its
  own change of layout.
"""


if __name__ == "__main__":
    main()
