"""A long text -> windows cut between sentences, and their answers joined again.

Where a sentence ends is decided by a short rule (`sentences`), not by a library: pysbd has had no
release since 2021, and sentencex is compiled code that wants to know the language, which a bundle
does not say. A border that the rule misses costs nothing, as windows then end at another; so where
it is in doubt, there is none.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from onnxtasks.errors import InputError

Span: TypeAlias = tuple[int, int]
"""Begin and end in a text."""

CLOSING = "\"'”’»)\\]}›"  # noqa: RUF001  # quotes and brackets that belong to the sentence before
OPENING = "\"'“‘«([{‹„¿¡—–-"  # noqa: RUF001  # and to the one that begins
WIDE_END = re.compile(r"[。！？｡]+[」』”’）》】]*")  # noqa: RUF001  # Chinese, Japanese: no space
OTHER_ENDS = "।॥؟۔։።"  # noqa: RUF001  # Hindi, Arabic, Urdu, Armenian, Amharic
# From the first sign of a row on, and without going back in it: linear in long rows of dots.
END = re.compile(rf"(?:(?<![.!?…])[.!?…]++|[{OTHER_ENDS}])[{CLOSING}]*+(?=\s)")
LINE_END = re.compile(r"[\r\n]\s*")
LINE = re.compile(r"\r\n?|\n")
NUMBERED = re.compile(r"(?:^|[\r\n])[ \t]*\d{1,3}\Z")
ABBREVIATIONS = (
    "mr mrs ms mx dr prof sr jr st mt rev hon gov sen rep pres gen col maj capt lt sgt "
    "vs cf al ca approx ed eds dept est resp inc ltd co corp bros ave blvd rd "
    "jan feb mar apr jun jul aug sep sept oct nov dec tue wed thu fri "
    "mm mme mlle bzw evtl ggf sog vgl usw dott sig sra srta ud"
)
"""Words that a dot follows inside a sentence; single letters and words with dots come besides."""
BEFORE_NUMBERS = "no nos nr fig figs eq eqs sec ch vol pp art"
"""Words of which this is so only before a number."""
DOTTED = frozenset(ABBREVIATIONS.split())
DOTTED_BEFORE_NUMBERS = frozenset(BEFORE_NUMBERS.split())


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text that a model can take."""

    text: str
    gap: str
    """Spaces and line ends between this window and the next; "" behind the last."""


def text_windows(text: str, most: int, count: Callable[[str], int]) -> list[Window]:
    """Cut a text into as few windows as there can be, at the ends of sentences.

    A sentence that is longer than a window is cut between words, and a word between characters.

    Args:
        text: Any text.
        most: Tokens of a window.
        count: How many tokens a text has, special ones included.

    Returns:
        The text as it is, if it fits. Otherwise windows without spaces around them.

    Raises:
        InputError: Not even a single character fits.
    """
    if not text.strip() or count(text) <= most:
        return [Window(text, "")]
    spans: list[Span] = []
    left = list(reversed(sentences(text)))  # the next one last
    while left:
        spans.append(_longest(text, left, most, count))
    ends = [*(start for start, _ in spans[1:]), None]
    return [
        Window(text[start:end], "" if after is None else text[end:after])
        for (start, end), after in zip(spans, ends, strict=True)
    ]


def joined(answers: Sequence[str], windows: Sequence[Window]) -> str:
    """The answers to all windows as one text, with what stood between the windows.

    Where nothing did, answers are put one behind the other in scripts without spaces between
    sentences, and with a space in others.
    """
    whole = ""
    gap = ""
    for answer, window in zip(answers, windows, strict=True):
        if whole and answer:
            whole += gap or ("" if _wide(whole[-1]) or _wide(answer[0]) else " ")
        whole += answer
        gap = window.gap
    return whole


