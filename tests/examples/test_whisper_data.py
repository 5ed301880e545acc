"""What is written down of a window that begins or ends anywhere."""

import numpy as np
import pytest
from speech_data import RATE
from timed_speech import Sentence
from whisper_data import FRAMES, Segment, Word, draw_windows, long_recording, segments_of

SAID = Sentence(np.full(RATE, 0.5, np.float32), ("go", "left"), np.array([0.0, 0.4]))
"""A second, in which the second word begins after 0.4."""


def words(*wanted):
    return tuple(Word(*one) for one in wanted)


@pytest.mark.parametrize(
    ("places", "segments"),
    [
        ([], []),
        ([1.0], [Segment(words(("go", 50, 70), ("left", 70, 100)), 50, 100)]),
        ([-0.4], [Segment(words(("left", 0, 30)), 0, 30)]),
        ([-0.9], []),
        ([7.5], [Segment(words(("go", 375, 395)), 375, None)]),
        ([7.9], []),
        (
            [5.0, 7.5],
            [
                Segment(words(("go", 250, 270), ("left", 270, 300)), 250, 300),
                Segment((), 375, None),
            ],
        ),
    ],
    ids=["silence", "whole", "begun", "over", "cut off alone", "hardly heard", "cut off"],
)
def test_what_is_written_down(places, segments):
    assert segments_of([(place, SAID) for place in places]) == segments


def test_windows_are_of_all_kinds():
    found = draw_windows([SAID], 200, np.random.default_rng(0))
    assert {len(window.wave) for window in found} == {8 * RATE}
    assert any(not window.segments for window in found)
    assert any(window.segments and window.segments[-1].end is None for window in found)
    ends = [one.end for window in found for one in window.segments if one.end is not None]
    assert max(ends) <= FRAMES


def test_long_recordings_have_their_sentences_where_they_say():
    made = long_recording([SAID] * 20, 30.0, 0)
    assert len(made.wave) == 30 * RATE
    assert len(made.sentences) > 5
    for text, start, end in made.sentences:
        assert text == "go left"
        assert end - start == pytest.approx(1.0)
        assert np.abs(made.wave[round(start * RATE) : round(end * RATE)]).min() > 0.4
