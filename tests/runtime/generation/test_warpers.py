"""Candidates of a few words, with the answers written out."""

import numpy as np
import pytest

from onnxtasks.generation.options import GenerationDefaults, settings
from onnxtasks.generation.warpers import warper_for

NO = -np.inf
SHARES = [0.1, 0.4, 0.05, 0.25, 0.2]
"""Probabilities of five words."""


def warp(scores, eos=(), **options):
    array = np.atleast_2d(np.array(scores, np.float32))
    defaults = GenerationDefaults(eos_token_id=eos)
    return warper_for(settings(defaults, {"do_sample": True, "top_k": 0} | options))(array)


def test_a_row_of_a_large_vocabulary():
    """Some words are far likelier than all others, and then all are alike."""
    scores = np.zeros(5000)
    scores[[7, 4000, 999]] = 20
    found = warp([scores, np.zeros(5000)], top_p=0.5)
    row = found.ids[0][found.scores[0] > NO]
    assert sorted(row.tolist()) == [999, 4000]  # of equal ones the lowest id goes first
    assert sorted(found.ids[1][found.scores[1] > NO].tolist()) == list(range(2500, 5000))
    steep = warp(scores, top_p=0.5)  # this time only a few are sorted
    assert sorted(steep.ids[0][steep.scores[0] > NO].tolist()) == [999, 4000]


def kept(scores, **options):
    """Ids of the only row's candidates."""
    found = warp(scores, **options)
    return sorted(found.ids[0][found.scores[0] > NO].tolist())


def test_without_cuts_all_words_are_candidates():
    found = warp([[1, 2, 3], [4, 5, 6]])
    assert found.ids.tolist() == [[0, 1, 2]] * 2
    assert found.scores.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_temperature_divides():
    assert warp([1, 2, NO], temperature=0.5).scores.tolist() == [[2, 4, NO]]


def test_the_k_best_stay_with_all_that_equal_the_last_of_them():
    found = warp([[1, 3, 2, 3], [4, 3, 3, 3], [NO, 5, NO, NO]], top_k=2)
    assert found.ids.tolist() == [[0, 0, 1, 3], [1, 2, 3, 0], [0, 0, 0, 1]]
    assert found.scores.tolist() == [[NO, NO, 3, 3], [3, 3, 3, 4], [NO, NO, NO, 5]]


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"top_p": 0.5}, [1, 3]),
        ({"top_p": 0.8}, [1, 3, 4]),
        ({"top_p": 0.0}, [1]),
        ({"min_p": 0.3}, [1, 3, 4]),  # at least 0.12
        ({"min_p": 1}, [1]),
        ({"epsilon_cutoff": 0.15}, [1, 3, 4]),
        ({"epsilon_cutoff": 0.9}, [1]),
        ({"eta_cutoff": 0.15}, [0, 1, 3, 4]),  # sqrt(0.15) * exp(-1.415) = 0.094
        ({"typical_p": 0.4}, [3, 4]),  # entropy 1.415: surprises 1.39 and 1.61 are nearest
        ({"typical_p": 0.6}, [1, 3, 4]),
        ({"top_k": 3, "top_p": 0.7}, [1, 3]),  # of what top_k leaves: 0.47, 0.29, 0.24
        ({"top_k": 4, "min_p": 0.3, "epsilon_cutoff": 0.29}, [1, 3]),
    ],
)
def test_which_words_stay(options, answer):
    assert kept(np.log(SHARES), **options) == answer


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"top_k": 1}, [1, 3]),
        ({"top_p": 0.1}, [1, 3]),
        ({"min_p": 1}, [1, 3]),
        ({"typical_p": 0.1}, [3, 4]),
        ({"epsilon_cutoff": 0.9}, [1, 3]),
        ({"eta_cutoff": 0.9}, [1, 3, 4]),  # sqrt(0.9) * exp(-1.415) = 0.23, and 3 stay
    ],
)
def test_with_beams_one_more_stays_than_there_are_end_tokens(options, answer):
    eos = (0, 2) if "eta_cutoff" in options else (0,)
    assert kept(np.log(SHARES), num_beams=2, eos=eos, **options) == answer
    if len(eos) == 1:
        assert kept(np.log(SHARES), num_beams=2, eos=(), **options) == answer


def test_of_equally_typical_words_the_lowest_id_stays():
    shares = np.full(200, 0.1 / 199)
    shares[150] = 0.9
    assert kept(np.log(shares), typical_p=0.1, num_beams=2) == [0, 150]


def test_of_equal_scores_the_lower_ids_go_first():
    assert kept([1, 1, 1, 1], top_p=0.5) == [2, 3]
    assert kept([1, 1, 1, 1], top_p=0.3) == [2, 3]
    assert kept([1, 1, 1, 1], top_p=0.3, top_k=4) == [2, 3]
    assert kept([1, 1, 1, 1], top_p=0.2) == [3]


def test_rows_are_cut_each_for_itself_and_filled_up():
    found = warp([[9, 0, 0], [1, 1, 1]], top_p=0.9, renormalize_logits=True)
    assert found.ids.tolist() == [[0, 1, 2]] * 2
    third = np.log(1 / 3)
    assert found.scores == pytest.approx(np.array([[0, NO, NO], [third] * 3]), abs=1e-6)


@pytest.mark.parametrize(
    "cut",
    [
        {"top_k": 2},
        {"top_p": 0.5},
        {"min_p": 0.5},
        {"typical_p": 0.5},
        {"epsilon_cutoff": 0.5},
        {"eta_cutoff": 0.5},
        {"renormalize_logits": True},
    ],
)
def test_a_row_without_any_word_stays_without(cut):
    """Search refuses it where the row matters; it may be one that has ended."""
    found = warp([[NO, NO, NO], [1, NO, 2]], **cut)
    assert np.isneginf(found.scores[0]).all()
    assert np.isfinite(found.scores[1]).any()