def sentences(text: str) -> list[Span]:
    """Where the sentences of a text are, without the spaces around them.

    A sentence ends

    * with one of . ! ? … (or a sign of other scripts that is used like them), closing quotes and
      brackets, and a space, unless a small letter follows. A dot is no end behind an abbreviation
      (Dr., e.g.), a single letter (J. Smith) or a number that begins a line (1. First);
    * with one of 。！？ and closing quotes;
    * at the end of a line, unless the next begins with a small letter: such lines are broken to fit
      a page.
    """  # noqa: RUF002  # full-width signs
    borders = sorted({0, len(text), *_borders(text)})
    found = []
    for start, end in pairwise(borders):
        part = text[start:end]
        if part.strip():
            start += len(part) - len(part.lstrip())
            found.append((start, start + len(part.strip())))
    return found


def _borders(text: str) -> Iterator[int]:
    for match in WIDE_END.finditer(text):
        yield match.end()
    for match in LINE_END.finditer(text):
        blank = len(LINE.findall(match[0])) > 1
        if blank or not _goes_on(text, match.end()):
            yield match.end()
    for match in END.finditer(text):
        abbreviated = match[0] == "." and _abbreviated(text, match.start())
        if not abbreviated and not _goes_on(text, match.end()):
            yield match.end()


def _goes_on(text: str, at: int) -> bool:
    """Whether the next word begins with a small letter."""
    ahead = (c for c in text[at : at + 40] if not c.isspace() and c not in OPENING)
    return next(ahead, "").islower()


def _abbreviated(text: str, dot: int) -> bool:
    """Whether the word before a dot is one that is written with a dot."""
    start = dot
    while start > 0 and (text[start - 1].isalpha() or text[start - 1] == "."):
        start -= 1
    word = text[start:dot]
    if not word:
        return NUMBERED.search(text, max(0, dot - 40), dot) is not None
    alone = start == 0 or text[start - 1].isspace() or text[start - 1] in OPENING
    if word.lower() in DOTTED_BEFORE_NUMBERS:
        return text[dot + 1 : dot + 10].lstrip()[:1].isdigit()
    single = alone and len(word) == 1 and not _wide(word)
    return single or "." in word or word.lower() in DOTTED


def _longest(text: str, left: list[Span], most: int, count: Callable[[str], int]) -> Span:
    """Take as many parts as fit from the end of `left`; those that are too long are cut first."""

    def fits(parts: int) -> bool:
        return count(text[left[-1][0] : left[-parts][1]]) <= most

    while not fits(1):
        left[-1:] = reversed(_cut(text, left[-1]))
    good, bad = 1, 2
    while bad <= len(left) and fits(bad):
        good, bad = bad, 2 * bad
    bad = min(bad, len(left) + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    taken = (left[-1][0], left[-good][1])
    del left[-good:]
    return taken


def _cut(text: str, span: Span) -> list[Span]:
    """A sentence into words, a word into characters.

    Raises:
        InputError: It is a character already.
    """
    start, end = span
    words = [(m.start() + start, m.end() + start) for m in re.finditer(r"\S+", text[start:end])]
    if len(words) > 1:
        return words
    starts = [at for at in range(start, end) if not _joins(text, at, start)]
    if len(starts) < 2:
        raise InputError(
            f"not even the single character {text[start:end]!r} fits into a window; "
            "windows of so few tokens hold no text"
        )
    return list(zip(starts, [*starts[1:], end], strict=True))


def _joins(text: str, at: int, start: int) -> bool:
    """Whether a character belongs to the one before: an accent, or a part of an emoji."""
    if at == start:
        return False
    zero_width_joiner = "\u200d"
    return (
        unicodedata.category(text[at])[0] == "M"
        or zero_width_joiner in (text[at], text[at - 1])
        or "\U0001f3fb" <= text[at] <= "\U0001f3ff"  # colours of skin
    )


def _wide(character: str) -> bool:
    """Whether a character is of a script that puts no spaces between sentences."""
    return unicodedata.east_asian_width(character) in ("W", "F")
