"""Where the time of a call goes: stages, graphs, operator types and nodes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from onnxtasks.bundle import Bundle
from onnxtasks.devices import DeviceLike
from onnxtasks.errors import InputError
from onnxtasks.node_times import GraphTimes, Shapes, graph_times, read_trace
from onnxtasks.tasks.base import Task
from onnxtasks.watched_calls import Calls, WatchedSession, measured, watched

Watched: TypeAlias = tuple[Task[Any, Any], dict[str, WatchedSession]]
"""A task and its graphs by role."""
REST = "other"
"""The name of what no stage records, such as cutting the inputs into runs."""


@dataclass(frozen=True, slots=True)
class StageProfile:
    """One stage of a call."""

    name: str
    """"preprocess", "run", "postprocess"; "other" is what belongs to none."""
    seconds: float
    """Of a call, the median."""
    share: float
    """Of the time of all stages, 0..1."""


@dataclass(frozen=True, slots=True)
class GraphProfile:
    """One graph of the variant."""

    role: str
    """Such as "model", "encoder", "decoder"."""
    runs: float
    """Runs in a call, on average."""
    seconds: float
    """Of its runs in a call, as they are without recording; the median."""
    share: float
    """Of the time of all stages, 0..1."""
    recorded_calls: int
    """Calls of which ONNX Runtime recorded every run; it stops after a million events."""
    recorded_seconds: float
    """As `seconds`, while every node's time is recorded."""
    overhead: float
    """Of `recorded_seconds`: in no node, but between nodes and around them, recording included."""


