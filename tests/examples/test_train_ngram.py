"""The 3-gram of the speech example."""

import math
from itertools import product

import numpy as np
import pytest
from command_data import commands
from speech_data import WORDS
from train_ngram import BEGIN, END, UNKNOWN, arpa, estimate

from onnxtasks.speech.ngram import NGramModel
from onnxtasks.speech.ngram_file import read_arpa

TEXTS = ["go left", "go left", "go right"]
SMALL = estimate(TEXTS, 2, ("go", "left", "right"))


def test_chances_of_single_words():
    # Nine follow the empty history: go 3, left 2, right 1, </s> 3; four of them are different.
    shared = 4 / 13 / 5
    assert SMALL.chances[("go",)] == pytest.approx(3 / 13 + shared)
    assert SMALL.chances[("right",)] == pytest.approx(1 / 13 + shared)
    assert SMALL.chances[(UNKNOWN,)] == pytest.approx(shared)


def test_chances_of_pairs_and_what_is_left_for_others():
    # "go" is followed three times, by two different words.
    assert SMALL.chances[("go", "left")] == pytest.approx(2 / 5 + 2 / 5 * SMALL.chances[("left",)])
    assert SMALL.weights[("go",)] == pytest.approx(2 / 5)
    assert ("left", "go") not in SMALL.chances


def chance(ngrams, history, word):
    """As every reader of ARPA files computes it."""
    if not history or (*history, word) in ngrams.chances:
        return ngrams.chances[(*history, word)]
    return ngrams.weights.get(history, 1.0) * chance(ngrams, history[1:], word)


def test_chances_after_any_history_add_up_to_one():
    found = estimate(commands(300, 1), 3, WORDS)
    words = (*WORDS, END, UNKNOWN)
    for history in [(), *product((BEGIN, *WORDS), WORDS[:4]), *((word,) for word in WORDS)]:
        assert sum(chance(found, history, word) for word in words) == pytest.approx(1.0)


def test_arpa_text():
    lines = arpa(SMALL, 2).splitlines()
    assert lines[:3] == ["\\data\\", "ngram 1=6", "ngram 2=5"]
    assert lines[-1] == "\\end\\"
    # Three texts begin with one word: 1 of 3 + 1 is left for others.
    assert f"-99.000000\t<s>\t{math.log10(1 / 4):.6f}" in lines


def test_the_runtime_reads_the_same_chances(tmp_path):
    found = estimate(commands(300, 1), 3, WORDS)
    path = tmp_path / "3gram.arpa"
    path.write_text(arpa(found, 3), encoding="utf-8")
    model = NGramModel(read_arpa(path))
    ids = {word: place for place, word in enumerate(model.words())}
    text = "no go left two up stop stop"
    state = model.start(True)
    history: tuple[str, ...] = (BEGIN,)
    for word in (*text.split(), END):
        (score,), state = model.score(state, np.array([ids[word]]))
        assert score == pytest.approx(math.log10(chance(found, history, word)), abs=1e-5)
        history = (*history, word)[-2:]
