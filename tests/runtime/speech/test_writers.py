import json

import pytest

from onnxtasks.errors import InputError
from onnxtasks.speech.transcript import Span, Transcript
from onnxtasks.speech.writers import (
    FORMATS,
    READABLE,
    Layout,
    Part,
    Segment,
    segments_of,
    subtitles,
    timestamp,
    write,
    write_srt,
)


def spans(*rows):
    return tuple(Span(text, start, end, 0.5) for text, start, end in rows)


def transcript(segments, words=(), language="en"):
    text = "".join(row[0] for row in segments)
    return Transcript(text, spans(*segments), spans(*words), (), language, ())


SHORT = transcript([(" Hello there.", 0.0, 1.5), (" Bye!", 61.25, 3662.0)])
WORDY = transcript(
    [(" Hello, you there.", 0.0, 2.0), (" Bye!", 2.5, 3.0)],
    [
        *((" Hello,", 0.0, 0.5), (" you", 0.5, 1.0), (" there.", 1.25, 2.0)),
        (" Bye!", 2.5, 3.0),
    ],
)


def text(found, form, layout=None):
    return "".join(write(found, form, layout or Layout()))


class TestTimestamp:
    @pytest.mark.parametrize(
        ("seconds", "short", "long"),
        [
            (0, "00:00.000", "00:00:00.000"),
            (1.5, "00:01.500", "00:00:01.500"),
            (59.9996, "01:00.000", "00:01:00.000"),
            (3661.001, "01:01:01.001", "01:01:01.001"),
            (360000, "100:00:00.000", "100:00:00.000"),
        ],
    )
    def test_hours_are_shown_where_there_are_some(self, seconds, short, long):
        assert timestamp(seconds) == short
        assert timestamp(seconds, hours=True) == long

    def test_the_mark_before_milliseconds(self):
        assert timestamp(1.5, mark=",") == "00:01,500"


class TestFormats:
    def test_txt(self):
        assert text(SHORT, "txt") == "Hello there.\nBye!\n"

    def test_srt(self):
        assert text(SHORT, "srt") == (
            "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n"
            "2\n00:01:01,250 --> 01:01:02,000\nBye!\n\n"
        )

    def test_vtt(self):
        assert text(SHORT, "vtt") == (
            "WEBVTT\n\n00:00.000 --> 00:01.500\nHello there.\n\n"
            "01:01.250 --> 01:01:02.000\nBye!\n\n"
        )

    def test_tsv(self):
        assert (
            text(SHORT, "tsv") == "start\tend\ttext\n0\t1500\tHello there.\n61250\t3662000\tBye!\n"
        )

    def test_json(self):
        assert json.loads(text(SHORT, "json")) == {
            "text": " Hello there. Bye!",
            "segments": [
                {"id": 0, "start": 0.0, "end": 1.5, "text": " Hello there."},
                {"id": 1, "start": 61.25, "end": 3662.0, "text": " Bye!"},
            ],
            "language": "en",
        }

    def test_json_with_words(self):
        first, second = json.loads(text(WORDY, "json"))["segments"]
        assert [word["word"] for word in first["words"]] == [" Hello,", " you", " there."]
        assert second["words"] == [{"word": " Bye!", "start": 2.5, "end": 3.0, "probability": 0.5}]

    @pytest.mark.parametrize(
        ("form", "expected"),
        [
            ("txt", ""),
            ("srt", ""),
            ("vtt", "WEBVTT\n\n"),
            ("tsv", "start\tend\ttext\n"),
            ("json", '{"text":"","segments":[],"language":null}\n'),
        ],
    )
    def test_silence(self, form, expected):
        silence = Transcript("", (), (), (), None, ())
        assert text(silence, form) == expected
        assert form in FORMATS
        if form in ("srt", "vtt"):
            assert text(silence, form, READABLE) == expected

    def test_what_would_break_a_file(self):
        found = transcript([(" a --> b\n\nc\td", 0.0, 1.0)])
        assert text(found, "srt") == "1\n00:00:00,000 --> 00:00:01,000\na -> b\nc\td\n\n"
        assert text(found, "tsv").splitlines()[1] == "0\t1000\ta --> b c d"
        words = transcript(
            [(" a --> b", 0, 1)], [(" a", 0, 0.2), (" -->", 0.2, 0.4), (" b", 0.4, 1)]
        )
        assert text(words, "vtt") == "WEBVTT\n\n00:00.000 --> 00:01.000\na -> b\n\n"

    def test_an_unknown_format(self):
        with pytest.raises(InputError, match="unknown format 'ass'; known: srt, vtt, tsv, txt, js"):
            write(SHORT, "ass")


