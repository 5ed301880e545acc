"""Times of several variants, with clocks and calls made by hand."""

from itertools import count

from onnxtasks_export.speed import CALLS, ROUNDS, in_rounds


def test_the_median_without_the_first_of_each_round():
    slow = iter([90, 1, 2, 3] * ROUNDS)
    fast = iter([70, 4, 4, 5] * ROUNDS)
    found = in_rounds({"a": lambda: next(slow), "b": lambda: next(fast)}, clock=lambda: 0.0)
    assert found == {"a": 2, "b": 4}


def test_rounds_take_turns():
    order = []

    def call(name):
        order.append(name)
        return 1.0

    in_rounds({"a": lambda: call("a"), "b": lambda: call("b")}, clock=lambda: 0.0)
    assert "".join(order) == ("a" * (CALLS + 1) + "b" * (CALLS + 1)) * ROUNDS


def test_a_long_call_is_counted_once_a_round():
    seconds, clock = count(), count(step=5)
    in_rounds({"a": lambda: next(seconds)}, clock=lambda: next(clock))
    assert next(seconds) == 2 * ROUNDS
