"""One or many, batches by a budget, errors in their place."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnxtasks
from onnxtasks.errors import BundleError, InputError
from onnxtasks.tasks.base import Task, batches, groups
from onnxtasks.timing import record_stages, stage


class Doubler(Task[int, int]):
    """Doubles numbers; an item's size is the number itself, and 13 is a bad item."""

    name = "doubling"
    unit = "ones"
    budget = 10

    def __init__(self):
        self.seen = []

    @classmethod
    def from_bundle(cls, bundle, sessions):
        return cls()

    def predict(self, items, *, plus=0):
        self.seen.append(list(items))
        if 13 in items:
            raise InputError("13 brings bad luck")
        with stage("run"):
            return [2 * item + plus for item in items]

    def measure(self, item):
        if item < 0:
            raise InputError(f"{item} is negative")
        return item

    def example(self):
        return 1


def test_one_item_is_a_batch_of_one():
    task = Doubler()
    assert (task(3), task(3, plus=1), task.seen) == (6, 7, [[3], [3]])


def test_a_list_is_not_one_item():
    with pytest.raises(InputError, match=r"takes one input, got a list of 2; use predict\(\) or"):
        Doubler()([1, 2])  # type: ignore[arg-type]


def test_an_unknown_option_is_a_type_error_of_the_task_itself():
    with pytest.raises(TypeError, match="unexpected keyword argument 'minus'"):
        Doubler()(3, minus=1)


def test_map_keeps_the_order_and_the_budget():
    task = Doubler()
    assert list(task.map([1, 9, 2, 3, 5, 20, 1])) == [2, 18, 4, 6, 10, 40, 2]
    assert task.seen == [[20], [9], [5, 3], [2, 1, 1]]


def test_map_is_lazy_and_reads_one_window_ahead():
    read = []

    def items():
        for number in range(1, 100):
            read.append(number)
            yield number

    answers = Doubler().map(items(), window=4)
    assert read == []
    assert (next(answers), read) == (2, [1, 2, 3, 4])
    assert [next(answers) for _ in range(4)] == [4, 6, 8, 10]
    assert len(read) == 8


def test_a_bad_item_stops_the_map_when_its_turn_comes():
    answers = Doubler().map([1, 13, 2], window=1)
    assert next(answers) == 2
    with pytest.raises(InputError, match="bad luck"):
        next(answers)


def test_a_bad_item_is_returned_in_its_place():
    task = Doubler()
    answers = list(task.map([1, 13, 2, -4, 3], budget=100, errors="return", plus=1))
    assert [str(a) if isinstance(a, InputError) else a for a in answers] == [
        3, "13 brings bad luck", 5, "-4 is negative", 7,
    ]  # fmt: skip


def test_a_misspelt_option_of_map_fails_at_once():
    with pytest.raises(TypeError, match="unexpected keyword argument 'minus'"):
        Doubler().map([1, 2], errors="return", minus=1)


def test_a_programming_error_is_not_an_item_error():
    with pytest.raises(TypeError, match="not supported"):
        list(Doubler().map([1, "2"], errors="return"))  # type: ignore[list-item]


def test_progress_counts_the_answers():
    counts: list[int] = []
    list(Doubler().map([5, 13, 6], errors="return", progress=counts.append))
    assert counts == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"errors": "ignore"}, "errors is 'ignore'; it is 'raise' or 'return'"),
        ({"window": 0}, "window is 0"),
        ({"window": "all"}, "window is 'all'"),
        ({"budget": 0}, "budget is 0; it is a number of ones above 0"),
        ({"budget": float("nan")}, "budget is nan"),
    ],
)
def test_wrong_arguments_of_map_are_refused_at_once(arguments, message):
    with pytest.raises(InputError, match=message):
        Doubler().map([1], **arguments)


def test_batches_hold_what_fits_the_budget():
    assert batches({0: 3, 1: 5, 2: 4, 3: 50}, budget=10, run_cost=10) == [[3], [1, 2], [0]]
    assert batches({}, budget=10, run_cost=1) == []


def test_a_dear_run_is_shared_and_a_cheap_one_not():
    sizes = {0: 9, 1: 8, 2: 2, 3: 1}
    assert batches(sizes, budget=99, run_cost=100) == [[0, 1, 2, 3]]  # 36 + 100
    assert batches(sizes, budget=99, run_cost=2) == [[0, 1], [2, 3]]  # 18 + 2 + 4 + 2
    assert batches(sizes, budget=99, run_cost=0.5) == [[0], [1], [2], [3]]  # 20 + 4 * 0.5


@given(st.lists(st.integers(1, 9), max_size=7), st.integers(1, 40), st.integers(0, 9))
def test_no_other_cut_of_the_sorted_items_is_cheaper(sizes, budget, run_cost):
    def cost(cut):
        fits = all(len(part) == 1 or part[0] * len(part) <= budget for part in cut)
        return sum(part[0] * len(part) + run_cost for part in cut) if fits else float("inf")

    ordered, count = sorted(sizes, reverse=True), len(sizes)
    cuts = []
    for mask in range(2 ** max(0, count - 1)):
        places = [0, *(at for at in range(1, count) if mask >> (at - 1) & 1), count]
        cuts.append([ordered[a:b] for a, b in pairwise(places) if a < b])
    found = batches(dict(enumerate(sizes)), budget, run_cost)
    assert cost([[sizes[index] for index in part] for part in found]) == min(map(cost, cuts))


@given(
    st.lists(st.integers(1, 60), max_size=40),
    st.integers(1, 100),
    st.floats(0, 100),
)
def test_every_item_is_in_one_batch_and_only_single_items_exceed_the_budget(
    sizes, budget, run_cost
):
    cut = batches(dict(enumerate(sizes)), budget, run_cost)
    assert sorted(index for batch in cut for index in batch) == list(range(len(sizes)))
    for batch in cut:
        padded = max(sizes[index] for index in batch) * len(batch)
        assert padded <= budget or len(batch) == 1


def test_groups_keep_the_order_of_first_appearance():
    assert groups(["b", "a", "b", "c", "a"]) == [[0, 2], [1, 4], [3]]


def test_warming_up_runs_the_example():
    task = Doubler()
    task.warm_up(2)
    assert task.seen == [[1], [1]]


def test_a_task_without_a_bundle_closes_and_cannot_be_described():
    with Doubler() as task, pytest.raises(BundleError, match="not loaded from a bundle"):
        task.describe()
    task.close()


def test_stages_are_recorded_for_this_thread_only():
    task = Doubler()
    barrier = threading.Barrier(2, timeout=10)

    def work(record):
        if not record:
            barrier.wait()
            return task(1)
        with record_stages() as seconds:
            task(1)
            barrier.wait()
        return seconds

    with ThreadPoolExecutor(2) as pool:
        recorded, _ = pool.map(work, [True, False])
    assert list(recorded) == ["run"]
    assert 0 <= recorded["run"] < 1


def test_stages_add_up_and_stop_with_the_block():
    with record_stages() as seconds:
        Doubler().predict([1])
        first = seconds["run"]
        Doubler().predict([1])
    total = seconds["run"]
    Doubler().predict([1])
    assert (total > first, seconds["run"] == total) == (True, True)


def test_load_checks_the_folder():
    with pytest.raises(BundleError, match="there is no such folder"):
        onnxtasks.load("no-such-folder")
