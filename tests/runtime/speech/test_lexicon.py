import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onnxtasks.speech.lexicon import Lexicon, code_points, hash_points, hash_texts, mixed, powers

TEXTS = st.lists(st.text(max_size=6), max_size=8)


def test_known_words_and_beginnings():
    lexicon = Lexicon.of(["ab", "abc", "d", "ab"])
    asked = hash_texts(["", "a", "ab", "abc", "abcd", "b", "d"])
    assert lexicon.knows(asked).tolist() == [False, False, True, True, False, False, True]
    assert lexicon.begins(asked).tolist() == [True, True, True, True, False, False, True]


def test_an_empty_lexicon_knows_nothing():
    lexicon = Lexicon.of([])
    asked = hash_texts(["", "a"])
    assert lexicon.knows(asked).tolist() == [False, False]
    assert lexicon.begins(asked).tolist() == [True, False]


@given(TEXTS, TEXTS)
def test_a_lexicon_is_a_set(words, asked):
    lexicon, hashes = Lexicon.of(words), hash_texts(asked)
    assert lexicon.knows(hashes).tolist() == [text in words for text in asked]
    assert lexicon.begins(hashes).tolist() == [
        text == "" or any(word.startswith(text) for word in words) for text in asked
    ]


@given(st.text(max_size=9), st.text(max_size=9))
def test_hashes_join(one, other):
    first, second, both = hash_texts([one, other, one + other])
    joined = np.array([first]) * powers(np.array([len(other)])) + np.array([second])
    assert joined[0] == both


def test_hashes_are_the_same_in_every_process():
    # The cache of a language model holds them. The first two numbers of splitmix64 from seed 0.
    state = np.array([0, 0x9E3779B97F4A7C15], np.uint64).view(np.int64)
    expected = np.array([0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4], np.uint64).view(np.int64)
    assert mixed(state).tolist() == expected.tolist()
    assert hash_texts(["", "a"]).tolist() == [0, *mixed(np.array([97])).tolist()]


def test_code_points_of_lone_surrogates():
    points, ends = code_points(["é", "", "\ud800a"])
    assert points.tolist() == [0xE9, 0xD800, 0x61]
    assert ends.tolist() == [1, 1, 3]
    assert hash_points(points, ends)[1] == 0
