"""What a decoder's self-attention costs in three forms, by how much is in the cache.

`python -m benchmarks.attention_forms`; graphs with nothing but the attention of GPT-2 (12 layers of
12 heads of 64, or of 4 heads of keys), made here. The forms take turns. Prints a Markdown table.

"slots" is what bundles have: `MultiHeadAttention` on a shared buffer, where a bias says which slots
a token sees. `GroupQueryAttention` on such a buffer takes one token a sentence, or one sentence.
"products" writes MatMul, Softmax and MatMul over what is past and what is new, without a buffer.
"""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

LAYERS, HEADS, SIZE, CAPACITY, THREADS, ROUNDS, RUNS = 12, 12, 64, 1152, 2, 5, 15
WIDTH = HEADS * SIZE
CASES = (
    *((1, 1, 64), (1, 1, 256), (1, 1, 512), (1, 1, 1023)),
    *((8, 1, 64), (8, 1, 512), (1, 4, 256), (8, 4, 256), (1, 128, 0), (4, 128, 0)),
)
"""Sentences, new tokens of each, tokens in the cache."""
Arrays = dict[str, NDArray[Any]]


def model(
    nodes: Sequence[onnx.NodeProto], inputs: Arrays, outputs: Sequence[str], constants: Arrays
) -> onnx.ModelProto:
    """A model of nodes whose inputs are like these arrays."""
    kinds = {np.float32: TensorProto.FLOAT, np.int32: TensorProto.INT32}
    given = [
        helper.make_tensor_value_info(name, kinds[array.dtype.type], [None] * array.ndim)
        for name, array in inputs.items()
    ]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    held = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "attention", given, made, held)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def buffers(batch: int, shape: Sequence[int]) -> Arrays:
    """Keys and values of every layer."""
    rng = np.random.default_rng(0)
    names = [f"{kind}{i}" for i in range(LAYERS) for kind in ("keys", "values")]
    return {n: rng.normal(size=(batch, *shape)).astype(np.float32) for n in names}


def fused(operator: str, batch: int, row: int, filled: int) -> tuple[onnx.ModelProto, Arrays]:
    """Layers of one operator on shared buffers."""
    total = filled + row
    x = np.random.default_rng(1).normal(size=(batch, row, WIDTH)).astype(np.float32)
    if operator == "MultiHeadAttention":
        bias = np.zeros((batch, 1, row, total), np.float32)
        extra: Arrays = {"bias": bias, "filled": np.array([filled], np.int32)}
    else:
        lengths = np.full(batch, total - 1, np.int32)
        extra = {"lengths": lengths, "total": np.array(total, np.int32)}
    nodes, value = [], "x"
    for i in range(LAYERS):
        past, new = [f"keys{i}", f"values{i}"], [f"new_keys{i}", f"new_values{i}"]
        if operator == "MultiHeadAttention":
            inputs = [value] * 3 + ["", "", "bias", *past, "filled"]
            sizes: dict[str, Any] = {"num_heads": HEADS}
        else:
            inputs = [value] * 3 + [*past, "lengths", "total"]
            sizes = {"num_heads": HEADS, "kv_num_heads": HEADS}
        outputs = [f"y{i}", *new]
        nodes.append(helper.make_node(operator, inputs, outputs, domain="com.microsoft", **sizes))
        value = f"y{i}"
    cache = buffers(batch, (HEADS, CAPACITY, SIZE))
    given = {"x": x, **extra, **cache}
    return model(nodes, given, [value, *(f"new_{name}" for name in cache)], {}), given


def products(batch: int, row: int, filled: int) -> tuple[onnx.ModelProto, Arrays]:
    """Layers of products over the past, its keys transposed, and over the new tokens."""
    x = np.random.default_rng(1).normal(size=(batch, row, WIDTH)).astype(np.float32)
    bias = np.zeros((batch, 1, row, filled + row), np.float32)
    rng = np.random.default_rng(0)
    cache: Arrays = {}
    nodes, value = [], "x"

    def add(operator: str, inputs: list[str], outputs: list[str], **more: Any) -> None:
        nodes.append(helper.make_node(operator, inputs, outputs, **more))

    for i in range(LAYERS):
        cache[f"keys{i}"] = rng.normal(size=(batch, HEADS, SIZE, filled)).astype(np.float32)
        cache[f"values{i}"] = rng.normal(size=(batch, HEADS, filled, SIZE)).astype(np.float32)
        add("Reshape", [value, "heads"], [f"h{i}"])
        add("Transpose", [f"h{i}"], [f"q{i}"], perm=[0, 2, 1, 3])
        add("Transpose", [f"h{i}"], [f"k{i}"], perm=[0, 2, 3, 1])
        add("MatMul", [f"q{i}", f"keys{i}"], [f"old_scores{i}"])
        add("MatMul", [f"q{i}", f"k{i}"], [f"new_scores{i}"])
        add("Concat", [f"old_scores{i}", f"new_scores{i}"], [f"scores{i}"], axis=3)
        add("Add", [f"scores{i}", "bias"], [f"biased{i}"])
        add("Softmax", [f"biased{i}"], [f"shares{i}"], axis=-1)
        add("Split", [f"shares{i}", "parts"], [f"old_shares{i}", f"new_shares{i}"], axis=3)
        add("MatMul", [f"old_shares{i}", f"values{i}"], [f"old_mixed{i}"])
        add("MatMul", [f"new_shares{i}", f"q{i}"], [f"new_mixed{i}"])
        add("Add", [f"old_mixed{i}", f"new_mixed{i}"], [f"mixed{i}"])
        add("Transpose", [f"mixed{i}"], [f"m{i}"], perm=[0, 2, 1, 3])
        add("Reshape", [f"m{i}", "flat"], [f"y{i}"])
        value = f"y{i}"
    constants = {
        "heads": np.array([0, 0, HEADS, SIZE]),
        "flat": np.array([0, 0, WIDTH]),
        "parts": np.array([filled, row]),
    }
    given = {"x": x, "bias": bias, **cache}
    news = [f"{part}{i}" for i in range(LAYERS) for part in "kq"]
    return model(nodes, given, [value, *news], constants), given


def runner(made: onnx.ModelProto, given: Arrays) -> Callable[[], None]:
    """A graph with its arrays bound, past and new ones of a cache to the same memory."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 3
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(a) for name, a in given.items()}
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for output in session.get_outputs():
        shared = values.get(output.name.removeprefix("new_"))
        if output.name.startswith("new_") and shared is not None:
            binding.bind_ortvalue_output(output.name, shared)
        else:
            binding.bind_output(output.name)
    return lambda: session.run_with_iobinding(binding)


def main() -> None:
    """Measure, and print the table."""
    print(
        "| sentences | new tokens | in the cache | slots, ms | grouped queries, ms | products, ms |"
    )
    print("|---|---|---|---|---|---|")
    for batch, row, filled in CASES:
        forms = {"slots": runner(*fused("MultiHeadAttention", batch, row, filled))}
        if row == 1 or batch == 1 or filled == 0:
            forms["grouped"] = runner(*fused("GroupQueryAttention", batch, row, filled))
        forms["products"] = runner(*products(batch, row, filled))
        seconds: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(ROUNDS):
            for name, run in forms.items():
                for _ in range(RUNS):
                    start = time.perf_counter()
                    run()
                    seconds[name].append(time.perf_counter() - start)
        cells = [
            f"{1e3 * median(seconds[name]):.2f}" if name in seconds else "-"
            for name in ("slots", "grouped", "products")
        ]
        print(f"| {batch} | {row} | {filled} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
