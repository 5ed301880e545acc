"""Callers at once: what counts, and what becomes of an error."""

import threading

import pytest

from onnxtasks.concurrency import call_together, summarise


def test_what_ends_after_the_time_does_not_count():
    ended = [(12.0, 2.0), (11.0, 1.0), (14.0, 2.0), (15.5, 4.5)]
    found = summarise(ended, begun=10.0, seconds=5.0)
    assert found.latencies == (1.0, 2.0, 2.0)
    assert found.per_second == 3 / 4.0  # the third ended after 4 seconds


def test_where_nothing_ends_in_time_all_counts():
    found = summarise([(13.0, 3.0), (14.0, 4.0)], begun=10.0, seconds=1.0)
    assert (found.latencies, found.per_second) == ((3.0, 4.0), 0.5)


def test_callers_are_there_at_the_same_time():
    together = threading.Barrier(4, timeout=20)  # opens when four calls wait
    seen = []

    def call(item):
        seen.append(item)
        together.wait()

    found = call_together(call, ["a", "b", "c"], callers=4, seconds=0.0)
    assert sorted(seen) == ["a", "a", "b", "c"]  # the fourth begins again with the first
    assert len(found.latencies) == 4 and found.per_second > 0


def test_callers_go_through_the_items_each_from_its_own():
    seen = []
    now = iter(range(100))

    def call(item):
        seen.append(item)

    # The clock says 0 at the start; 1, 2 around the first call, 3, 4 and 5, 6 around the next.
    found = call_together(call, "abc", callers=1, seconds=5.5, clock=lambda: float(next(now)))
    assert seen == ["a", "b", "c"]
    assert found.latencies == (1.0, 1.0) and found.per_second == 2 / 4


def test_an_error_stops_all():
    def call(item):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        call_together(call, [1], callers=3, seconds=60.0)
