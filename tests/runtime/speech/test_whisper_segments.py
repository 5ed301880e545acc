"""Tokens of a window -> segments: words below 10, times from 19 on, in steps of 0.02 s."""

import pytest

from onnxtasks.speech.whisper_segments import cut, rest
from tests.runtime.speech.whisper_script import ZERO, spec_of

SPEC = spec_of()


def at(seconds):
    return ZERO + round(seconds / 0.02)


def spans(found):
    return [(round(s.start, 6), round(s.end, 6), s.first, s.stop) for s in found.slices]


def test_an_unfinished_window_is_left_at_its_last_pair():
    tokens = [at(0), 1, 2, at(0.4), at(0.5), 3, at(0.8), at(0.8), 4]
    found = cut(tokens, SPEC, seek=300, frames=100)
    assert spans(found) == [(3.0, 3.4, 0, 4), (3.5, 3.8, 4, 8)]
    assert (found.advance, found.unfinished) == (80, True)


def test_one_time_at_the_end_says_that_nothing_follows():
    tokens = [at(0), 1, at(0.4), at(0.5), 3, at(0.8)]
    found = cut(tokens, SPEC, seek=0, frames=70)
    assert spans(found) == [(0.0, 0.4, 0, 3), (0.5, 0.8, 3, 6)]
    assert (found.advance, found.unfinished) == (70, False)


@pytest.mark.parametrize(
    ("tokens", "end"),
    [([at(0.1), 1, at(0.6)], 1.6), ([at(0), 1, 2], 1.5), ([1, 2], 1.5), ([], 1.5)],
)
def test_a_text_without_pairs_is_one_segment(tokens, end):
    found = cut(tokens, SPEC, seek=100, frames=50)
    assert spans(found) == [(1.0, end, 0, len(tokens))]
    assert found.advance == 50


def test_what_no_other_window_reads_is_a_segment_too():
    tokens = [at(0), 1, at(0.4), at(0.4), 2, 3]
    found = cut(tokens, SPEC, seek=0, frames=90)
    assert spans(rest(tokens, found, SPEC, seek=0, frames=90)) == [
        (0.0, 0.4, 0, 3),
        (0.4, 0.9, 3, 6),
    ]
    for ended in ([at(0), 1, at(0.4), at(0.4)], [at(0), 1, at(0.4), at(0.4), 2, at(0.8)]):
        same = cut(ended, SPEC, seek=0, frames=90)
        whole = rest(ended, same, SPEC, seek=0, frames=90)
        assert (spans(whole), whole.advance) == (spans(same), 90)
