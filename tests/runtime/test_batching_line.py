"""Items in line: which of them share a run, and when it begins."""

from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from onnxtasks.batching import Limits, Line, Waiting, alike, companions
from onnxtasks.errors import BusyError, GraphError


def limits(budget=100.0, max_items=None, max_wait=0.0, max_queue=None):
    return Limits(budget, max_items, max_wait, max_queue)


def waiting(item, since=0.0, **options):
    return Waiting(item, options, float(item), since, Future())


def line_of(*items: Waiting, **about: Any) -> Line:
    line = Line(limits(**about), clock=lambda: 0.0)
    for item in items:
        line.put(item)
    return line


def taken(line: Line, now: float = 0.0) -> list[Any]:
    return [one.item for one in line.ready(now)[0]]


class TestCompanions:
    def test_the_first_is_always_there(self):
        assert companions([500.0, 1.0], 100, None) == [0]
        assert companions([float("inf"), float("inf"), 3.0], 100, None) == [0]

    def test_the_nearest_in_size_that_fit(self):
        # 4 x 20 fit in 100, and so does a fifth; a sixth does not
        assert companions([20.0, 19.0, 40.0, 20.0, 18.0, 20.0, 20.0], 100, None) == [0, 1, 3, 5, 6]

    def test_what_pads_more_than_a_run_of_its_own_costs_stays(self):
        # beside 30, an item of 5 computes on 30; alone on 5 and 100/32 for the run
        assert companions([30.0, 5.0], 100, None) == [0]
        assert companions([30.0, 27.0], 100, None) == [0, 1]
        # 30 beside one of 5 makes that one wider: 60 - 5 against 30 + 3
        assert companions([5.0, 30.0], 100, None) == [0]

    def test_an_endless_item_joins_nobody(self):
        assert companions([3.0, float("inf"), 3.0], 100, None) == [0, 2]

    def test_most_items(self):
        assert companions([1.0, 1.0, 1.0], 100, 2) == [0, 1]


class TestAlike:
    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ({}, {}, True),
            ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
            ({"a": 1}, {"a": 2}, False),
            ({"a": 1}, {}, False),
            ({"a": 1}, {"a": True}, False),
            ({"a": np.zeros(2)}, {"a": np.zeros(2)}, False),
            ({"seed": 3}, {"seed": 3}, False),
            ({"seed": None}, {"seed": None}, True),
        ],
    )
    def test_options(self, one, other, same):
        assert alike(one, other) is same


class TestLine:
    def test_first_come_first_served(self):
        line = line_of(waiting(50), waiting(9), waiting(50), waiting(9))
        assert [taken(line), taken(line), taken(line)] == [[50, 50], [9, 9], []]

    def test_other_options_are_another_run(self):
        line = line_of(waiting(5, plus=1), waiting(5), waiting(5, plus=1))
        assert [taken(line), taken(line)] == [[5, 5], [5]]

    def test_waits_for_company_until_the_time_is_up(self):
        line = line_of(waiting(5, since=10.0), max_wait=2.0)
        assert line.ready(10.5) == ([], 1.5)
        line.put(waiting(6, since=11.0))
        assert line.ready(11.5) == ([], 0.5)
        assert taken(line, 12.0) == [5, 6]
        assert line.ready(13.0) == ([], None)

    @pytest.mark.parametrize(
        ("items", "about", "run"),
        [
            ([5, 5], {"max_items": 2}, [5, 5]),
            ([40, 40], {}, [40, 40]),  # a third would not fit
            ([200], {}, [200]),
        ],
    )
    def test_a_full_run_waits_for_nobody(self, items, about, run):
        line = line_of(*[waiting(item) for item in items], max_wait=9.0, **about)
        assert taken(line) == run

    def test_a_seed_waits_for_nobody(self):
        assert taken(line_of(waiting(5, seed=1), max_wait=9.0)) == [5]

    def test_a_closed_line_waits_for_nobody_and_takes_nothing(self):
        line = line_of(waiting(5), max_wait=9.0)
        line.close()
        with pytest.raises(GraphError, match="the batcher is closed; make another one of the"):
            line.put(waiting(1))
        assert [one.item for one in line.take()] == [5]
        assert line.take() == []

    def test_cancelled_items_leave(self):
        first, second = waiting(5), waiting(6)
        line = line_of(first, second)
        first.future.cancel()
        assert taken(line) == [6]
        assert second.future.running() and not second.future.cancel()

    def test_a_full_line_is_busy(self):
        line = line_of(first := waiting(5), waiting(6), max_queue=2)
        with pytest.raises(BusyError, match="2 inputs are waiting, and max_queue is 2; ask again"):
            line.put(waiting(7))
        first.future.cancel()  # what is cancelled does not count
        line.put(waiting(7))
        assert taken(line) == [6, 7]
