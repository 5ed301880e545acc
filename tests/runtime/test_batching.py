"""Calls that share runs: which ones, in what order, and what becomes of errors."""

import asyncio
import os
import subprocess
import sys
import threading
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from onnxtasks.batching import (
    Batcher,
    answers,
)
from onnxtasks.errors import BusyError, DeviceError, GraphError, InputError
from onnxtasks.tasks.base import Task

PATIENCE = 20.0  # seconds after which a test that hangs fails


class Doubler(Task[Any, int]):
    """Doubles numbers; an item's size is the number itself, and 13 is a bad item.

    With a gate, a run waits until it is opened; `begun` says that one waits there.
    """

    name = "doubling"
    unit = "ones"
    budget = 100.0

    def __init__(self, *, gated=False):
        self.runs: list[list[int]] = []
        self.options: list[dict[str, int]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        if not gated:
            self.gate.set()

    @classmethod
    def from_bundle(cls, bundle, sessions):
        return cls()

    def predict(self, items, *, plus=0, seed=None):
        self.begun.release()
        assert self.gate.wait(PATIENCE)
        self.runs.append(list(items))
        self.options.append({"plus": plus} if seed is None else {"plus": plus, "seed": seed})
        if 13 in items:
            raise InputError("13 brings bad luck")
        if 14 in items:
            raise ZeroDivisionError("14")
        return [2 * item + plus for item in items]

    def measure(self, item):
        if item < 0:
            raise InputError(f"{item} is negative")
        return float(item)

    def example(self):
        return 1


class Planning(Doubler):
    """Cuts its items into runs itself."""

    plans_runs = True

    def predict(self, items, *, plus=0, seed=None, budget=1.0):
        self.options.append({"budget": budget})
        return super().predict(items, plus=plus, seed=seed)


@pytest.fixture
def held():
    """A batcher whose first run, of the item 1, waits at its gate; opened and closed at the end."""
    made = []

    def make(task=None, **arguments):
        task = task or Doubler(gated=True)
        batcher = Batcher(task, **arguments)
        made.append((task, batcher))
        first = batcher.submit(1)
        assert task.begun.acquire(timeout=PATIENCE)
        return task, batcher, first

    yield make
    for task, batcher in made:
        task.gate.set()
        batcher.close()


class TestBatcher:
    def test_one_call(self):
        with Batcher(Doubler()) as double:
            assert double(4) == 8
            assert double(4, plus=1) == 9

    def test_what_came_during_a_run_shares_the_next(self, held):
        task, batcher, first = held()
        rest = [batcher.submit(item) for item in (5, 6, 7)]
        assert batcher.waiting == 3
        task.gate.set()
        assert [one.result(PATIENCE) for one in (first, *rest)] == [2, 10, 12, 14]
        assert task.runs == [[1], [5, 6, 7]]

    def test_other_options_do_not_share(self, held):
        task, batcher, _ = held()
        futures = [batcher.submit(5, plus=i % 2) for i in range(4)]
        task.gate.set()
        assert [one.result(PATIENCE) for one in futures] == [10, 11, 10, 11]
        assert task.runs == [[1], [5, 5], [5, 5]]
        assert task.options == [{"plus": 0}, {"plus": 0}, {"plus": 1}]

    def test_several_runs_at_once(self, held):
        task, batcher, first = held(runs=2)
        second = batcher.submit(2)
        assert task.begun.acquire(timeout=PATIENCE)  # while the first waits at the gate
        third = batcher.submit(3)
        assert batcher.waiting == 1
        task.gate.set()
        assert [one.result(PATIENCE) for one in (first, second, third)] == [2, 4, 6]

    def test_seeds_run_alone(self, held):
        task, batcher, _ = held()
        futures = [batcher.submit(5, seed=3) for _ in range(2)]
        task.gate.set()
        assert [one.result(PATIENCE) for one in futures] == [10, 10]
        assert task.runs == [[1], [5], [5]]

    @pytest.mark.parametrize(("bad", "error"), [(13, InputError), (14, ZeroDivisionError)])
    def test_an_error_is_its_own_callers(self, held, bad, error):
        task, batcher, _ = held()
        futures = [batcher.submit(item) for item in (12, 15, bad, 12, 15)]
        task.gate.set()
        with pytest.raises(error):
            futures.pop(2).result(PATIENCE)
        assert [one.result(PATIENCE) for one in futures] == [24, 30, 24, 30]

    def test_what_is_wrong_at_once(self):
        with Batcher(Doubler()) as double:
            with pytest.raises(InputError, match="-1 is negative"):
                double.submit(-1)
            with pytest.raises(TypeError, match="unexpected keyword argument 'minus'"):
                double.submit(1, minus=1)

    def test_the_budget_reaches_a_task_that_plans(self):
        task = Planning()
        with Batcher(task, budget=7) as double:
            double(1)
            double(1, budget=3)
        assert [told for told in task.options if "budget" in told] == [
            {"budget": 7},
            {"budget": 3},
        ]

    def test_a_busy_line(self, held):
        task, batcher, _ = held(max_queue=1)
        batcher.submit(5)
        with pytest.raises(BusyError, match="1 inputs are waiting, and max_queue is 1"):
            batcher(6)
        task.gate.set()

    def test_the_time_is_up(self, held):
        task, batcher, _ = held(timeout=0.01)
        with pytest.raises(BusyError, match=r"no answer in 0\.01 s; 1 inputs are waiting"):
            batcher(5)
        task.gate.set()
        batcher.close()
        assert task.runs == [[1]]  # it left the line

    def test_a_cancelled_future_is_not_run(self, held):
        task, batcher, _ = held()
        futures = [batcher.submit(item) for item in (5, 6)]
        assert futures[0].cancel()
        task.gate.set()
        assert futures[1].result(PATIENCE) == 12
        assert task.runs == [[1], [6]]

    def test_an_event_loop(self):
        async def ask():
            return await asyncio.gather(*(double.answer(item) for item in (1, 2, 3)))

        with Batcher(Doubler()) as double:
            assert asyncio.run(ask()) == [2, 4, 6]

    def test_an_event_loop_that_gives_up(self, held):
        task, batcher, _ = held()

        async def ask():
            async with asyncio.timeout(0.01):
                await batcher.answer(5)

        with pytest.raises(TimeoutError):
            asyncio.run(ask())
        task.gate.set()
        batcher.close()
        assert task.runs == [[1]]

    def test_closing_answers_what_waits(self, held):
        task, batcher, _ = held()
        futures = [batcher.submit(item) for item in (5, 6)]
        closing = threading.Thread(target=batcher.close)
        closing.start()
        task.gate.set()
        closing.join(PATIENCE)
        assert [one.result(0) for one in futures] == [10, 12]
        with pytest.raises(GraphError, match="the batcher is closed"):
            batcher(1)
        batcher.close()
        assert task(1) == 2  # the task stays open

    def test_closing_may_cancel(self, held):
        task, batcher, first = held()
        later = batcher.submit(5)
        threading.Timer(0.01, task.gate.set).start()
        batcher.close(cancel=True)
        assert first.result(0) == 2
        with pytest.raises(CancelledError):
            later.result(0)

    def test_an_error_in_the_block_cancels(self, held):
        task, batcher, _ = held()
        with pytest.raises(KeyError), batcher:
            later = batcher.submit(5)
            threading.Timer(0.01, task.gate.set).start()
            raise KeyError
        assert later.cancelled()

    def test_one_that_nobody_holds_ends_when_all_is_answered(self):
        batcher = Batcher(Doubler())
        (thread,), gone = batcher._threads, weakref.ref(batcher)
        future = batcher.submit(5)
        del batcher
        assert future.result(PATIENCE) == 10
        assert gone() is None
        thread.join(PATIENCE)
        assert not thread.is_alive()

    def test_the_interpreter_ends_when_all_is_answered(self):
        code = (
            "from tests.runtime.test_batching import Batcher, Doubler\n"
            "batcher = Batcher(Doubler())\n"
            "for item in (5, 6):\n"
            "    batcher.submit(item).add_done_callback(lambda f: print(f.result(), flush=True))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=Path(__file__).parents[2],
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.split() == ["10", "12"]

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"max_items": 0}, "max_items is 0; it is a number of at least 1, or None"),
            ({"max_queue": 1.5}, "max_queue is 1.5; it is a number of at least 1, or None"),
            ({"max_wait": -1}, "max_wait is -1; it is a number of seconds, 0 or more"),
            ({"timeout": float("nan")}, "timeout is nan; it is a number of seconds, 0 or more"),
            ({"runs": 0}, "runs is 0; it is a number of at least 1"),
            ({"budget": 0}, "budget is 0; it is a number of ones above 0"),
        ],
    )
    def test_wrong_arguments(self, wrong, message):
        with pytest.raises(InputError, match=message):
            Batcher(Doubler(), **wrong)

    def test_a_fork_is_told(self, monkeypatch):
        with Batcher(Doubler()) as double:
            here = os.getpid()
            with monkeypatch.context() as patch:
                patch.setattr(os, "getpid", lambda: here + 1)
                with pytest.raises(DeviceError, match=rf"made in process {here} and used in its"):
                    double(1)
            assert double(1) == 2

    def test_eight_threads(self):
        task = Doubler()

        def ask(item, plus):
            try:
                return batcher(item, plus=plus)
            except (InputError, ZeroDivisionError) as error:
                return str(error)

        def caller(number):
            return [ask(number + 8 * turn, turn % 3) for turn in range(100)]

        with Batcher(task, max_items=4) as batcher, ThreadPoolExecutor(8) as pool:
            found = list(pool.map(caller, range(8)))

        errors = {13: "13 brings bad luck", 14: "14"}
        for number, answers_of_one in enumerate(found):
            items = [number + 8 * turn for turn in range(100)]
            want = [errors.get(item, 2 * item + i % 3) for i, item in enumerate(items)]
            assert answers_of_one == want
        assert all(len(run) <= 4 for run in task.runs)


def test_halves_find_the_bad_one():
    task = Doubler()
    found = answers(task, [1, 13, 3], {"plus": 1})
    assert (found[0], found[2]) == (3, 7)
    assert isinstance(found[1], InputError)
    assert task.runs == [[1, 13, 3], [1], [13, 3], [13], [3]]
