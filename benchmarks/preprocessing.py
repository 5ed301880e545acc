"""How long does a picture take from its file to the model's tensor? Ours against transformers'.

`python -m benchmarks.preprocessing` writes docs/benchmarks/preprocessing.md. Both ways read one
JPEG file and must give the same floats, bit by bit. Each has a process of its own, for memory that
one frees is cheap for the other; they take turns, so that what else the machine does falls on both.
"""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmarks.cases import ROOT
from benchmarks.inputs import MAKERS

PAIRS = 15
PAGE = ROOT / "docs/benchmarks/preprocessing.md"
PHOTO, SMALL_PHOTO = "photo-1280x960.jpg", "photo-640x480.jpg"


@dataclass(frozen=True, slots=True)
class Case:
    """An image processor of transformers, its settings, and the picture it is given."""

    processor: str
    settings: dict[str, Any] = field(default_factory=dict)
    photo: str = PHOTO


CASES = {
    "DETR": Case("DetrImageProcessorPil"),
    "ViT": Case("ViTImageProcessorPil"),
    "SegFormer": Case("SegformerImageProcessorPil"),
    "GLPN": Case("GLPNImageProcessorPil", photo=SMALL_PHOTO),
    "Mask2Former": Case("Mask2FormerImageProcessorPil", {"size": {"height": 384, "width": 384}}),
}

Floats = npt.NDArray[np.float32]
Engine = Literal["onnxtasks", "transformers"]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of each call, ours and the original's, in pairs; the tensor's shape."""

    ours: list[float]
    original: list[float]
    shape: tuple[int, ...]


@cache
def way(engine: Engine, title: str, path: Path) -> Callable[[], Floats]:
    """What makes the tensor [1, channel, height, width] of the file."""
    import transformers
    from transformers.image_utils import load_image

    from onnxtasks.ops.image import to_batch, to_pixels
    from onnxtasks.ops.image_reading import read_image
    from onnxtasks_export.specs.image import image_spec

    case = CASES[title]
    processor = getattr(transformers, case.processor)(**case.settings)
    spec = image_spec(processor.to_dict(), {})

    def ours() -> Floats:
        return to_batch([to_pixels(read_image(path), spec)], spec)

    def original() -> Floats:
        found: Floats = processor(images=load_image(str(path)), return_tensors="np")["pixel_values"]
        return found

    return ours if engine == "onnxtasks" else original


def tensor(engine: Engine, title: str, path: Path) -> Floats:
    """The tensor; what only the first call does is done afterwards."""
    return way(engine, title, path)()


def seconds(engine: Engine, title: str, path: Path) -> float:
    """Time of one call."""
    run = way(engine, title, path)
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(title: str, path: Path) -> Measured:
    """Run both in turns; they must agree."""
    spawn = get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=spawn) as ours,
        ProcessPoolExecutor(1, mp_context=spawn) as original,
    ):
        found = ours.submit(tensor, "onnxtasks", title, path).result()
        if not np.array_equal(found, original.submit(tensor, "transformers", title, path).result()):
            raise SystemExit(f"{title}: the tensors differ")
        times: dict[Engine, list[float]] = {"onnxtasks": [], "transformers": []}
        for pair in range(PAIRS):
            turns: list[tuple[Engine, ProcessPoolExecutor]]
            turns = [("onnxtasks", ours), ("transformers", original)]
            for engine, process in turns if pair % 2 else turns[::-1]:
                times[engine].append(process.submit(seconds, engine, title, path).result())
    return Measured(times["onnxtasks"], times["transformers"], found.shape)


def main() -> None:
    """Measure every case, and write the page."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, case in CASES.items():
            path = Path(folder) / case.photo
            MAKERS[case.photo](path)
            results[title] = measure(title, path)
    text = page(results)
    PAGE.write_text(text, encoding="utf-8")
    print(text)


def page(results: dict[str, Measured]) -> str:
    """The page in Markdown."""
    rows = [_row(title, CASES[title].photo, found) for title, found in results.items()]
    return f"""\
# Preprocessing of pictures

Made by `python -m benchmarks.preprocessing`: from a JPEG file to the float tensor of one picture,
with transformers' Pillow image processors and with this package, which gives the same floats bit by
bit. {PAIRS} calls each way, in turns, each in a process of its own; both work in one thread. Part
of the difference is memory: this package lets the C library keep what a picture freed.

| processor | JPEG | tensor | transformers | onnxtasks | ratio of each pair: median (quartiles) |
|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def _row(title: str, photo: str, found: Measured) -> str:
    ratios = [b / a for a, b in zip(found.ours, found.original, strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    times = [f"{1e3 * median(values):.1f} ms" for values in (found.original, found.ours)]
    size = photo.removeprefix("photo-").removesuffix(".jpg").replace("x", " x ")
    shape = " x ".join(str(side) for side in found.shape[1:])
    return (
        f"| {title} | {size} | {shape} | {times[0]} | {times[1]} | "
        f"{middle:.2f} ({low:.2f} to {high:.2f}) |"
    )


if __name__ == "__main__":
    main()
