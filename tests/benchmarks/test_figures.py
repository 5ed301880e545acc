import pytest

from benchmarks.figures import Ratio, ratio, timing


def test_timing_is_the_median_of_the_rounds_medians() -> None:
    found = timing([[1.0, 1.0, 1.0, 1.0, 7.0], [4.0, 3.0, 2.0], [2.0, 2.0]])

    assert found.rounds == (1.0, 3.0, 2.0)
    assert found.median == 2.0
    assert found.spread == 1.0  # (3 - 1) / 2
    assert found.calls == 10


def test_timing_does_not_let_a_fast_round_count_more() -> None:
    found = timing([[1.0] * 6, [3.0], [5.0]])

    assert found.median == 3.0  # the median of all eight calls is 1


def test_percentiles_are_over_all_calls() -> None:
    found = timing([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]])

    assert found.p95 == pytest.approx(9.5)
    assert found.p99 == pytest.approx(9.9)


def test_ratio_pairs_neighbours() -> None:
    found = ratio([4.0, 8.0, 6.0], [2.0, 2.0, 2.0])

    assert found == Ratio(3.0, 2.0, 4.0)
    assert found.differs


def test_a_ratio_on_both_sides_of_one_is_no_difference() -> None:
    found = ratio([1.0, 3.0], [2.0, 2.0])

    assert (found.low, found.high) == (0.5, 1.5)
    assert not found.differs


def test_ratio_refuses_unpaired_numbers() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])
