"""Transcripts as files: text, subtitles (SRT, WebVTT), a table, JSON.

A reimplementation of the writers of openai/whisper (utils.py: `WriteTXT`, `SubtitlesWriter`,
`WriteSRT`, `WriteVTT`, `WriteTSV`, `WriteJSON`): the same text, but for what would break a file,
which they let through with word times: "-->" and blank lines in subtitles, line breaks in tables.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import msgspec

from onnxtasks.errors import InputError
from onnxtasks.speech.alignment import UNSPACED
from onnxtasks.speech.transcript import Transcript

PAUSE = 3.0  # seconds from a word to the next that end a subtitle of limited lines
BLANK_LINES = re.compile(r"\n\s*\n")
LINE_BREAKS = re.compile(r"\s*[\t\r\n]\s*")
UNLIMITED = 1000  # characters and lines, as in the source
WIDTH, LINES = 42, 2
"""Characters and lines of a subtitle that are easy to read, for what has no sentences."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something said and when, in seconds; a word with the space in front of it."""

    text: str
    start: float
    end: float
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment and its words."""

    text: str
    start: float
    end: float
    words: tuple[Part, ...] = ()
    """Empty where their times are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How subtitles are cut; all of it needs the times of words.

    With both a width and a number of lines, subtitles do not heed segments: they go on until they
    are full or nobody speaks for `PAUSE` seconds.
    """

    max_line_width: int | None = None
    """Characters; a longer word has a line of its own."""
    max_line_count: int | None = None
    """Lines of a subtitle."""
    max_words_per_line: int | None = None
    """Words of a subtitle within a segment."""
    highlight_words: bool = False
    """Show a subtitle once for each of its words, with that word underlined."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            InputError: A number below 1, or limits that exclude each other.
        """
        for name in ("max_line_width", "max_line_count", "max_words_per_line"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it is at least 1")
        if self.max_line_count is not None and self.max_line_width is None:
            raise InputError("max_line_count needs max_line_width: else no line is ever full")
        if self.max_words_per_line is not None and self.max_line_width is not None:
            raise InputError("max_words_per_line and max_line_width exclude each other; give one")

    @property
    def needs_words(self) -> bool:
        """Whether the times of segments are not enough."""
        return self != PLAIN


PLAIN = Layout()
READABLE = Layout(max_line_width=WIDTH, max_line_count=LINES)


def segments_of(transcript: Transcript) -> Iterator[Segment]:
    """Each segment with its words, in which the spaces are those of the segment's text.

    Words follow each other in the text of their segment. One that does not, belongs to the first
    segment that it ends in.
    """
    waiting = list(reversed(transcript.words))
    segments = transcript.segments
    space = "" if transcript.language in UNSPACED else " "
    for number, segment in enumerate(segments, 1):
        rest = segment.text
        found: list[Part] = []
        while waiting:
            word, bare = waiting[-1], waiting[-1].text.strip()
            stop = len(rest) - len(rest.lstrip()) + len(bare)
            follows = bool(bare) and rest[:stop].endswith(bare)
            if not follows and number < len(segments) and word.end > segment.end:
                break
            text, rest = (rest[:stop], rest[stop:]) if follows else (bare, rest)
            # Segments are joined where subtitles do not heed them.
            if not (follows and found) and not text[:1].isspace():
                text = space + text
            found.append(Part(text, word.start, word.end, word.score))
            waiting.pop()
        yield Segment(segment.text, segment.start, segment.end, tuple(found))


def write_txt(segments: Iterable[Segment], layout: Layout = PLAIN) -> Iterator[str]:
    """A line for each segment."""
    for segment in segments:
        yield f"{segment.text.strip()}\n"


def write_srt(segments: Iterable[Segment], layout: Layout = PLAIN) -> Iterator[str]:
    """SubRip: numbered subtitles, times as 00:00:01,500."""
    for number, one in enumerate(subtitles(segments, layout), 1):
        start, end = (timestamp(seconds, hours=True, mark=",") for seconds in (one.start, one.end))
        yield f"{number}\n{start} --> {end}\n{one.text}\n\n"


def write_vtt(segments: Iterable[Segment], layout: Layout = PLAIN) -> Iterator[str]:
    """WebVTT: times as 00:01.500, with hours from the first one on."""
    yield "WEBVTT\n\n"
    for one in subtitles(segments, layout):
        yield f"{timestamp(one.start)} --> {timestamp(one.end)}\n{one.text}\n\n"


def write_tsv(segments: Iterable[Segment], layout: Layout = PLAIN) -> Iterator[str]:
    """A table of segments: start and end in whole milliseconds, and the text, with tabs between."""
    yield "start\tend\ttext\n"
    for segment in segments:
        text = LINE_BREAKS.sub(" ", segment.text.strip())
        yield f"{round(1000 * segment.start)}\t{round(1000 * segment.end)}\t{text}\n"


def write_json(transcript: Transcript) -> Iterator[str]:
    """One JSON object with the keys of openai/whisper that a transcript can fill.

    That is "text", "segments" and "language"; of a segment "id", "start", "end", "text" and where
    words have times "words", each with "word", "start", "end" and "probability".
    """
    parts: list[dict[str, Any]] = []
    for number, segment in enumerate(segments_of(transcript)):
        row: dict[str, Any] = {
            "id": number,
            "start": segment.start,
            "end": segment.end,
            "text": segment.text,
        }
        if transcript.words:
            row["words"] = [
                {"word": word.text, "start": word.start, "end": word.end, "probability": word.score}
                for word in segment.words
            ]
        parts.append(row)
    whole = {"text": transcript.text, "segments": parts, "language": transcript.language}
    yield msgspec.json.encode(whole).decode() + "\n"


Writer: TypeAlias = Callable[[Iterable[Segment], Layout], Iterator[str]]

WRITERS: dict[str, Writer] = {
    "srt": write_srt,
    "vtt": write_vtt,
    "tsv": write_tsv,
    "txt": write_txt,
}
"""Format -> what writes segments as they come. JSON is written of a whole transcript."""

FORMATS = (*WRITERS, "json")
CUT = ("srt", "vtt")
"""Formats that a layout is for."""


def write(transcript: Transcript, form: str, layout: Layout = PLAIN) -> Iterator[str]:
    """A transcript as the text of a file, in pieces.

    Args:
        transcript: What was said.
        form: One of `FORMATS`.
        layout: How subtitles are cut.

    Raises:
        InputError: An unknown format, or a layout that needs the times of words where there are
            none.
    """
    if form == "json":
        return write_json(transcript)
    if form not in WRITERS:
        raise InputError(f"unknown format {form!r}; known: {', '.join(FORMATS)}")
    if form in CUT and layout.needs_words and transcript.segments and not transcript.words:
        raise InputError(
            "the words of this transcript have no times, which the layout of subtitles needs; "
            'ask for them with timestamps="word"'
        )
    return WRITERS[form](segments_of(transcript), layout)


def subtitles(segments: Iterable[Segment], layout: Layout) -> Iterator[Part]:
    """Segments -> subtitles as they are shown, as soon as they are full.

    Where words have times, a subtitle lasts from its first word to its last; else it is a segment.
    """
    cutter = Cutter(layout)
    for segment in segments:
        for done in _cut_segment(cutter, segment, layout.max_words_per_line):
            yield from _shown(done, layout)
        if not segment.words and segment.text.strip():
            yield from _shown(cutter.take(), layout)
            yield Part(_safe(segment.text.strip()), segment.start, segment.end)
    yield from _shown(cutter.take(), layout)


class Cutter:
    """Puts words into the lines of a subtitle until it is full."""

    def __init__(self, layout: Layout) -> None:
        """Start with an empty subtitle."""
        self.heeds_segments = layout.max_line_width is None or layout.max_line_count is None
        self._width = layout.max_line_width or UNLIMITED
        self._lines = layout.max_line_count or UNLIMITED
        self._words: list[Part] = []
        self._length = 0
        self._line = 1
        self._last: float | None = None

    def add(self, word: Part) -> list[Part]:
        """Put a word behind the others; gives the subtitle that ended before it, or nothing."""
        done: list[Part] = []
        pause = self._last is not None and word.start - self._last > PAUSE
        pause = pause and not self.heeds_segments
        self._last = word.start
        if self._length and self._length + len(word.text) <= self._width and not pause:
            self._length += len(word.text)
        else:
            text = word.text.strip()
            if pause or self._line >= self._lines:
                done = self.take()
            elif self._length:
                self._line += 1
                text = f"\n{text}"
            self._length = len(text.strip())
            word = replace(word, text=text)
        self._words.append(word)
        return done

    def take(self) -> list[Part]:
        """The words of the subtitle that is not full yet; the next one begins."""
        done, self._words = self._words, []
        self._length, self._line = 0, 1
        return done


def _cut_segment(cutter: Cutter, segment: Segment, most: int | None) -> Iterator[list[Part]]:
    """The subtitles that end within a segment or with it; `most` words each, if not None."""
    size = most or max(1, len(segment.words))
    for first in range(0, len(segment.words), size):
        for word in segment.words[first : first + size]:
            yield cutter.add(word)
        if cutter.heeds_segments:
            yield cutter.take()


def _shown(words: Sequence[Part], layout: Layout) -> Iterator[Part]:
    """The words of a subtitle as it is shown; with highlighting, once for each of them."""
    if not words:
        return
    texts = [word.text for word in words]
    whole = _safe("".join(texts))
    if not layout.highlight_words:
        yield Part(whole, words[0].start, words[-1].end)
        return
    last = words[0].start
    for place, word in enumerate(words):
        if _milliseconds(last) != _milliseconds(word.start):
            yield Part(whole, last, word.start)
        bare = word.text.lstrip()
        marked = f"{word.text[: len(word.text) - len(bare)]}<u>{bare}</u>"
        text = "".join([*texts[:place], marked, *texts[place + 1 :]])
        yield Part(_safe(text), word.start, word.end)
        last = word.end


def timestamp(seconds: float, *, hours: bool = False, mark: str = ".") -> str:
    """A time as 01:02:03.456.

    Args:
        seconds: From the start of the recording.
        hours: Whether they are shown in the first hour too.
        mark: What stands before the milliseconds.
    """
    rest, thousandths = divmod(_milliseconds(seconds), 1000)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    front = f"{hour:02d}:" if hours or hour else ""
    return f"{front}{minute:02d}:{second:02d}{mark}{thousandths:03d}"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000.0)


def _safe(text: str) -> str:
    """Without what ends a subtitle or is read as its times."""
    return BLANK_LINES.sub("\n", text).replace("-->", "->")
