"""Rules about timestamps on words 0 1 | end 2 | <|notimestamps|> 3 | times 4 5 6 7."""

import numpy as np
import pytest

from onnxtasks.generation.history import History
from onnxtasks.generation.result import Ending
from onnxtasks.generation.warpers import Candidates
from onnxtasks.speech.whisper_rules import (
    Chances,
    earliest,
    likelier,
    log_total,
    probability,
    timestamps,
)

OUT = -np.inf


def written(*texts, prompt=(9,)):
    """Rows that have written texts of one length after a prompt."""
    history = History([np.array(prompt, np.int64)] * len(texts))
    for column in zip(*texts, strict=True):
        history.append(np.array(column, np.int64))
    return history


def allowed(text, scores=None, **options):
    rule = timestamps(begin=4, no_timestamps=3, end=2, **options)
    # One word that is likelier than all times together, so that no more than the rule says is out.
    given = np.array([scores or [0.0, 9.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0]], np.float32)
    return np.flatnonzero(rule(written(text), given)[0] > OUT).tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ([], [4, 5, 6, 7]),  # a time comes first
        ([5], [0, 1, 2]),  # then text
        ([5, 0], [0, 1, 2, 6, 7]),  # times do not go back, nor stay where they began
        ([5, 0, 6], [2, 6, 7]),  # a pair, or the end
        ([5, 0, 6, 6], [0, 1, 2]),
        ([5, 0, 7, 7, 1], [0, 1, 2]),  # no time is left
    ],
)
def test_times_come_in_pairs_and_never_go_back(text, words):
    assert allowed(text) == words


def test_the_first_time_is_early():
    assert allowed([], max_initial=1) == [4, 5]


def test_a_time_comes_where_all_times_are_likelier_than_any_word():
    assert allowed([4, 0], [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]) == [5, 6, 7]
    assert allowed([4, 0], [1.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]) == [0, 1, 2, 5, 6, 7]
    rows = np.array([[1.0, OUT, 0.0, 0.5], [1.0, 0.0, OUT, OUT]], np.float32)
    assert likelier(rows, 2).tolist() == [False, False]
    assert likelier(np.array([[1.0, OUT, 0.9, 0.9]], np.float32), 2).tolist() == [True]


def test_rows_of_several_texts_and_prompts():
    rule = timestamps(begin=4, no_timestamps=3, end=2)
    history = History([np.array([9, 5], np.int64), np.array([9], np.int64)])
    scores = rule(history, np.array([[0, 9, 9, 0, 0, 0, 0, 0]] * 2, np.float32))
    assert (scores > OUT).tolist() == [[False] * 4 + [True] * 4] * 2  # a prompt's time is not text


def test_the_earliest_time():
    assert earliest(np.array([], np.int64), 4) == 4
    assert earliest(np.array([0, 5], np.int64), 4) == 5
    assert earliest(np.array([5, 5], np.int64), 4) == 6
    assert earliest(np.array([0, 5, 1], np.int64), 4) == 6


def test_probability_and_totals():
    assert probability(np.log(np.array([1.0, 3.0], np.float32)), 1) == pytest.approx(0.75)
    totals = log_total(np.array([[0.0, 0.0], [OUT, OUT], [OUT, 2.0]], np.float32))
    np.testing.assert_allclose(totals, [np.log(2), OUT, 2.0])


def test_chances_of_a_beam_are_shared_among_the_allowed_words():
    chances = Chances()
    prompt = np.array([9], np.int64)
    history = written([], prompt=(9,))
    chances.rule(history, np.log(np.array([[0.25, 0.25, 1e-30]], np.float32)))
    history.append(np.array([1]))
    chances.rule(history, np.log(np.array([[0.1, 0.9, 1e-30]], np.float32)))
    ending = Ending((1, 0), "stop", (float(np.log(0.25)), float(np.log(0.1))))
    found = chances.of(0, prompt, ending, beams=True)
    np.testing.assert_allclose(np.exp(found), [0.5, 0.1], rtol=1e-5)


def test_chances_of_a_sample_are_at_temperature_1():
    logits = np.array([[2.0, 0.0, OUT]], np.float32)

    def warp(scores):
        return Candidates(np.array([[0, 1, 2]]), scores / np.float32(0.5))

    chances = Chances(0.5, warp)
    prompt = np.array([9], np.int64)
    chances.rule(written([], prompt=(9,)), logits.copy())
    chances.warp(logits.copy())
    at_half = 4.0 - np.log(np.exp(4.0) + 1)
    found = chances.of(0, prompt, Ending((0,), "stop", (at_half,)), beams=False)
    assert found[0] == pytest.approx(2.0 - np.log(np.exp(2.0) + 1), abs=1e-5)
    greedy = Chances().of(0, prompt, Ending((0,), "stop", (-0.5,)), beams=False)
    assert greedy == (-0.5,)
