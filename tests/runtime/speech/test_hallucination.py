from dataclasses import replace

import pytest

from onnxtasks.speech.alignment import Word
from onnxtasks.speech.hallucination import (
    Heard,
    Timed,
    drop,
    invented,
    last_end,
    oddness,
    shorten,
)

# A window of 30 s that starts at 60 s, in a recording of 200 s; the last word ended at 59 s.
HEARD = Heard(seek=6000, frames=3000, whole=3000, total=20000, rate=100.0, last_speech=59.0)

LIKELY = tuple(f" {letter}" for letter in "abcdefgh")  # so many that odd ones are not the median


def word(text, start, end, probability=0.9):
    return Word(text, (), start, end, probability)


def said(start, *texts, length=0.4):
    """A segment of likely words, one after the other."""
    words = [
        word(text, start + i * length, start + (i + 1) * length) for i, text in enumerate(texts)
    ]
    return Timed(start, words[-1].end, tuple(words))


def made_up(start):
    """A segment of three words that nobody said."""
    words = tuple(word(" you", start + i / 100, start + (i + 1) / 100, 0.05) for i in range(3))
    return Timed(start, words[-1].end, words)


class TestOddness:
    @pytest.mark.parametrize(
        ("length", "probability", "score"),
        [
            (0.5, 0.9, 0.0),
            (0.5, 0.15, 0.0),
            (0.5, 0.14, 1.0),
            (0.033, 0.9, 1.5),
            (0.0, 0.1, 2.995),
            (3.5, 0.9, 1.5),
        ],
    )
    def test_unlikely_short_and_long_words(self, length, probability, score):
        assert oddness(word(" a", 0.0, length, probability)) == pytest.approx(score)

    def test_a_segment_of_odd_words_is_invented(self):
        assert invented(made_up(3.0))
        assert not invented(said(3.0, " I", " see", " you"))

    def test_all_of_few_words_or_several_of_many(self):
        assert invented(Timed(0, 1, (word(" a", 0, 1, 0.1),)))
        assert not invented(Timed(0, 2, (word(" a", 0, 1, 0.1), word(" b", 1, 2))))
        odd = [word(" x", i, i + 1, 0.1) for i in range(3)]
        assert invented(Timed(0, 8, (*odd, *said(3, *" abcde").words)))
        assert not invented(Timed(0, 8, (*odd[:2], *said(3, *" abcdef").words)))

    def test_the_ninth_word_is_not_looked_at(self):
        likely = said(0.0, *" abcdefg").words
        odd = tuple(word(" x", 5 + i, 6 + i, 0.0) for i in range(9))
        assert not invented(Timed(0, 9, likely + odd))

    def test_punctuation_is_not_looked_at(self):
        assert invented(Timed(0, 2, (word(" a", 0, 1, 0.1), word(".", 1, 2))))

    def test_without_words_nothing_is_known(self):
        assert not invented(Timed(0, 2, ()))
        assert not invented(None)


