"""Text that was invented in silence: found by its unlikely words, and dropped.

A reimplementation of what openai/whisper does for `hallucination_silence_threshold` (transcribe.py)
and of how it shortens words that last into a silence before (timing.py, `add_word_timestamps`);
transformers has neither. There the marks of sentences are still words of their own when words are
shortened; here they are part of the words before them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from onnxtasks.speech.alignment import CLOSING, OPENING, Word

UNLIKELY, SHORT, LONG = 0.15, 0.133, 2.0
"""A word is odd below this probability, this short, or this long (seconds)."""
PER_SECOND = 15.0
"""What each missing second of a short word counts."""
LOOKED_AT, ODD = 8, 3.0
"""Words of a segment that are looked at, and what makes it an invention."""
EDGE = 2.0
"""Seconds from a window's edge within which a segment counts as beside silence."""
USUAL = 0.7
"""Seconds that a usual word lasts at most; twice as much is long."""
SLACK = 0.5
"""Seconds by which a word may go beyond the timestamps of its segment."""
SENTENCE_ENDS = tuple(".。!！?？")  # noqa: RUF001  they are those of other scripts


class Spoken(Protocol):
    """A segment with its words; seconds."""

    @property
    def start(self) -> float: ...  # noqa: D102  # its name says it
    @property
    def end(self) -> float: ...  # noqa: D102  # its name says it
    @property
    def words(self) -> Sequence[Word]: ...  # noqa: D102  # its name says it


S = TypeVar("S", bound=Spoken)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A window and what is known around it."""

    seek: int
    """First frame."""
    frames: int
    """How many of its frames are the recording's."""
    whole: int
    """How many frames a full window has."""
    total: int
    """Frames of the recording."""
    rate: float
    """Frames per second."""
    last_speech: float
    """Where the last word of the windows before ended, in seconds."""

    @property
    def start(self) -> float:
        """Seconds."""
        return self.seek / self.rate

    @property
    def end(self) -> float:
        """Where a full window would end, in seconds."""
        return (self.seek + self.whole) / self.rate


@dataclass(frozen=True, slots=True)
class Kept(Generic[S]):
    """What is left of a window."""

    segments: tuple[S, ...]
    seek: int
    """First frame of the next window."""
    last_speech: float
    """For the next window: where the last word so far ended, in seconds."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A segment as its words have it."""

    start: float
    end: float
    words: tuple[Word, ...]


def oddness(word: Word) -> float:
    """How unlike a spoken word it is, by its probability and length; 0 for nothing odd."""
    length = word.end - word.start
    score = 1.0 if word.probability < UNLIKELY else 0.0
    if length < SHORT:
        score += (SHORT - length) * PER_SECOND
    return score + max(0.0, length - LONG)


def invented(segment: Spoken | None) -> bool:
    """Whether a segment looks like no speech; never where it has no words."""
    if segment is None or not segment.words:
        return False
    looked_at = [word for word in segment.words if word.text not in OPENING + CLOSING][:LOOKED_AT]
    score = sum(map(oddness, looked_at))
    return score >= ODD or score + 0.01 >= len(looked_at)


def drop(
    segments: Sequence[S], heard: Heard, *, seek: int, unfinished: bool, threshold: float
) -> Kept[S]:
    """Drop what was invented in silence, and listen again behind it.

    Args:
        segments: Of the window, with words.
        heard: The window.
        seek: Where the next window would begin.
        unfinished: Whether the window ends inside a segment.
        threshold: Seconds of silence.
    """
    refined = shorten(segments, heard.last_speech)
    last = last_end(refined)
    if unfinished and last is not None and last > heard.start:
        silent = heard.end - last > threshold
        seek = round(last * heard.rate) if silent else heard.seek + heard.frames
    first = _next(refined, 0)
    if first is not None and invented(first) and first.start - heard.start > threshold:
        seek = heard.seek + round((first.start - heard.start) * heard.rate)
        return Kept((), seek, heard.last_speech)
    before, kept = heard.last_speech, len(segments)
    for place, segment in enumerate(refined):
        if not segment.words:
            continue
        following = _next(refined, place + 1)
        if invented(segment) and _alone(segment, following, before, heard, threshold):
            seek = round(max(heard.start + 1, segment.start) * heard.rate)
            if heard.total / heard.rate - segment.end < threshold:
                seek = heard.total
            kept = place
            break
        before = segment.end
    last = last_end(refined[:kept])
    return Kept(tuple(segments[:kept]), seek, heard.last_speech if last is None else last)


