"""Transcript files against the frozen ones of openai/whisper."""

import json

import pytest

from onnxtasks.speech.transcript import Span, Transcript
from onnxtasks.speech.writers import Layout, write
from tests.parity.frozen.make_subtitles import COUNT, LAYOUTS, SUBTITLES

CASES = json.loads(SUBTITLES.read_text(encoding="utf-8"))["cases"]


def transcript_of(given):
    """A transcript with the words of all segments in one list, as the task gives them."""
    segments = given["segments"]
    return Transcript(
        text=given["text"].strip(),
        segments=tuple(Span(one["text"], one["start"], one["end"], 0.5) for one in segments),
        words=tuple(
            Span(word["word"], word["start"], word["end"], 0.5)
            for one in segments
            for word in one.get("words", ())
        ),
        characters=(),
        language="en",
        alternatives=(),
    )


def test_there_are_as_many_as_were_made():
    assert len(CASES) == COUNT
    assert sum(len(case["written"]) for case in CASES) == 8 * 4 + 6 * 2 * (len(LAYOUTS) - 1)


@pytest.mark.parametrize("number", range(COUNT))
def test_files_are_the_same(number):
    case = CASES[number]
    for form, layout, expected in case["written"]:
        found = write(transcript_of(case["transcript"]), form, Layout(**LAYOUTS[layout]))
        assert "".join(found) == expected, (form, LAYOUTS[layout])
