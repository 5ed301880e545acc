import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.speech.hotwords import Hotwords
from onnxtasks.speech.lexicon import hash_texts


def hotwords(*words):
    return Hotwords.of(words, 6.0, "abcd")


def test_words_count_singly():
    found = hotwords(" ab  cd ", "a").of_words(hash_texts(["ab", "cd", "a", "b", "ab cd"]))
    assert found.tolist() == [6, 6, 6, 0, 0]


def test_beginnings_count_by_the_shortest_word():
    parts = ["", "a", "ab", "abc", "abcd", "c"]
    added, begins = hotwords("abcd", "ab").of_parts(
        hash_texts(parts), np.array([len(part) for part in parts])
    )
    assert added.tolist() == [0, 3, 6, 4.5, 6, 0]
    assert begins.tolist() == [False, True, True, True, True, False]


def test_none_at_all():
    none = hotwords("", "  ")
    assert none.lexicon.words.size == 0
    assert none.of_words(hash_texts(["a"])).tolist() == [0]
    assert none.of_parts(hash_texts(["a"]), np.array([1]))[0].tolist() == [0]


def test_hotwords_outside_the_alphabet_are_refused():
    with pytest.raises(InputError, match="'Abé' has 'A', 'é', which no symbol of the vocabulary"):
        hotwords("ab", "Abé")


@pytest.mark.parametrize(
    ("given", "said"), [("abc", "not one text"), ([7], "a hotword is a text, not int: 7")]
)
def test_hotwords_that_are_no_list_of_texts(given, said):
    with pytest.raises(InputError, match=said):
        Hotwords.of(given, 1.0, "abc")
