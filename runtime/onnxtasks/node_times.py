"""Times of a graph's nodes, read from the trace that ONNX Runtime writes of a profiled session.

The trace is a list of events in Chrome's format: microseconds since the session was made, of each
run ("model_run") and of each node in it (category "Node", name + "_kernel_time").
"""

import mmap
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import TypeAlias

import msgspec

from onnxtasks.errors import GraphError

RUN = "model_run"
NODE = "_kernel_time"
MICROSECOND = 1e-6
NUMBERS = {"float": "float32", "double": "float64"}
"""Types of elements that ONNX Runtime calls otherwise than NumPy."""
COUNTING = frozenset({"int32", "int64", "bool"})
"""Types of shapes, indices and masks; they say nothing of a node that also reads numbers."""

Tensors: TypeAlias = list[dict[str, list[int]]]
"""Of each tensor: its type of elements -> its shape."""
Shapes: TypeAlias = tuple[tuple[int, ...], ...]


class NodeArguments(msgspec.Struct, frozen=True):
    """What an event says of its node."""

    op_name: str = ""
    provider: str = ""
    node_index: str | int = ""
    input_type_shape: Tensors = []
    output_type_shape: Tensors = []


class Event(msgspec.Struct, frozen=True):
    """One event of a trace; times in microseconds."""

    name: str
    ts: float = 0
    dur: float = 0
    cat: str = ""
    pid: int = 0
    tid: int = 0
    args: NodeArguments = NodeArguments()

    @property
    def end(self) -> float:
        """When it ended."""
        return self.ts + self.dur


@dataclass(frozen=True, slots=True)
class NodeTimes:
    """One node of a graph."""

    name: str
    """As in the graph, or as ONNX Runtime named what it fused."""
    type: str
    """Its operator, such as "MatMul"."""
    provider: str
    """The execution provider that ran it."""
    precision: str
    """Types of the elements that it reads, such as "float32" or "float32, int8"."""
    output_shapes: Shapes
    """Those with which it spent most of its time; an empty one is of a single number."""
    other_shapes: int
    """How many others its outputs had, such as those of a text that grows."""
    runs: float
    """How often it ran in a call, on average."""
    seconds: float
    """Of all its runs in a call, the median over the calls. What ran inside of it (the graphs of
    Loop and If) are rows of their own and not in it."""


@dataclass(frozen=True, slots=True)
class GraphTimes:
    """A graph's runs; seconds are of a call and of the clock, the median over the calls."""

    calls: int
    """Calls of which every run was recorded."""
    runs: float
    """Runs in a call, on average."""
    seconds: float
    """Of the runs; two at the same time count once."""
    outside: float
    """Seconds of the runs in which no node was at work: between nodes, and around them."""
    nodes: tuple[NodeTimes, ...]
    """The slowest first."""


def read_trace(path: Path) -> list[Event]:
    """Read ONNX Runtime's trace.

    Raises:
        GraphError: It is no trace, such as one that a full disk cut short.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return msgspec.json.decode(data, type=list[Event])
    except (OSError, ValueError) as error:  # a file without a byte cannot be mapped
        raise GraphError(f"ONNX Runtime's profile {path.name} cannot be read: {error}") from None


def graph_times(events: Sequence[Event], calls: Sequence[int], skipped: int = 0) -> GraphTimes:
    """Add up the times of runs and nodes, call by call.

    Args:
        events: Of one session, in any order.
        calls: Runs of each call that counts.
        skipped: Runs before them, which do not count.
    """
    runs = sorted((one for one in events if one.name == RUN), key=lambda one: one.ts)[skipped:]
    # A trace has room for a million events; what comes later is lost, a run's event with it.
    whole = [end for end in accumulate(calls) if end <= len(runs)]
    parts = [runs[end - count : end] for end, count in zip(whole, calls, strict=False)]
    nodes = _by_call([one for one in events if _is_node(one)], [part for part in parts if part])
    spans = [[(one.ts, one.end) for one in part] for part in parts if part]
    busy = [covered(part) for part in spans]
    worked = [covered((one.ts, one.end) for one in part) for part in nodes]
    return GraphTimes(
        calls=len(whole),
        runs=sum(map(len, parts)) / max(1, len(whole)),
        seconds=_median(busy, len(whole)),
        outside=_median([max(0.0, a - b) for a, b in zip(busy, worked, strict=True)], len(whole)),
        nodes=_by_node(nodes, len(whole)),
    )


def own_times(events: Sequence[Event]) -> list[float]:
    """Each event's time without that of the events inside it on the same thread, in microseconds.

    A node that holds a graph (Loop, If) ends after the nodes of that graph.
    """
    own = [one.dur for one in events]
    threads: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, one in enumerate(events):
        threads[one.pid, one.tid].append(index)
    for indices in threads.values():
        around: list[int] = []
        # Of two that start together, the longer one is the outer; else the one written later.
        for index in sorted(indices, key=lambda i: (events[i].ts, -events[i].dur, -i)):
            while around and events[around[-1]].end <= events[index].ts:
                around.pop()
            if around:
                own[around[-1]] -= events[index].dur
            around.append(index)
    return [max(0.0, time) for time in own]


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of intervals (start, end)."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def precision(arguments: NodeArguments) -> str:
    """The types of elements that a node reads, or makes where it reads nothing."""
    for tensors in (arguments.input_type_shape, arguments.output_type_shape):
        types = dict.fromkeys(NUMBERS.get(one, one) for tensor in tensors for one in tensor)
        if types:
            return ", ".join([one for one in types if one not in COUNTING] or types)
    return ""


def _is_node(event: Event) -> bool:
    return event.cat == "Node" and event.name.endswith(NODE)


def _median(times: Sequence[float], calls: int) -> float:
    """The median over all calls, in seconds; a call that has no time took none."""
    return median([*times, *[0.0] * (calls - len(times))]) * MICROSECOND if calls else 0.0


def _by_call(events: Sequence[Event], calls: Sequence[Sequence[Event]]) -> list[list[Event]]:
    """The events inside the time of each call's runs."""
    ends = [max(run.end for run in runs) for runs in calls]
    found: list[list[Event]] = [[] for _ in calls]
    for one in events:
        index = bisect_left(ends, one.end)
        if index < len(calls) and calls[index][0].ts <= one.ts:
            found[index].append(one)
    return found


@dataclass(slots=True)
class _Sums:
    """What is added up of one node."""

    runs: int = 0
    calls: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    shapes: dict[Shapes, float] = field(default_factory=lambda: defaultdict(float))


def _by_node(calls: Sequence[Sequence[Event]], count: int) -> tuple[NodeTimes, ...]:
    # What ONNX Runtime fuses has one name in every layer; the index tells them apart.
    sums: dict[tuple[str, str | int, str, str, str], _Sums] = defaultdict(_Sums)
    for number, events in enumerate(calls):
        for one, time in zip(events, own_times(events), strict=True):
            about = one.args
            name = one.name.removesuffix(NODE)
            found = sums[name, about.node_index, about.op_name, about.provider, precision(about)]
            found.runs += 1
            found.calls[number] += time
            made = about.output_type_shape
            found.shapes[tuple(tuple(shape) for one in made for shape in one.values())] += time
    rows = [
        NodeTimes(
            name=name,
            type=kind,
            provider=provider,
            precision=types,
            output_shapes=max(found.shapes, key=lambda shapes: found.shapes[shapes]),
            other_shapes=len(found.shapes) - 1,
            runs=found.runs / count,
            seconds=_median(list(found.calls.values()), count),
        )
        for (name, _, kind, provider, types), found in sums.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.seconds, row.name)))
