"""What is dropped as invented in silence, against the frozen choices of openai/whisper."""

import json

import pytest

from onnxtasks.speech.alignment import Word
from onnxtasks.speech.hallucination import Heard, Timed, drop
from tests.parity.frozen.make_hallucinations import (
    FRAMES,
    HALLUCINATIONS,
    RATE,
    RECORDINGS,
    SECONDS,
)

CASES = json.loads(HALLUCINATIONS.read_text(encoding="utf-8"))["recordings"]


def segments_of(window):
    """The segments of a window with their words, before any is shortened."""
    offset = window["seek"] / RATE
    return [
        Timed(
            one["start"],
            one["end"],
            tuple(
                Word(" w", (), round(offset + start, 2), round(offset + end, 2), chance)
                for start, end, chance in one["words"]
            ),
        )
        for one in window["segments"]
    ]


def test_much_is_dropped_and_much_is_kept():
    windows = [window for case in CASES for window in case["windows"]]
    dropped = [window for window in windows if window["kept"] < len(window["segments"])]
    assert len(CASES) == RECORDINGS
    assert 50 < len(dropped) < len(windows) - 50


@pytest.mark.parametrize("case", CASES)
def test_choices_are_the_same(case):
    total = SECONDS * RATE
    ended = 0.0
    for window in case["windows"]:
        assert window["last_speech"] == pytest.approx(ended)
        heard = Heard(
            seek=window["seek"],
            frames=window["frames"],
            whole=FRAMES,
            total=total,
            rate=RATE,
            last_speech=window["last_speech"],
        )
        found = drop(
            segments_of(window),
            heard,
            seek=window["seek"] + window["frames"],
            unfinished=window["unfinished"],
            threshold=case["threshold"],
        )
        ended = found.last_speech
        assert len(found.segments) == window["kept"], window
        if window["next"] is None:
            assert found.seek >= total
        else:
            assert found.seek == window["next"], window
