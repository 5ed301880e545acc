"""Calls of a loaded task with notes: the seconds of its stages, and of the runs of its graphs."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnxtasks.bundle import Bundle
from onnxtasks.devices import DeviceLike
from onnxtasks.errors import InputError, OnnxTasksError
from onnxtasks.session import Binding, Feeds, Outputs, Session, StepSession
from onnxtasks.tasks import bundle_class
from onnxtasks.tasks.base import Task
from onnxtasks.timing import record_stages


class WatchedSession:
    """A session that notes the seconds of its runs."""

    def __init__(self, session: Session) -> None:
        """Note nothing yet."""
        self._session = session
        self.seconds: list[float] = []

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run the graph once; see `Session`."""
        start = time.perf_counter()
        values = self._session.run(feeds, outputs)
        self.seconds.append(time.perf_counter() - start)
        return values

    def bind(self) -> "WatchedBinding":
        """Give a binding whose runs are noted too; see `StepSession`."""
        session: StepSession = self._session  # type: ignore[assignment]  # else nobody asks for one
        return WatchedBinding(session.bind(), self.seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class WatchedBinding:
    """A binding that notes the seconds of its runs."""

    def __init__(self, binding: Binding, seconds: list[float]) -> None:
        """Note them in the list."""
        self._binding = binding
        self._seconds = seconds

    def run(self, outputs: Sequence[str]) -> None:
        """Run the graph once; see `Binding`."""
        start = time.perf_counter()
        self._binding.run(outputs)
        self._seconds.append(time.perf_counter() - start)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._binding, name)


@contextmanager
def watched(
    bundle: Bundle,
    *,
    device: DeviceLike = "cpu",
    variant: str | None = None,
    threads: int | None = None,
    profile: Path | None = None,
) -> Iterator[tuple[Task[Any, Any], dict[str, WatchedSession]]]:
    """Load a task whose sessions are watched.

    Args:
        bundle: The opened bundle.
        device: See `onnxtasks.load`.
        variant: The same.
        threads: The same.
        profile: A folder for ONNX Runtime's recordings; None records nothing.

    Yields:
        The task and its graphs by role.
    """
    graphs: dict[str, WatchedSession] = {}

    def watch(loaded: Mapping[str, Session]) -> Mapping[str, Session]:
        graphs.update({role: WatchedSession(one) for role, one in loaded.items()})
        return graphs

    task = bundle_class(bundle).from_opened(
        bundle, device=device, variant=variant, threads=threads, profile=profile, watch=watch
    )
    with task:
        yield task, graphs


@dataclass(slots=True)
class Calls:
    """What was noted of the measured calls."""

    seconds: list[float] = field(default_factory=list)
    """Of each call."""
    stages: list[dict[str, float]] = field(default_factory=list)
    """Of each call: stage -> seconds."""
    graphs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Role -> seconds of its runs, of each call."""
    runs: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Role -> number of its runs, of each call."""
    first: dict[str, int] = field(default_factory=dict)
    """Role -> number of its runs before the first measured call."""


def measured(
    task: Task[Any, Any],
    graphs: Mapping[str, WatchedSession],
    items: Sequence[Any],
    options: Mapping[str, Any],
    *,
    names: Sequence[str],
    repeats: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Calls:
    """Answer the inputs once without notes, and then again and again with them.

    Args:
        task: The loaded one.
        graphs: Its sessions by role.
        items: The inputs of a call.
        options: Those of `predict`.
        names: What messages call the inputs.
        repeats: Most calls with notes.
        seconds: No call starts later than this; one always does.
        clock: Seconds that only grow.

    Raises:
        InputError: An input or option that the task refuses.
    """
    check_answers(task, items, options, names)
    made = Calls(first={role: len(graph.seconds) for role, graph in graphs.items()})
    end = clock() + seconds
    while len(made.seconds) < repeats and (not made.seconds or clock() < end):
        before = {role: len(graph.seconds) for role, graph in graphs.items()}
        with record_stages() as stages:
            start = time.perf_counter()
            for _ in answers(task, items, options):
                pass
            made.seconds.append(time.perf_counter() - start)
        made.stages.append(dict(stages))
        for role, graph in graphs.items():
            runs = graph.seconds[before[role] :]
            made.graphs[role].append(sum(runs))
            made.runs[role].append(len(runs))
    return made


def check_answers(
    task: Task[Any, Any],
    items: Sequence[Any],
    options: Mapping[str, Any],
    names: Sequence[str],
) -> None:
    """Answer the inputs once; the error of one that cannot be answered names it.

    Raises:
        InputError: An input or option that the task refuses.
    """
    try:
        task.check_options(options)
    except TypeError as error:  # of two kinds of models of one task, it may be the other
        raise InputError(f"the bundle's model does not take this option: {error}") from None
    found = task.map(items, errors="return", **options)
    for name, answer in zip(names, found, strict=True):
        if isinstance(answer, OnnxTasksError):
            raise InputError(f"{name}: {answer}") from answer


def answers(
    task: Task[Any, Any], items: Sequence[Any], options: Mapping[str, Any]
) -> Iterable[Any]:
    """Answer one input as a caller does, several as `map` does, which cuts them into runs."""
    if len(items) == 1:
        return task.predict(items, **options)
    return task.map(items, **options)
