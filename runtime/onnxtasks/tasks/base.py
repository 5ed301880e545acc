"""What every task has in common: one or many, batches by a budget, loading and closing."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np

from onnxtasks.bundle import Bundle, Verify
from onnxtasks.devices import DeviceLike
from onnxtasks.errors import BundleError, InputError, OnnxTasksError
from onnxtasks.session import Session, Sessions, open_sessions
from onnxtasks.tuned import Choice, choice_of

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Description:
    """What is loaded, and where it runs."""

    task: str
    architecture: str
    folder: str
    device: str
    variant: str
    threads: int
    providers: tuple[str, ...]
    weight_bytes: int
    """Bytes of the variant's graphs and weights on disk; about what loading them takes."""
    graphs: dict[str, dict[str, dict[str, str]]]
    """Role -> "inputs" / "outputs" -> name -> dtype and shape."""
    tuned: str | None = None
    """Why this variant, device and number of threads, where `onnxtasks tune` chose them."""


class Task(ABC, Generic[In, Out]):
    """One loaded model that answers one kind of question.

    A task is safe to call from many threads at once. It is a context manager; leaving it closes
    its sessions.
    """

    name: ClassVar[str]
    """The task's name, as in the manifest."""
    unit: ClassVar[str]
    """What `measure` counts: "tokens", "pixels" or "seconds"."""
    budget: float
    """How much padded input one run of `map` gets, in units: a kind's own, or what was tuned."""
    plans_runs: ClassVar[bool] = False
    """Whether `predict` cuts its items into runs itself, by an option `budget`.

    Text tasks do: the size of a text is known only when it is tokenized, and a long one may be
    several inputs. Where it is known before the item is read (a file's header), `map` cuts.
    """

    bundle: Bundle | None = None
    """What the task was loaded from; None where it was built from parts."""
    sessions: Sessions | None = None
    """Its loaded graphs and their device; None where it was built from parts."""
    tuned: Choice | None = None
    """What `onnxtasks tune` chose on this host, where the task was loaded by it."""

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: DeviceLike = "cpu",
        variant: str | None = None,
        threads: int | None = None,
        verify: Verify = "size",
    ) -> Self:
        """Open a bundle of this task; the arguments are those of `onnxtasks.load`."""
        bundle = Bundle.open(folder, verify=verify)
        if bundle.manifest.task != cls.name:
            raise BundleError(
                f"{folder} is a bundle for {bundle.manifest.task}, not for {cls.name}; "
                "onnxtasks.load() picks the class"
            )
        return cls.from_opened(bundle, device=device, variant=variant, threads=threads)

    @classmethod
    def from_opened(
        cls,
        bundle: Bundle,
        *,
        device: DeviceLike = "cpu",
        variant: str | None = None,
        threads: int | None = None,
        profile: Path | None = None,
        watch: Callable[[Mapping[str, Session]], Mapping[str, Session]] | None = None,
    ) -> Self:
        """Load the graphs of an opened bundle.

        Args:
            bundle: The opened bundle.
            device: See `onnxtasks.load`.
            variant: The same.
            threads: The same.
            profile: See `open_sessions`.
            watch: Gives sessions that stand in for the loaded ones, by role.
        """
        choice = choice_of(bundle) if device == "auto" and variant is None else None
        if choice is not None:
            device, variant, threads = choice.device, choice.variant, threads or choice.threads
        sessions = open_sessions(
            bundle, device=device, variant=variant, threads=threads, profile=profile
        )
        graphs: Mapping[str, Session] = sessions.by_role
        task = cls.from_bundle(bundle, graphs if watch is None else watch(graphs))
        task.bundle, task.sessions, task.tuned = bundle, sessions, choice
        if choice is not None and choice.budget is not None:
            task.budget = choice.budget
        return task

    @classmethod
    @abstractmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs, by role."""

    @abstractmethod
    def predict(self, items: Sequence[In]) -> list[Out]:
        """Answer all items at once; results come in their order.

        Items share a run wherever that leaves each answer as it is alone. For more items than
        memory holds at once, use `map`.
        """

    @abstractmethod
    def measure(self, item: In) -> float:
        """The item's size in units, as cheaply as it can be told."""

    @abstractmethod
    def example(self) -> In:
        """An input that any bundle of this task can answer; for warming up."""

    def __call__(self, item: In, **options: Any) -> Out:
        """Answer one item; the options are those of `predict`."""
        if isinstance(item, list):
            raise InputError(
                f"{type(self).__name__}() takes one input, got a list of {len(item)}; "
                "use predict() or map() for several"
            )
        return self.predict([item], **options)[0]

    def map(
        self,
        items: Iterable[In],
        *,
        window: int = 64,
        budget: float | None = None,
        errors: Literal["raise", "return"] = "raise",
        progress: Callable[[int], object] | None = None,
        **options: Any,
    ) -> Iterator[Out | OnnxTasksError]:
        """Answer any number of items, lazily and in their order.

        Reads a window of items, sorts it by size so that little is padded, cuts it into batches
        whose padded size stays within the budget, and yields the answers in order.

        Args:
            items: Any iterable; never more than a window of it is held.
            window: Items read ahead. More sorts better, less answers sooner.
            budget: Padded size of one batch, in the task's units; None takes the task's own. An
                item larger than the budget runs alone.
            errors: "raise" stops at a bad item; "return" yields its error in its place.
            progress: Called with the number of items answered so far.
            options: Those of `predict`.

        Raises:
            InputError: A wrong argument at once; a bad item when its turn comes.
            TypeError: An option that `predict` does not take, at once.
        """
        check_items(items)
        if errors not in ("raise", "return"):
            raise InputError(f"errors is {errors!r}; it is 'raise' or 'return'")
        if not isinstance(window, int) or window < 1:
            raise InputError(f"window is {window!r}; it is a number of at least 1")
        self.check_options(options)
        limit = self.budget if budget is None else budget
        if not limit > 0:
            raise InputError(f"budget is {budget!r}; it is a number of {self.unit} above 0")
        return self._windows(items, window, limit, errors == "return", progress, options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse options that `predict` does not take, before an input is read.

        Raises:
            TypeError: A misspelt one.
        """
        inspect.signature(self.predict).bind([], **options)

    def _windows(
        self,
        items: Iterable[In],
        window: int,
        budget: float,
        keep_errors: bool,
        progress: Callable[[int], object] | None,
        options: dict[str, Any],
    ) -> Iterator[Out | OnnxTasksError]:
        source, done = iter(items), 0
        while batch := list(islice(source, window)):
            for answer in self._window(batch, budget, keep_errors, options):
                done += 1
                if progress is not None:
                    progress(done)
                yield answer

    def _window(
        self, items: list[In], budget: float, keep_errors: bool, options: dict[str, Any]
    ) -> list[Out | OnnxTasksError]:
        answers: dict[int, Out | OnnxTasksError] = {}
        sizes: dict[int, float] = {}
        for index, item in enumerate(items):
            try:
                sizes[index] = self.measure(item)
            except OnnxTasksError as error:
                if not keep_errors:
                    raise
                answers[index] = error
        if self.plans_runs:
            options = {**options, "budget": budget}
        # As few runs as fit: what is padded to one size anyway wastes nothing.
        for batch in [list(sizes)] if self.plans_runs else batches(sizes, budget, budget):
            results = self._batch([items[i] for i in batch], keep_errors, options)
            answers.update(zip(batch, results, strict=True))
        return [answers[index] for index in range(len(items))]

    def _batch(
        self, items: list[In], keep_errors: bool, options: dict[str, Any]
    ) -> list[Out | OnnxTasksError]:
        try:
            return list(self.predict(items, **options))
        except OnnxTasksError as error:
            if not keep_errors:
                raise
            if len(items) == 1:
                return [error]
        # One bad item fails its batch: answer the halves to find it.
        half = len(items) // 2
        parts = (items[:half], items[half:])
        return [answer for part in parts for answer in self._batch(part, True, options)]

    def warm_up(self, runs: int = 1) -> None:
        """Run an example input, so that the first real call pays for no first-time work."""
        for _ in range(runs):
            self.predict([self.example()])

    def describe(self) -> Description:
        """Say what is loaded and where it runs."""
        if self.bundle is None or self.sessions is None:
            raise BundleError(
                "this task was not loaded from a bundle; there is nothing to describe"
            )
        manifest, sessions = self.bundle.manifest, self.sessions
        prefix = f"graphs/{sessions.variant}."
        return Description(
            task=self.name,
            architecture=manifest.architecture,
            folder=str(self.bundle.folder),
            device=sessions.device.name,
            variant=sessions.variant,
            threads=sessions.threads,
            providers=next(iter(sessions.by_role.values())).providers,
            weight_bytes=sum(r.bytes for f, r in manifest.files.items() if f.startswith(prefix)),
            graphs={
                role: {"inputs": session.inputs, "outputs": session.outputs}
                for role, session in sessions.by_role.items()
            },
            tuned=None if self.tuned is None else self.tuned.reason,
        )

    def close(self) -> None:
        """Give the sessions' memory back; later calls are errors. Closing twice is allowed."""
        if self.sessions is not None:
            self.sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_items(items: object) -> None:
    """Refuse one text, path or file where several inputs are expected: it would be taken apart.

    Raises:
        InputError: A str, bytes or path.
    """
    if isinstance(items, (str, bytes, Path)):
        raise InputError(
            f"several inputs are expected, got one {type(items).__name__}; "
            "call the task itself for one"
        )


def batches(sizes: Mapping[int, float], budget: float, run_cost: float) -> list[list[int]]:
    """Cut items into batches of similar size, so that the least is computed.

    Of all ways to cut the items, sorted by size, this is the one with the smallest sum of padded
    sizes and run costs (dynamic programming over the last batch).

    Args:
        sizes: Index of an item -> its size.
        budget: Largest item times number of items of one batch; a larger item is alone.
        run_cost: What a run costs whatever is in it, in the unit of sizes.
            More makes fewer runs.

    Returns:
        The batches, largest items first, so that a batch that does not fit fails early.
    """
    order = sorted(sizes, key=lambda index: -sizes[index])
    sized = np.array([sizes[index] for index in order], np.float64)
    least = np.zeros(len(order) + 1)  # [end], cost of everything before
    starts = [0] * (len(order) + 1)  # [end], where the batch that ends there starts
    first = 0
    for end in range(1, len(order) + 1):
        while first < end - 1 and sized[first] * (end - first) > budget:
            first += 1  # for no later end does this start fit either
        places = np.arange(first, end)
        costs = least[first:end] + sized[first:end] * (end - places) + run_cost
        best = end - 1 - int(costs[::-1].argmin())  # of equal ones the fullest first batches
        least[end], starts[end] = costs[best - first], best
    cut: list[list[int]] = []
    end = len(order)
    while end:
        cut.append(order[starts[end] : end])
        end = starts[end]
    return cut[::-1]


def groups(keys: Sequence[object]) -> list[list[int]]:
    """Indices of equal keys together, in the order of first appearance."""
    found: dict[object, list[int]] = {}
    for index, key in enumerate(keys):
        found.setdefault(key, []).append(index)
    return list(found.values())
