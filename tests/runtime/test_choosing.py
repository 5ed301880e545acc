"""Which candidate is chosen, on figures written out."""

import pytest

from onnxtasks.choosing import Candidate, Figures, choose, clearly_slower, ratios
from onnxtasks.errors import InputError

INF = float("inf")


def candidate(variant="cpu-fp32", threads=2, *, divergence=0.0, budget=None, default=False):
    exact = variant.endswith("fp32")
    return Candidate(variant, "cpu", threads, budget, exact, divergence, default)


EXACT = candidate(default=True)
INT8 = candidate("cpu-int8", divergence=0.05)


def chosen(*rows, **limits):
    found = choose(rows, **limits)
    assert [row.chosen for row in found] == [True] + [False] * (len(rows) - 1)
    return found[0].figures.candidate, found[0].verdict


def test_ratios_are_of_the_same_rounds():
    assert ratios([2, 6, 8, 100, 10], [1, 2, 4, 10, 5]) == (2.0, 2.0, 3.0)
    assert ratios([3, 9], [1, 3, 5]) == (3.0, 3.0, 3.0)


def test_the_fastest_is_chosen():
    rows = choose([Figures(EXACT, (4.0, 4.0, 5.0)), Figures(INT8, (2.0, 2.0, 2.0))])
    assert [row.figures.candidate for row in rows] == [INT8, EXACT]
    assert rows[0].verdict == "the fastest"
    assert rows[1].verdict == "takes 2.00x the time of the fastest"
    assert rows[1].ratio == (2.0, 2.0, 2.25)


def test_a_difference_within_the_spread_is_none_and_exactness_decides():
    # ratios 1.1, 0.8, 1.25, 1.2: their lower quartile is above 1 without the second round only
    rows = (Figures(INT8, (1.0, 1.0, 1.0, 1.0)), Figures(EXACT, (1.1, 0.8, 1.25, 0.9)))
    found, verdict = chosen(*rows)
    assert found is EXACT
    assert verdict == "as fast as cpu-int8 on cpu, 2 threads, and exact"
    assert choose(rows)[1].verdict == "as fast, but the chosen one is exact"


def test_a_small_difference_above_the_spread_is_one():
    found, _ = chosen(Figures(EXACT, (1.02, 1.03, 1.02)), Figures(INT8, (1.0, 1.0, 1.0)))
    assert found is INT8


@pytest.mark.parametrize(
    ("better", "other", "word"),
    [
        (candidate("cpu-w8", divergence=0.01), candidate("cpu-w4", divergence=0.1), "closer"),
        (candidate(threads=1), candidate(threads=2, default=True), "on fewer threads"),
        (candidate(), candidate(budget=512.0), "on the task's own budget"),
        (candidate(default=True), candidate(), "the default"),
    ],
)
def test_what_decides_between_equally_fast_ones(better, other, word):
    same = (1.0, 2.0, 3.0)
    for rows in ((better, other), (other, better)):
        found = choose([Figures(one, same) for one in rows])
        assert found[0].figures.candidate is better
        assert word in found[1].verdict


def test_what_is_above_the_limit_is_not_chosen():
    rows = (Figures(EXACT, (1.0,), p95=0.009), Figures(INT8, (2.0,), p95=0.004))
    found = choose(rows, max_latency=0.005)
    assert found[0].figures.candidate is INT8
    assert (found[1].ratio, found[1].verdict) == (None, "p95 9 ms is above the limit")


def test_a_limit_that_nothing_meets_names_what_comes_closest():
    rows = (Figures(EXACT, (1.0,), p95=0.009), Figures(INT8, (2.0,), p95=0.004))
    expected = r"within 1 ms .*cpu-int8 on cpu, 2 threads comes closest with 4 ms"
    with pytest.raises(InputError, match=expected):
        choose(rows, max_latency=0.001)


def test_only_who_is_slower_by_a_margin_in_every_round_is_left_out():
    rows = [
        Figures(EXACT, (1.0, 1.0, 1.0)),
        Figures(INT8, (1.2, 1.2, 1.2)),
        Figures(INT8, (1.2, 1.05, 1.2)),
    ]
    assert clearly_slower(rows) == {1}


def test_a_candidate_is_told_in_words():
    assert str(candidate(threads=1)) == "cpu-fp32 on cpu, 1 thread"
    assert str(candidate(budget=512.0)) == "cpu-fp32 on cpu, 2 threads, budget 512"