@dataclass(frozen=True, slots=True)
class OperatorProfile:
    """All nodes of one type in one graph; seconds as recorded."""

    graph: str
    """Its role."""
    type: str
    """Such as "MatMul"."""
    provider: str
    """The execution provider that ran them."""
    precision: str
    """Types of the elements that they read, such as "float32" or "float32, int8"."""
    nodes: int
    runs: float
    """Of all its nodes in a call, on average."""
    seconds: float
    """Of all its nodes in a call."""
    share: float
    """Of the time of all nodes of all graphs, 0..1."""


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """One node of a graph; seconds as recorded."""

    graph: str
    """Its role."""
    name: str
    """As in the graph, or as ONNX Runtime named what it fused."""
    type: str
    provider: str
    precision: str
    """Types of the elements that it reads."""
    output_shapes: Shapes
    """Those with which it spent most of its time; an empty one is of a single number."""
    other_shapes: int
    """How many others its outputs had."""
    runs: float
    """In a call, on average."""
    seconds: float
    """Of all its runs in a call, the median over the calls; without nodes inside of it."""
    share: float
    """Of the time of all nodes of all graphs, 0..1."""

    @property
    def seconds_per_run(self) -> float:
        """Of one run."""
        return self.seconds / self.runs


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of a call goes. A call answers all the inputs once."""

    folder: str
    task: str
    architecture: str
    variant: str
    device: str
    threads: int
    inputs: int
    """Of one call."""
    calls: tuple[float, ...]
    """Seconds of each measured call, without recording."""
    recorded_calls: tuple[float, ...]
    """Seconds of each call while the time of every node was recorded."""
    stages: tuple[StageProfile, ...]
    """In their order, of the calls without recording."""
    graphs: tuple[GraphProfile, ...]
    operators: tuple[OperatorProfile, ...]
    """The slowest first."""
    nodes: tuple[NodeProfile, ...]
    """The slowest first."""

    @property
    def seconds(self) -> float:
        """Of a call without recording, the median."""
        return median(self.calls)

    @property
    def outside_graphs(self) -> float:
        """Seconds of the stage "run" in a call that are no graph's: searches, rules, copies."""
        run = sum(stage.seconds for stage in self.stages if stage.name == "run")
        return max(0.0, run - sum(graph.seconds for graph in self.graphs))

    @property
    def is_cut(self) -> bool:
        """Whether ONNX Runtime's recording ended before the calls did."""
        return any(graph.recorded_calls < len(self.recorded_calls) for graph in self.graphs)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; times in seconds."""
        return asdict(self)


def profile_bundle(
    folder: str | Path,
    items: Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
    device: DeviceLike = "cpu",
    variant: str | None = None,
    threads: int | None = None,
    repeats: int = 20,
    seconds: float = 5.0,
    trace: str | Path | None = None,
) -> Profile:
    """Answer the inputs again and again, and say where the time goes.

    The bundle is loaded twice, one after the other: once as it is, for the times of the stages and
    graphs; and once with ONNX Runtime's recording, for those of the nodes. Recording costs some
    microseconds a node, which is much where a node takes no longer. Each time the first call is
    left out.

    Args:
        folder: The bundle's folder.
        items: The inputs of a call. One is given to the task's `predict`, several to its `map`.
        names: What messages call the inputs; "input 1" and so on if not given.
        options: Those of the task's `predict`.
        device: See `onnxtasks.load`.
        variant: The same.
        threads: The same.
        repeats: Most calls that are measured, with and without recording.
        seconds: No call starts later than this, with and without recording; one always does.
        trace: A folder for ONNX Runtime's recordings, `ROLE.json` for each graph, which
            Perfetto and chrome://tracing open; None keeps none.

    Raises:
        BundleError: Not a bundle, damaged, or without this variant.
        DeviceError: The device is not there.
        InputError: An input or option that the task refuses; or no input; or a call of more events
            than ONNX Runtime records.
    """
    if not items:
        raise InputError("there is no input to profile; give one at least")
    if repeats < 1:
        raise InputError(f"repeats is {repeats!r}; it is a number of at least 1")
    called = names or [f"input {number + 1}" for number in range(len(items))]
    bundle = Bundle.open(folder)

    def load(recording: Path | None = None) -> AbstractContextManager[Watched]:
        return watched(bundle, device=device, variant=variant, threads=threads, profile=recording)

    def calls(loaded: Watched) -> Calls:
        task, graphs = loaded
        return measured(
            task, graphs, items, options or {}, names=called, repeats=repeats, seconds=seconds
        )

    with _trace_folder(trace) as kept:  # made first, for it may be refused
        with load() as loaded:
            plain = calls(loaded)
            about = loaded[0].describe()
        with load(kept) as loaded:
            recorded = calls(loaded)
            files = {role: graph.end_profile() for role, graph in loaded[1].items()}
        times = {}
        for role, file in files.items():
            events = read_trace(file.replace(kept / f"{role}.json"))
            times[role] = graph_times(events, recorded.runs[role], recorded.first[role])
            _check_recorded(role, times[role], recorded.runs[role])
    return Profile(
        folder=str(folder),
        task=about.task,
        architecture=about.architecture,
        variant=about.variant,
        device=about.device,
        threads=about.threads,
        inputs=len(items),
        calls=tuple(plain.seconds),
        recorded_calls=tuple(recorded.seconds),
        stages=stages_of(plain),
        graphs=_graphs(plain, times),
        operators=operators_of(times),
        nodes=nodes_of(times),
    )


def stages_of(calls: Calls) -> tuple[StageProfile, ...]:
    """The median of every stage, and of what is left."""
    names = dict.fromkeys(name for stages in calls.stages for name in stages)
    rows = {name: median(stages.get(name, 0.0) for stages in calls.stages) for name in names}
    rest = [
        total - sum(stages.values())
        for total, stages in zip(calls.seconds, calls.stages, strict=True)
    ]
    rows[REST] = max(0.0, median(rest))
    total = sum(rows.values())
    return tuple(StageProfile(name, value, _share(value, total)) for name, value in rows.items())


def nodes_of(graphs: Mapping[str, GraphTimes]) -> tuple[NodeProfile, ...]:
    """The nodes of all graphs, the slowest first."""
    total = sum(node.seconds for times in graphs.values() for node in times.nodes)
    rows = [
        NodeProfile(
            graph=role,
            name=node.name,
            type=node.type,
            provider=node.provider,
            precision=node.precision,
            output_shapes=node.output_shapes,
            other_shapes=node.other_shapes,
            runs=node.runs,
            seconds=node.seconds,
            share=_share(node.seconds, total),
        )
        for role, times in graphs.items()
        for node in times.nodes
    ]
    return tuple(sorted(rows, key=lambda row: -row.seconds))


def operators_of(graphs: Mapping[str, GraphTimes]) -> tuple[OperatorProfile, ...]:
    """The nodes of all graphs, those of one graph, type and precision together."""
    found: dict[tuple[str, str, str, str], list[NodeProfile]] = defaultdict(list)
    for node in nodes_of(graphs):
        found[node.graph, node.type, node.provider, node.precision].append(node)
    rows = [
        OperatorProfile(
            *key,
            nodes=len(nodes),
            runs=sum(node.runs for node in nodes),
            seconds=sum(node.seconds for node in nodes),
            share=sum(node.share for node in nodes),
        )
        for key, nodes in found.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.seconds))


def _graphs(plain: Calls, times: Mapping[str, GraphTimes]) -> tuple[GraphProfile, ...]:
    total = sum(stage.seconds for stage in stages_of(plain))
    rows = []
    for role, graph in times.items():
        seconds = median(plain.graphs[role])
        rows.append(
            GraphProfile(
                role=role,
                runs=sum(plain.runs[role]) / len(plain.seconds),
                seconds=seconds,
                share=_share(seconds, total),
                recorded_calls=graph.calls,
                recorded_seconds=graph.seconds,
                overhead=graph.outside,
            )
        )
    return tuple(rows)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _check_recorded(role: str, times: GraphTimes, runs: Sequence[int]) -> None:
    if not times.calls:
        raise InputError(
            f"ONNX Runtime's recording of the graph {role!r} was full before the first of "
            f"{len(runs)} calls ended, which has {runs[0]} runs; profile fewer or shorter inputs, "
            "or, where text is written, fewer new tokens"
        )


@contextmanager
def _trace_folder(wanted: str | Path | None) -> Iterator[Path]:
    """A folder for recordings, which stays where it was wanted."""
    if wanted is None:
        with TemporaryDirectory(prefix="onnxtasks-profile-") as folder:
            yield Path(folder)
        return
    kept = Path(wanted)
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"no folder for traces at {kept}: {error.strerror}") from None
    yield kept