class TestShorten:
    def test_a_first_word_does_not_begin_in_the_pause_before_it(self):
        segment = Timed(62.0, 66.0, (word(" so", 60.0, 65.0), *said(65.0, " I", " see").words))
        (found,) = shorten([segment], 50.0)
        assert found.words[0].start == pytest.approx(65.0 - 0.8)
        assert found.start == found.words[0].start

    def test_nor_does_the_second(self):
        words = (word(" so", 60.0, 60.4), word(" I", 60.4, 64.0), *said(64.0, " see", " it").words)
        (found,) = shorten([Timed(60.0, 65.0, words)], 50.0)
        assert found.words[0].end == found.words[1].start == pytest.approx(64.0 - 0.8)

    def test_words_that_follow_without_a_pause_stay(self):
        segment = said(60.0, " so", " I", " see")
        assert shorten([segment], 59.9) == [segment]

    def test_a_word_at_the_end_of_a_sentence_does_not_last_into_the_silence(self):
        first = said(60.0, " I", " see", " it.")
        long = Timed(60.0, 66.0, (*first.words[:2], replace(first.words[2], end=66.0)))
        (found,) = shorten([long], 59.9)
        assert found.end == pytest.approx(60.8 + 0.8)

    def test_nor_does_the_word_after_it(self):
        first = said(60.0, " I", " see", " it.")
        second = Timed(66.0, 66.4, (word(" So", 61.2, 66.4), word(" what", 66.4, 66.8)))
        assert shorten([first, second], 59.9)[1].words[0].start == pytest.approx(66.4 - 0.8)

    def test_the_timestamps_of_the_segment_hold_the_last_word(self):
        segment = Timed(60.0, 61.5, (*said(60.0, " I", " see").words, word(" it", 60.8, 63.0)))
        (found,) = shorten([segment], 59.9)
        assert (found.end, found.words[-1].end) == (61.5, 61.5)

    def test_nothing_to_shorten(self):
        silent = Timed(1.0, 2.0, ())
        assert shorten([], 0.0) == []
        assert shorten([silent], 0.0) == [silent]


class TestDrop:
    def kept(self, segments, heard=HEARD, seek=9000, unfinished=False):
        found = drop(segments, heard, seek=seek, unfinished=unfinished, threshold=2.0)
        return [segments.index(segment) for segment in found.segments], found.seek

    def test_speech_is_kept(self):
        assert self.kept([said(60.5, " a", " b"), said(70, " c", " d")]) == ([0, 1], 9000)

    def test_an_invention_first_after_silence_is_heard_again_from_its_start(self):
        assert self.kept([made_up(65.0), said(70, " a", " b")]) == ([], 6500)

    def test_between_silences_it_ends_the_window(self):
        segments = [said(60.5, *LIKELY), made_up(70.0), said(80, " c", " d")]
        assert self.kept(segments) == ([0], 7000)

    def test_beside_speech_it_is_kept(self):
        segments = [said(62.5, " a", " b"), made_up(63.5), said(64, " c", " d")]
        assert self.kept(segments) == ([0, 1, 2], 9000)

    def test_another_invention_is_as_good_as_silence(self):
        segments = [said(60.5, *LIKELY), made_up(70.0), made_up(70.5), said(71, " c", " d")]
        assert self.kept(segments) == ([0], 7000)

    def test_at_the_end_of_the_recording_nothing_is_heard_again(self):
        heard = replace(HEARD, total=7100)
        assert self.kept([said(60.5, *LIKELY), made_up(70.0)], heard) == ([0], 7100)

    def test_the_window_goes_on_by_a_second_at_least(self):
        heard = replace(HEARD, last_speech=50.0)
        assert self.kept([made_up(60.5)], heard) == ([], 6100)

    @pytest.mark.parametrize(("end", "seek"), [(85.0, 8500), (88.5, 9000)])
    def test_an_unfinished_window_goes_on_where_the_silence_begins(self, end, seek):
        segments = [said(60.5, " a", " b"), said(end - 0.8, " c", " d")]
        assert self.kept(segments, seek=8777, unfinished=True) == ([0, 1], seek)

    def test_where_the_last_word_ended(self):
        kept = drop([said(60.5, " a", " b")], HEARD, seek=9000, unfinished=False, threshold=2.0)
        assert kept.last_speech == pytest.approx(61.3)
        kept = drop([made_up(65.0)], HEARD, seek=9000, unfinished=False, threshold=2.0)
        assert kept.last_speech == HEARD.last_speech

    def test_segments_without_words(self):
        silent = Timed(61.0, 62.0, ())
        assert self.kept([silent]) == ([0], 9000)
        assert self.kept([]) == ([], 9000)

    def test_the_end_of_the_last_word(self):
        assert last_end([said(1.0, " a", " b"), Timed(5.0, 6.0, ())]) == pytest.approx(1.8)
        assert last_end([Timed(5.0, 6.0, ())]) == 6.0
        assert last_end([]) is None