def last_end(segments: Sequence[Spoken]) -> float | None:
    """Where the last word ends; where no segment has words, where the last segment does."""
    ends = [segment.words[-1].end for segment in segments if segment.words]
    if ends:
        return ends[-1]
    return segments[-1].end if segments else None


def shorten(segments: Sequence[Spoken], last_speech: float) -> list[Timed]:
    """Segments whose words do not last into the silence beside them.

    Attention has no place for silence, so a word takes what is before or behind it.

    Args:
        segments: Of one window.
        last_speech: Where the last word before them ended, in seconds.
    """
    lengths = [word.end - word.start for segment in segments for word in segment.words]
    lengths = [length for length in lengths if length != 0]
    usual = min(USUAL, float(np.median(lengths))) if lengths else 0.0
    made: list[Timed] = []
    previous: Word | None = None
    for segment in segments:
        words = list(segment.words)
        for place, word in enumerate(words):
            words[place], previous = _at_sentence_end(word, previous, 2 * usual), word
        if not words:
            made.append(Timed(segment.start, segment.end, ()))
            continue
        words = _after_pause(words, last_speech, usual)
        made.append(_within(segment, words, usual))
        last_speech = made[-1].end
    return made


def _at_sentence_end(word: Word, previous: Word | None, longest: float) -> Word:
    if previous is None or not word.end - word.start > longest > 0:
        return word
    if word.text.endswith(SENTENCE_ENDS):
        return replace(word, end=word.start + longest)
    if previous.text.endswith(SENTENCE_ENDS):
        return replace(word, start=word.end - longest)
    return word


def _after_pause(words: list[Word], last_speech: float, usual: float) -> list[Word]:
    """Neither the first nor the second word after a pause is long."""
    first, longest = words[0], 2 * usual
    second = words[1] if len(words) > 1 else None
    long = first.end - first.start > longest
    long = long or (second is not None and second.end - first.start > 2 * longest)
    if not long or first.end - last_speech <= 4 * usual:
        return words
    made = list(words)
    if second is not None and second.end - second.start > longest:
        border = max(second.end / 2, second.end - longest)
        first, made[1] = replace(first, end=border), replace(second, start=border)
    made[0] = replace(first, start=max(0.0, first.end - longest))
    return made


def _within(segment: Spoken, words: list[Word], usual: float) -> Timed:
    """A segment that ends with its words, or words that end with their segment."""
    start, end = segment.start, segment.end
    first = words[0]
    if start < first.end and start - SLACK > first.start:
        words[0] = replace(first, start=max(0.0, min(first.end - usual, start)))
    else:
        start = first.start
    last = words[-1]
    if end > last.start and end + SLACK < last.end:
        words[-1] = replace(last, end=max(last.start + usual, end))
    else:
        end = last.end
    return Timed(start, end, tuple(words))


def _next(segments: Sequence[Timed], first: int) -> Timed | None:
    return next((segment for segment in segments[first:] if segment.words), None)


def _alone(
    segment: Timed, following: Timed | None, before: float, heard: Heard, threshold: float
) -> bool:
    """Whether there is silence, or another invention, on both sides of a segment."""
    next_start = heard.start + heard.frames / heard.rate
    if following is not None:
        next_start = following.words[0].start
    silent_before = (
        segment.start - before > threshold
        or segment.start < threshold
        or segment.start - heard.start < EDGE
    )
    silent_after = (
        next_start - segment.end > threshold
        or invented(following)
        or heard.end - segment.end < EDGE
    )
    return silent_before and silent_after
