"""The ranges of a graph's values on real inputs: what activations in 8 bits are cut to."""

from collections.abc import Collection, Sequence
from pathlib import Path

import onnx

from onnxtasks.devices import available_threads, resolve
from onnxtasks.errors import ExportError
from onnxtasks.session import Feeds, OrtSession, Outputs

SMALLEST, LARGEST = "_smallest", "_largest"
"""Ends of the names of the outputs that a watched graph has besides its own."""
Ranges = dict[str, tuple[float, float]]
"""Tensor -> its smallest and its largest value."""


class Watched:
    """A `Session` of a graph that also notes the ranges of tensors, over all its runs.

    Stands where a task expects its session, so that a task's own preprocessing makes the feeds. A
    tensor's range is found inside the graph, which gives two numbers for it: memory is that of a
    usual run, whatever is watched and however many inputs are seen.
    """

    def __init__(self, path: Path, tensors: Collection[str]) -> None:
        """Load the graph with two outputs more for each tensor.

        Args:
            path: The ONNX file; its weights may lie beside it.
            tensors: Names of what is watched; those that are no float32 are left out.
        """
        kept = sorted(tensors)
        loaded = _open(path, kept)
        floats = [name for name in kept if loaded.outputs[name + SMALLEST].startswith("float[")]
        if len(floats) < len(kept):
            loaded.close()
            loaded = _open(path, floats)
        self._session = loaded
        self._names = [name + end for name in floats for end in (SMALLEST, LARGEST)]
        self._own = [name for name in loaded.outputs if name not in self._names]
        self.ranges: Ranges = {}

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run the graph once; give its own outputs."""
        names = self._own if outputs is None else list(outputs)
        found = self._session.run(feeds, [*names, *self._names])
        for low, high in zip(self._names[::2], self._names[1::2], strict=True):
            name = low.removesuffix(SMALLEST)
            seen = self.ranges.get(name, (float("inf"), float("-inf")))
            self.ranges[name] = min(seen[0], float(found[low])), max(seen[1], float(found[high]))
        return {name: found[name] for name in names}

    def close(self) -> None:
        """Give the graph's memory back."""
        self._session.close()


def spread_out(items: Sequence[object], most: int) -> list[int]:
    """Places of at most so many items, evenly over all of them: the same for the same count."""
    count = min(len(items), most)
    return [place * len(items) // count for place in range(count)]


def check_ranges(ranges: Ranges) -> None:
    """Refuse ranges that no scale can be made of.

    Raises:
        ExportError: Names the tensor.
    """
    for name, (low, high) in ranges.items():
        if not abs(low) + abs(high) < float("inf"):  # also catches NaN
            raise ExportError(f"calibration: {name!r} reaches from {low} to {high}")


def _open(path: Path, tensors: Sequence[str]) -> OrtSession:
    """Write the watched graph beside the original, whose weights it reads, and load it."""
    model = onnx.load(path, load_external_data=False)
    for name in tensors:
        for kind, end in (("ReduceMin", SMALLEST), ("ReduceMax", LARGEST)):
            model.graph.node.add(
                op_type=kind, name=f"{name}{end}", input=[name], output=[name + end]
            ).attribute.add(name="keepdims", type=onnx.AttributeProto.INT, i=0)
            model.graph.output.add(name=name + end)
    watched = path.with_suffix(".watched.onnx")
    try:
        onnx.save(model, watched)
        device = resolve("cpu", ("CPUExecutionProvider",))
        return OrtSession(watched, device, available_threads())
    finally:
        watched.unlink(missing_ok=True)
