"""Concurrent calls that share runs: items wait in line, and few threads answer them together."""

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from onnxtasks.errors import BusyError, DeviceError, GraphError, InputError
from onnxtasks.tasks.base import Task

In = TypeVar("In")
Out = TypeVar("Out")

WINDOW = 64
"""Waiting items among which a run's are chosen, as in `Task.map`."""
RUN_COST = 1 / 32
"""What a run costs besides its items, as a share of a full one: 16 of 512 tokens, as where texts
share runs (`python -m benchmarks.token_budget`)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may hold, and how long it may wait for more."""

    budget: float
    """Padded size of a run, in the task's units; a larger item runs alone."""
    max_items: int | None
    """Most items of a run; None leaves it to the budget."""
    max_wait: float
    """Seconds that an item waits for company."""
    max_queue: int | None
    """Most items in line, those that run not counted; None for any number."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """An item in line."""

    item: Any
    options: Mapping[str, Any]
    size: float
    """In the task's units."""
    since: float
    """When it came, in seconds of the line's clock."""
    future: Future[Any]


def companions(sizes: Sequence[float], budget: float, max_items: int | None) -> list[int]:
    """Choose which of the waiting items share the run of the first.

    The nearest in size come first, and each is taken that fits and pads less than a run of its own
    would cost.

    Args:
        sizes: Of the waiting items, oldest first.
        budget: Largest item times number of items of a run.
        max_items: Most items of a run; None for any number.

    Returns:
        Indices in the order of waiting; the first is always 0, so that nothing waits for ever.
    """
    most = len(sizes) if max_items is None else max_items
    chosen, largest = [0], sizes[0]
    # Compared with signs, for the size of a recording may be infinite.
    for index in sorted(range(1, len(sizes)), key=lambda i: abs(min(sizes[i], 1e300) - sizes[0])):
        count = len(chosen)
        size, widest = sizes[index], max(largest, sizes[index])
        if count >= most or widest * (count + 1) > budget:
            continue
        if widest * (count + 1) - largest * count <= size + RUN_COST * budget:
            chosen.append(index)
            largest = widest
    return sorted(chosen)


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two calls' options let them share a run.

    A seed's random numbers depend on the place in a run, so calls with one run alone.
    """
    if one.keys() != other.keys() or one.get("seed") is not None:
        return False
    try:
        return all(type(one[k]) is type(other[k]) and bool(one[k] == other[k]) for k in one)
    except ValueError:  # arrays, which say of each number whether it is equal
        return False


class Line:
    """Items that wait, oldest first; safe to use from many threads."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin empty.

        Args:
            limits: What a run may hold.
            clock: Seconds that only grow.
        """
        self.limits = limits
        self.clock = clock
        # Reentrant: a batcher that nobody holds any more may close its line in the midst of this.
        self._changed = threading.Condition(threading.RLock())
        self._waiting: list[Waiting] = []
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, waiting: Waiting) -> None:
        """Add an item at the end.

        Raises:
            BusyError: As many wait as may.
            GraphError: The line is closed.
        """
        with self._changed:
            if self._closed:
                raise GraphError("the batcher is closed; make another one of the task")
            most = self.limits.max_queue
            if most is not None and len(self._waiting) >= most:
                self._waiting = [one for one in self._waiting if not one.future.cancelled()]
                if len(self._waiting) >= most:
                    raise BusyError(
                        f"{len(self._waiting)} inputs are waiting, and max_queue is {most}; "
                        "ask again later"
                    )
            self._waiting.append(waiting)
            self._changed.notify()

    def take(self) -> list[Waiting]:
        """Wait for the next run's items and take them out; none once the line is closed and empty.

        Their futures are running: they cannot be cancelled any more.
        """
        with self._changed:
            while True:
                run, seconds = self.ready(self.clock())
                if run or (seconds is None and self._closed):
                    return run
                self._changed.wait(seconds)

    def ready(self, now: float) -> tuple[list[Waiting], float | None]:
        """Take the next run's items out if it is time.

        Args:
            now: The clock's seconds.

        Returns:
            The items; or none, and in how many seconds it will be time. None where nothing waits.
        """
        with self._changed:
            self._waiting = [one for one in self._waiting if not one.future.cancelled()]
            if not self._waiting:
                return [], None
            oldest = self._waiting[0]
            run = self._run_of(oldest)
            left = oldest.since + self.limits.max_wait - now
            if left > 0 and not self._closed and not self._full(run):
                return [], left
            taken = set(map(id, run))
            self._waiting = [one for one in self._waiting if id(one) not in taken]
            # One may have been cancelled just now; what is left starts.
            return [one for one in run if one.future.set_running_or_notify_cancel()], 0.0

    def close(self, *, cancel: bool = False) -> None:
        """Take no more items; those in line are answered, or cancelled."""
        with self._changed:
            self._closed = True
            if cancel:
                for one in self._waiting:
                    one.future.cancel()
            self._changed.notify_all()

    def _run_of(self, oldest: Waiting) -> list[Waiting]:
        same = (one for one in self._waiting[1:] if alike(oldest.options, one.options))
        near = [oldest, *islice(same, WINDOW - 1)]
        sizes = [one.size for one in near]
        return [near[i] for i in companions(sizes, self.limits.budget, self.limits.max_items)]

    def _full(self, run: Sequence[Waiting]) -> bool:
        largest = max(one.size for one in run)
        return (
            len(run) == self.limits.max_items
            or largest * (len(run) + 1) > self.limits.budget
            or run[0].options.get("seed") is not None
        )


class Batcher(Generic[In, Out]):
    """Answers calls from many threads, or from an event loop, several in one run.

    While one run computes, the next calls wait in line; then the oldest of them runs, together with
    those that fit to it: of the same options, of about its size, within the budget. An answer is
    what the task alone would have given, and a bad input is an error for its own caller only.

    It is a context manager; leaving it answers what waits, and ends its threads.
    """

    def __init__(
        self,
        task: Task[In, Out],
        *,
        max_wait: float = 0.0,
        budget: float | None = None,
        max_items: int | None = None,
        max_queue: int | None = None,
        timeout: float | None = None,
        runs: int = 1,
    ) -> None:
        """Start serving a task. It stays open when the batcher is closed.

        Args:
            task: A loaded task; it may be called directly as well.
            max_wait: Seconds that an input waits for others where there are too few to fill a run.
                With 0, what came during the last run shares the next, and nothing ever waits for
                an idle machine.
            budget: Padded size of one run, in the task's units; None takes the task's own. A
                larger input runs alone.
            max_items: Most inputs of one run; None leaves it to the budget.
            max_queue: Most inputs that wait; one more is a `BusyError`. None for any number.
            timeout: Seconds after which `batcher(item)` gives up with a `BusyError`; None waits.
                What does not run yet is taken out of the line.
            runs: How many runs compute at once, each on a thread of its own. Those of one session
                share its threads.

        Raises:
            InputError: A wrong argument.
        """
        if not isinstance(runs, int) or runs < 1:
            raise InputError(f"runs is {runs!r}; it is a number of at least 1")
        whole = task.budget if budget is None else budget
        for name, value in (("max_items", max_items), ("max_queue", max_queue)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError(f"{name} is {value!r}; it is a number of at least 1, or None")
        for name, seconds in (("max_wait", max_wait), ("timeout", timeout)):
            if seconds is not None and not seconds >= 0:
                raise InputError(f"{name} is {seconds!r}; it is a number of seconds, 0 or more")
        if not whole > 0:
            raise InputError(f"budget is {budget!r}; it is a number of {task.unit} above 0")
        self.task = task
        self._timeout = timeout
        self._process = os.getpid()
        self._line = Line(Limits(whole, max_items, max_wait, max_queue))
        # Daemons, for what nobody closed must not keep the interpreter from ending.
        self._threads = [
            threading.Thread(
                target=_serve, args=(task, self._line), name=f"onnxtasks-batcher-{n}", daemon=True
            )
            for n in range(runs)
        ]
        for thread in self._threads:
            thread.start()
        # Also at the interpreter's end, which must not come in the middle of a run.
        self._end = weakref.finalize(self, _end, self._line, self._threads, self._process)

    def __call__(self, item: In, **options: Any) -> Out:
        """Answer one input; blocks until its run is done. The options are those of `predict`.

        Raises:
            BusyError: The line is full, or the time is up.
            OnnxTasksError: What the task raises.
            GraphError: The batcher is closed.
            DeviceError: The process was forked after the batcher was made.
        """
        future = self.submit(item, **options)
        try:
            return future.result(self._timeout)
        except TimeoutError as error:
            if future.done() and not future.cancelled():
                raise  # the task's own
            raise BusyError(
                f"no answer in {self._timeout} s; {self.waiting} inputs are waiting"
            ) from error
        finally:
            future.cancel()  # does nothing to one that runs or is done

    def submit(self, item: In, **options: Any) -> "Future[Out]":
        """Put one input in line; give its future, which may be cancelled until its run starts.

        Raises:
            InputError: An input whose size cannot be told, or a wrong option, at once; what is
                found out later is raised by the future.
            TypeError: An option that `predict` does not take.
            BusyError: The line is full.
            GraphError: The batcher is closed.
            DeviceError: The process was forked after the batcher was made.
        """
        if os.getpid() != self._process:
            raise DeviceError(
                f"the batcher was made in process {self._process} and used in its fork "
                f"{os.getpid()}; load the bundle and make it after the fork"
            )
        if options:
            self.task.check_options(options)
        future: Future[Out] = Future()
        size = self.task.measure(item)
        self._line.put(Waiting(item, options, size, self._line.clock(), future))
        return future

    async def answer(self, item: In, **options: Any) -> Out:
        """Answer one input in an event loop, which goes on meanwhile.

        Cancelling takes the input out of the line if it does not run yet. There is no timeout:
        `asyncio.timeout` is one.

        Raises:
            OnnxTasksError: As in `submit`, and what the task raises.
        """
        import asyncio  # takes long to import, and most programs do not need it

        return await asyncio.wrap_future(self.submit(item, **options))

    @property
    def waiting(self) -> int:
        """Inputs in line, those that run not counted."""
        return len(self._line)

    def close(self, *, cancel: bool = False) -> None:
        """Take no more calls, answer what waits, and end the threads. Closing twice is allowed.

        Args:
            cancel: Cancel what waits instead; a run that has begun is always finished.
        """
        if os.getpid() == self._process:
            self._line.close(cancel=cancel)
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # After an error nobody is there to take the answers.
        self.close(cancel=error is not None)


def answers(
    task: Task[In, Out], items: Sequence[In], options: Mapping[str, Any]
) -> list[Out | Exception]:
    """Answer items together; what fails is answered in halves, to find the one that is bad."""
    try:
        return list(task.predict(items, **options))
    except Exception as error:  # also those of other libraries: it belongs to one caller
        if len(items) == 1:
            return [error]
    half = len(items) // 2
    return [*answers(task, items[:half], options), *answers(task, items[half:], options)]


def _serve(task: Task[Any, Any], line: Line) -> None:
    """Answer what comes until the line is closed and empty."""
    planned = {"budget": line.limits.budget} if task.plans_runs else {}
    while run := line.take():
        found = answers(task, [one.item for one in run], {**planned, **run[0].options})
        for one, answer in zip(run, found, strict=True):
            if isinstance(answer, Exception):
                one.future.set_exception(answer)
            else:
                one.future.set_result(answer)
        del run, found, one, answer  # else the last inputs would stay until the next come


def _end(line: Line, threads: Sequence[threading.Thread], process: int) -> None:
    """Let the threads answer what waits, and wait for them; in a fork there are none."""
    if os.getpid() != process:
        return
    line.close()
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join()
