"""One 8-bit table for embedding and head, or a head of its own? Time of the head, by rows.

`python -m benchmarks.tied_head`; random weights of GPT-2's size. The table is in blocks, which
`GatherBlockQuantized` looks up and `MatMulNBits` multiplies with; a clone would be a matrix of
`DynamicQuantizeMatMul`, as the other products of cpu-int8 are, or stay fp32. They take turns in one
process. Prints the Markdown table of docs/design.md.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx_ir as ir

from benchmarks.cases import ROOT
from onnxtasks.devices import resolve
from onnxtasks.session import OrtSession
from onnxtasks_export.block_weights import CONTRIB, INT8_PRODUCTS
from onnxtasks_export.capture import save

WORDS, WIDTH, BLOCK = 50257, 768, 128
ROWS = (1, 4, 8, 32)
ROUNDS = 15
THREADS = 2
FORMS = ("the table's blocks", "a clone, int8", "a clone, fp32")


def constant(name: str, array: Any) -> ir.Value:
    """A weight."""
    value = ir.Value(
        name=name, const_value=ir.tensor(array, name=name), shape=ir.Shape(array.shape)
    )
    value.dtype = ir.DataType.from_numpy(array.dtype)
    return value


def head(form: str, rng: np.random.Generator) -> ir.Model:
    """Hidden [row, width] -> scores [row, word]."""
    hidden = ir.Value(
        name="hidden", shape=ir.Shape(["row", WIDTH]), type=ir.TensorType(ir.DataType.FLOAT)
    )
    attributes: dict[str, Any] = {}
    if form == FORMS[0]:
        blocks = rng.integers(0, 256, (WORDS, WIDTH // BLOCK, BLOCK), dtype=np.uint8)
        weights = [
            constant("weight", blocks),
            constant("scales", rng.random((WORDS, WIDTH // BLOCK), np.float32) / 1000),
        ]
        operator, domain = "MatMulNBits", CONTRIB
        attributes = {
            "K": WIDTH,
            "N": WORDS,
            "bits": 8,
            "block_size": BLOCK,
            "accuracy_level": INT8_PRODUCTS,
        }
    elif form == FORMS[1]:
        weights = [
            constant("weight", rng.integers(-127, 128, (WIDTH, WORDS), dtype=np.int8)),
            constant("scales", rng.random(WORDS, np.float32) / 1000),
            constant("zeros", np.zeros(WORDS, np.int8)),
        ]
        operator, domain = "DynamicQuantizeMatMul", CONTRIB
    else:
        weights = [constant("weight", rng.random((WIDTH, WORDS), np.float32) / 1000)]
        operator, domain = "MatMul", ""
    node = ir.node(operator, [hidden, *weights], attributes, domain=domain)
    scores = node.outputs[0]
    scores.name, scores.type = "scores", ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        [hidden],
        [scores],
        nodes=[node],
        initializers=weights,
        opset_imports={"": 20, CONTRIB: 1},
        name="head",
    )
    return ir.Model(graph, ir_version=10)


def main() -> None:
    """Measure the forms in turns, and print the table."""
    rng = np.random.default_rng(0)
    device = resolve("cpu", ("CPUExecutionProvider",))
    (ROOT / "bench-out").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "bench-out") as folder:
        sessions, sizes = {}, {}
        for number, form in enumerate(FORMS):
            path = Path(folder) / f"{number}.onnx"
            save(head(form, rng), path)
            sizes[form] = sum(file.stat().st_size for file in Path(folder).glob(f"{number}.*"))
            sessions[form] = OrtSession(path, device, THREADS)
        sizes[FORMS[0]] = 0  # the embedding has it anyway
        print(f"| head | MB more | {' | '.join(f'{rows} rows, ms' for rows in ROWS)} |")
        print("|---|---|" + "---|" * len(ROWS))
        found: dict[str, list[float]] = {form: [] for form in FORMS}
        for rows in ROWS:
            feeds = {"hidden": rng.normal(size=(rows, WIDTH)).astype(np.float32)}
            seconds: dict[str, list[float]] = {form: [] for form in FORMS}
            for _ in range(ROUNDS):
                for form, session in sessions.items():
                    start = time.perf_counter()
                    session.run(feeds)
                    seconds[form].append(time.perf_counter() - start)
            for form in FORMS:
                found[form].append(1e3 * median(seconds[form]))
        for form in FORMS:
            cells = " | ".join(f"{value:.2f}" for value in found[form])
            print(f"| {form} | {sizes[form] / 1e6:.0f} | {cells} |")


if __name__ == "__main__":
    main()
