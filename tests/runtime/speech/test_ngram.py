import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxtasks.speech.lexicon import hash_texts
from onnxtasks.speech.ngram import NGramModel
from onnxtasks.speech.ngram_file import read_arpa
from tests.runtime.speech.arpa import ARPA


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("ngrams") / "model.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return NGramModel(read_arpa(path))


def scores(model, words, sentence=True):
    state, found = model.start(sentence), []
    for word in words:
        score, state, _ = model.advance(state, hash_texts([word]), str)
        found += score.tolist()
    return found


def test_scores_with_back_off(model):
    # <s> a; <s> a b; b </s> with the back-off of (a b).
    assert scores(model, ["a", "b", "</s>"]) == [-0.25, -0.375, -1.125]
    # b after <s> backs off; a after b; b after (b a), whose weight is 0; a after (a b).
    assert scores(model, ["b", "a", "b", "a"]) == [-1, -2, -0.5, -3]
    # An unknown word backs off; after it, nothing is known.
    assert scores(model, ["a", "zz", "b"]) == [-0.25, -0.0625 - 0.125 - 1.5, -0.75]
    assert scores(model, ["a", "b"], sentence=False) == [-0.5, -0.5]


def test_end_and_what_is_known(model):
    state = model.start(True)
    assert model.end(np.concatenate([state, model.start(False)])).tolist() == [-1.25, -1]
    _, _, known = model.advance(np.repeat(state, 4, 0), hash_texts(["a", "", "q", "<unk>"]), str)
    assert known.tolist() == [True, False, False, False]
    assert model.knows(["b", "<unk>", "q", "</s>"]).tolist() == [True, False, False, True]
    assert model.lexicon().knows(hash_texts(["a", "<s>", "<unk>"])).tolist() == [True, True, False]
    assert model.order == 3


def textbook(words):
    """The score of the last word, from the file's lines."""
    lines = [line.split() for line in ARPA.splitlines()]
    known = {
        tuple(line[1 : n + 1]): (float(line[0]), float(line[n + 1]) if len(line) > n + 1 else 0.0)
        for n, start, end in ((1, 7, 12), (2, 14, 18), (3, 20, 21))
        for line in lines[start:end]
    }
    if tuple(words) in known:
        return known[tuple(words)][0]
    if len(words) == 1:
        return known[("<unk>",)][0]
    return known.get(tuple(words[:-1]), (0.0, 0.0))[1] + textbook(words[1:])


@given(st.lists(st.sampled_from(["a", "b", "zz", "</s>"]), min_size=1, max_size=6))
def test_scores_are_the_textbook_s(model, words):
    padded = ["<s>", *words]
    expected = [textbook(padded[max(0, end - 2) : end + 1]) for end in range(1, len(padded))]
    assert scores(model, words) == expected


def test_many_at_once_as_one_by_one(model):
    words = hash_texts(["a", "b", "zz", "</s>"])
    _, states, _ = model.advance(np.repeat(model.start(True), 4, 0), words, str)
    together, after, _ = model.advance(np.repeat(states, 4, 0), np.tile(words, 4), str)
    for place in range(16):
        score, state, _ = model.advance(states[[place // 4]], words[[place % 4]], str)
        assert score[0] == together[place]
        assert state[0].tolist() == after[place].tolist()


def test_a_model_of_single_words(tmp_path):
    path = tmp_path / "one.arpa"
    text = "\\data\\\nngram 1=3\n\\1-grams:\n-1 <s>\n-2 </s>\n-0.5 a\n\\end\\\n"
    path.write_text(text, encoding="utf-8")
    model = NGramModel(read_arpa(path))
    assert scores(model, ["a", "q"]) == [-0.5, -100]
    assert model.end(model.start(True)).tolist() == [-2]
    assert math.isclose(model.score(model.start(False), model.ids(hash_texts(["a"])))[0][0], -0.5)
