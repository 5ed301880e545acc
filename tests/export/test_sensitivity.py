"""The search for what stays in fp32, on divergences made up by hand."""

import pytest

from onnxtasks_export.sensitivity import GROUPS, find_kept, split


def model(count, bad, usual=0.001):
    """Divergence = sum over the quantised parts; also keeps what was asked."""
    asked = []

    def measure(kept):
        asked.append(kept)
        return sum(bad.get(part, usual) for part in range(count) if part not in kept)

    return measure, asked


def test_nothing_stays_where_everything_is_within_the_limit():
    measure, asked = model(20, {})
    found = find_kept(20, measure, limit=0.05)
    assert (found.places, found.measures) == (frozenset(), 1)
    assert asked == [frozenset()]


def test_the_worst_two_stay_alone():
    measure, asked = model(60, {5: 0.3, 41: 0.2})
    found = find_kept(60, measure, limit=0.06)
    assert found.places == {5, 41}
    assert found.divergence == pytest.approx(0.058)
    assert found.measures == len(asked) == len(set(asked))  # nothing is measured twice


def test_what_hurts_only_a_little_comes_back_as_far_as_it_fits():
    measure, _ = model(4, {0: 0.5, 1: 0.02, 2: 0.02, 3: 0.02})
    assert find_kept(4, measure, limit=0.065).places == {0}
    assert find_kept(4, measure, limit=0.045).places == {0, 1}  # of equals the first


def test_all_stay_where_nothing_is_within_the_limit():
    measure, _ = model(3, {}, usual=1.0)
    found = find_kept(3, measure, limit=0.5)
    assert found.places == {0, 1, 2} and found.divergence == 0.0


def test_measurements_are_bounded():
    bad = dict.fromkeys(range(0, 400, 7), 1.0)
    measure, asked = model(400, bad)
    find_kept(400, measure, limit=0.4, most=20)
    assert len(asked) <= 20
    measure, asked = model(400, bad)
    find_kept(400, measure, limit=0.4, most=1)  # what leads to an answer at all
    assert len(asked) <= 2 * GROUPS + 1


def test_runs_of_neighbours():
    assert [list(run) for run in split(range(5), 2)] == [[0, 1], [2, 3, 4]]
    assert [list(run) for run in split(range(2), 8)] == [[0], [1]]
    assert split([], 3) == []
