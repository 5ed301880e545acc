"""Spans of tokens on arrays of a few numbers, with the answers written out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from onnxtasks.ops.spans import TokenSpan, best_spans, probabilities, span_characters


def array(*values):
    return np.array(values, np.float32)


def places(spans):
    return [(span.first, span.last) for span in spans]


def test_probabilities_are_a_softmax_over_the_scored_tokens():
    scored = np.array([True, False, True, True])
    found = probabilities(array(0, 50, np.log(2), 0), scored)
    assert found.tolist() == pytest.approx([0.25, 0, 0.5, 0.25])
    assert found[1] == 0
    assert found.dtype == np.float32


def test_the_best_span_starts_and_ends_where_it_is_likely():
    start, end = array(0, 0.1, 0.5, 0.4), array(0, 0.6, 0.1, 0.3)
    (best,) = best_spans(start, end, range(4), 1, 15)
    assert (best.first, best.last) == (2, 3)
    assert best.score == pytest.approx(0.15)


def test_spans_come_best_first():
    start, end = array(0.5, 0.3, 0.2), array(0.2, 0.3, 0.5)
    # 0-2: .25, 0-1 and 1-2: .15, 0-0 and 2-2: .10, 1-1: .09; 2-0 and the like are none
    found = best_spans(start, end, range(3), 10, 15)
    assert places(found) == [(0, 2), (0, 1), (1, 2), (0, 0), (2, 2), (1, 1)]
    assert [span.score for span in found] == pytest.approx([0.25, 0.15, 0.15, 0.1, 0.1, 0.09])
    assert places(best_spans(start, end, range(3), 2, 15)) == [(0, 2), (0, 1)]


def test_a_span_has_no_more_tokens_than_asked():
    start, end = array(0.5, 0.3, 0.2), array(0.2, 0.3, 0.5)
    assert places(best_spans(start, end, range(3), 10, 2)) == [
        (0, 1),
        (1, 2),
        (0, 0),
        (2, 2),
        (1, 1),
    ]
    assert places(best_spans(start, end, range(3), 10, 1)) == [(0, 0), (2, 2), (1, 1)]


def test_a_span_stays_inside():
    start, end = array(0.9, 0.05, 0.05, 0.9), array(0.9, 0.05, 0.05, 0.9)
    assert places(best_spans(start, end, range(1, 3), 10, 15)) == [(1, 1), (1, 2), (2, 2)]
    assert best_spans(start, end, range(2, 2), 10, 15) == []


def test_of_equal_spans_the_earlier_then_the_shorter_comes_first():
    even = array(0.25, 0.25, 0.25, 0.25)
    expected = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2)]
    assert places(best_spans(even, even, range(4), 5, 3)) == expected
    nothing = array(0, 0, 0)  # what is below the smallest float is 0, and still in order
    assert places(best_spans(nothing, nothing, range(3), 3, 3)) == [(0, 0), (0, 1), (0, 2)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), max_size=12),
    st.integers(0, 3),
    st.integers(1, 30),
    st.integers(1, 14),
)
def test_they_are_those_of_the_whole_matrix(both, skipped, count, longest):
    start, end = (array(*values) for values in (zip(*both, strict=True) if both else ((), ())))
    inside = range(min(skipped, len(both)), len(both))
    every = [
        (-float(start[first] * end[last]), first, last)
        for first in inside
        for last in inside
        if first <= last < first + longest
    ]
    found = best_spans(start, end, inside, count, longest)
    assert [(-span.score, span.first, span.last) for span in found] == sorted(every)[:count]


def letters(text, split):
    """One token a letter; words where there are spaces, if they are split there."""
    symbols = [*"abcdefgh \u00e9"]
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(symbols)}, []))
    if split:
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer.encode(text)


def test_a_span_is_widened_to_whole_words():
    encoding = letters("abc de fgh", split=True)  # tokens a b c d e f g h
    span = TokenSpan(1, 3, 0.5)
    assert span_characters(encoding, span, 0, align_to_words=True) == (0, 6)
    assert span_characters(encoding, span, 0, align_to_words=False) == (1, 5)


def test_offsets_count_characters_and_not_bytes():
    encoding = letters("\u00e9\u00e9 ab", split=True)
    assert span_characters(encoding, TokenSpan(2, 2, 0.5), 0, align_to_words=False) == (3, 4)
    assert span_characters(encoding, TokenSpan(2, 2, 0.5), 0, align_to_words=True) == (3, 5)


class WithoutWords:
    """What an encoding looks like where the tokenizer knows of no words, or not of all."""

    offsets = ((0, 2), (3, 5), (5, 9))

    def __init__(self, words):
        self.words = words

    def token_to_word(self, token):
        return self.words[token]

    def word_to_chars(self, word, sequence):
        return None if word == 7 else (0, 9)


@pytest.mark.parametrize("words", [(None, None), (0, None), (None, 0), (0, 7)])
def test_without_words_the_tokens_own_offsets_are_taken(words):
    encoding: Any = WithoutWords((0, *words))
    assert span_characters(encoding, TokenSpan(1, 2, 0.5), 0, align_to_words=True) == (3, 9)