class TestStreams:
    def test_a_subtitle_is_written_before_the_next_segment_is_heard(self):
        def heard():
            yield Segment(" One", 0.0, 1.0, (Part(" One", 0.25, 0.75),))
            raise AssertionError("the second segment was asked for")

        assert next(write_srt(heard())) == "1\n00:00:00,250 --> 00:00:00,750\nOne\n\n"


class TestWordsOfSegments:
    def words(self, found):
        return [[word.text for word in segment.words] for segment in segments_of(found)]

    def test_words_belong_to_the_segment_that_they_are_the_text_of(self):
        assert self.words(WORDY) == [[" Hello,", " you", " there."], [" Bye!"]]

    def test_spaces_are_those_of_the_text(self):
        found = transcript([("good e-mail", 0, 3)], [("good", 0, 1), ("e", 1, 2), ("-mail", 2, 3)])
        assert self.words(found) == [[" good", " e", "-mail"]]

    def test_languages_without_spaces_get_none(self):
        found = transcript([("今日は", 0, 2)], [("今日", 0, 1), ("は", 1, 2)], "ja")
        assert self.words(found) == [["今日", "は"]]

    def test_words_that_are_not_in_the_text_go_by_their_time(self):
        found = transcript(
            [("one two", 0, 2), ("three", 2, 4)], [("ONE", 0, 1), ("THREE", 2, 3), ("four", 3, 5)]
        )
        assert self.words(found) == [[" ONE"], [" THREE", " four"]]

    def test_no_words(self):
        assert self.words(SHORT) == [[], []]


class TestLayout:
    def test_words_are_highlighted_one_after_the_other(self):
        assert text(WORDY, "vtt", Layout(highlight_words=True)) == (
            "WEBVTT\n\n"
            "00:00.000 --> 00:00.500\n<u>Hello,</u> you there.\n\n"
            "00:00.500 --> 00:01.000\nHello, <u>you</u> there.\n\n"
            "00:01.000 --> 00:01.250\nHello, you there.\n\n"
            "00:01.250 --> 00:02.000\nHello, you <u>there.</u>\n\n"
            "00:02.500 --> 00:03.000\n<u>Bye!</u>\n\n"
        )

    def cut(self, **layout):
        found = subtitles(segments_of(WORDY), Layout(**layout))
        return [(one.text, one.start, one.end) for one in found]

    def test_lines_of_a_width(self):
        assert self.cut(max_line_width=10) == [("Hello, you\nthere.", 0, 2), ("Bye!", 2.5, 3)]

    def test_a_number_of_lines_goes_across_segments(self):
        found = self.cut(max_line_width=11, max_line_count=1)
        assert found == [("Hello, you", 0, 1), ("there. Bye!", 1.25, 3)]

    def test_a_pause_ends_a_subtitle(self):
        segments = [Segment(" a b", 0, 9, (Part(" a", 0, 1), Part(" b", 3.5, 4)))]
        found = subtitles(segments, READABLE)
        assert [one.text for one in found] == ["a", "b"]

    def test_a_number_of_words(self):
        found = self.cut(max_words_per_line=2)
        assert found == [("Hello, you", 0, 1), ("there.", 1.25, 2), ("Bye!", 2.5, 3)]

    def test_a_long_word_has_its_own_line(self):
        assert self.cut(max_line_width=3)[0][0] == "Hello,\nyou\nthere."

    def test_segments_without_words_are_subtitles_as_they_are(self):
        segments = [
            Segment(" a", 0, 1, (Part(" a", 0, 1),)),
            Segment(" b", 1, 2),
            Segment("", 2, 3),
        ]
        for layout in (Layout(), READABLE):
            assert [one.text for one in subtitles(segments, layout)] == ["a", "b"]

    @pytest.mark.parametrize("form", ["srt", "vtt"])
    def test_words_without_times_cannot_be_laid_out(self, form):
        with pytest.raises(InputError, match='have no times.*ask for them with timestamps="word"'):
            write(SHORT, form, READABLE)

    @pytest.mark.parametrize("form", ["txt", "tsv", "json"])
    def test_other_formats_have_no_layout(self, form):
        assert text(SHORT, form, READABLE) == text(SHORT, form)

    @pytest.mark.parametrize(
        ("layout", "message"),
        [
            ({"max_line_width": 0}, "max_line_width is 0; it is at least 1"),
            ({"max_words_per_line": -1}, "max_words_per_line is -1; it is at least 1"),
            ({"max_line_count": 2}, "max_line_count needs max_line_width"),
            (
                {"max_words_per_line": 2, "max_line_width": 9},
                "max_words_per_line and max_line_width exclude each other",
            ),
        ],
    )
    def test_what_contradicts_itself(self, layout, message):
        with pytest.raises(InputError, match=message):
            Layout(**layout)
