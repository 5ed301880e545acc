"""N-gram language models in ARPA files, read into sorted arrays that can be mapped into memory.

The format: Doug Paul's ARPA back-off format, as SRILM's ngram-format(5) describes it.
"""

import gzip
import math
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.speech.lexicon import Hashes, code_points, hash_points

Ids: TypeAlias = npt.NDArray[np.int64]
Weights: TypeAlias = npt.NDArray[np.float32]
Line: TypeAlias = tuple[int, list[bytes]]

UNKNOWN, START, END = "<unk>", "<s>", "</s>"
UNKNOWN_LOG10 = -100.0
"""Of a word that a model without <unk> does not know; as KenLM's."""
GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class NGramArrays:
    """A back-off model. A word's id is its place in `hashes`; log10 as in the file, in float32."""

    hashes: Hashes
    """[word], sorted."""
    points: npt.NDArray[np.uint32]
    """The words' code points."""
    ends: Ids
    """[word]: where each word ends in `points`."""
    keys: tuple[Ids, ...]
    """Of orders 2, 3, ...: sorted; the place of the n-gram without its last word among the n-grams
    of the order below, times the number of words, plus the last word's id."""
    scores: tuple[Weights, ...]
    """Of orders 1, 2, ...: log10 of the probability."""
    backoffs: tuple[Weights, ...]
    """Of all orders but the highest: log10 of the back-off weight, 0 where there is none."""
    unknown: int
    start: int
    end: int


@dataclass(slots=True)
class _Section:
    """The n-grams of one order as the file has them."""

    order: int
    words: "array[int]" = field(default_factory=lambda: array("q"))
    scores: "array[float]" = field(default_factory=lambda: array("f"))
    backoffs: "array[float]" = field(default_factory=lambda: array("f"))
    lines: "array[int]" = field(default_factory=lambda: array("q"))


def read_arpa(path: Path) -> NGramArrays:
    """Read an ARPA file, gzipped or not.

    Raises:
        InputError: The file cannot be read, or is not what the format says; with the line.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP
        with gzip.open(path) if zipped else path.open("rb") as file:
            return _Reader(path, iter(file)).read()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


class _Reader:
    def __init__(self, path: Path, lines: Iterator[bytes]) -> None:
        self._path = path
        self._lines = lines
        self._number = 0
        self._ids: dict[bytes, int] = {}
        self._names: list[str] = []

    def read(self) -> NGramArrays:
        counts, line = self._counts()
        words = self._section(1, counts[0], line)
        hashes, points, ends = self._vocabulary(words)
        keys: list[Ids] = []
        scores = [np.frombuffer(words.scores, np.float32)[self._by_hash]]
        backoffs = [np.frombuffer(words.backoffs, np.float32)[self._by_hash]]
        lines = [np.frombuffer(words.lines, np.int64)[self._by_hash]]
        for order in range(2, len(counts) + 1):
            section = self._section(order, counts[order - 1], self._next())
            sorted_keys, by_key = self._keys(section, keys, backoffs[-1], lines[-1])
            keys.append(sorted_keys)
            scores.append(np.frombuffer(section.scores, np.float32)[by_key])
            backoffs.append(np.frombuffer(section.backoffs, np.float32)[by_key])
            lines.append(np.frombuffer(section.lines, np.int64)[by_key])
        _, fields = self._next()
        if fields != [b"\\end\\"]:
            raise self._error(f"{_shown(fields)} where \\end\\ was expected")
        special = [int(self._ids[name.encode()]) for name in (UNKNOWN, START, END)]
        known = tuple(np.nan_to_num(weights, nan=0.0) for weights in backoffs[:-1])
        return NGramArrays(hashes, points, ends, tuple(keys), tuple(scores), known, *special)

    def _error(self, what: str, line: int | None = None) -> InputError:
        return InputError(f"{self._path}, line {line or self._number}: {what}")

    def _next(self) -> Line:
        """The next line that is not empty."""
        for text in self._lines:
            self._number += 1
            if fields := text.split():
                return self._number, fields
        raise self._error("the file ends here, without \\end\\; it may have been cut off")

    def _counts(self) -> tuple[list[int], Line]:
        """How many n-grams of each order the header promises, and the line after it."""
        fields: list[bytes] = []
        while fields != [b"\\data\\"]:  # anything may stand before it
            try:
                _, fields = self._next()
            except InputError:
                raise InputError(f"{self._path}: no line is \\data\\: not an ARPA file") from None
        counts: list[int] = []
        line = self._next()
        while line[1][0] == b"ngram":
            order, _, count = b"".join(line[1][1:]).partition(b"=")
            if not (order.isdigit() and count.isdigit()) or int(order) != len(counts) + 1:
                raise self._error(
                    f"{_shown(line[1])} where 'ngram {len(counts) + 1}=COUNT' was expected"
                )
            if int(count) == 0:
                raise self._error(f"there are no {int(order)}-grams: leave out the line")
            counts.append(int(count))
            line = self._next()
        if not counts:
            raise self._error(f"{_shown(line[1])} where 'ngram 1=COUNT' was expected")
        return counts, line

    def _section(self, order: int, count: int, line: Line) -> _Section:
        """Read the n-grams of an order, of which the header promised `count`."""
        if line[1] != [b"\\%d-grams:" % order]:
            raise self._error(f"{_shown(line[1])} where \\{order}-grams: was expected")
        section = _Section(order)
        for _ in range(count):
            number, fields = self._next()
            if _is_mark(fields):
                raise self._error(
                    f"{_shown(fields)} after {len(section.lines)} {order}-grams; the header says "
                    f"that there are {count}"
                )
            self._add(section, number, fields)
        self._refuse_more(order, count)
        return section

    def _refuse_more(self, order: int, count: int) -> None:
        """Look at the next line: it must be a mark."""
        number, fields = self._next()
        if not _is_mark(fields):
            raise self._error(
                f"{_shown(fields)}: one {order}-gram more than the {count} of the header"
            )
        self._lines = _again(b" ".join(fields), self._lines)
        self._number = number - 1

    def _add(self, section: _Section, number: int, fields: list[bytes]) -> None:
        order = section.order
        if len(fields) not in (order + 1, order + 2):
            raise self._error(
                f"{len(fields)} fields; a {order}-gram has a log-probability, {order} "
                f"word{'s' * (order > 1)} and perhaps a back-off weight"
            )
        score = self._weight(fields[0])
        if score > 0:
            raise self._error(f"log10 of a probability is {score}: it cannot be more than 0")
        section.scores.append(score)
        has_backoff = len(fields) == order + 2
        section.backoffs.append(self._weight(fields[-1]) if has_backoff else math.nan)
        section.lines.append(number)
        if order == 1:
            self._add_word(fields[1])
            return
        try:
            section.words.extend([self._ids[word] for word in fields[1 : order + 1]])
        except KeyError as error:
            raise self._error(f"{_shown(error.args)} is not among the 1-grams") from None

    def _add_word(self, word: bytes) -> None:
        if word in self._ids:
            raise self._error(f"{_shown([word])} is there twice")
        try:
            self._names.append(word.decode())
        except UnicodeDecodeError as error:
            raise self._error(f"{word!r} is not UTF-8: {error.reason}") from None
        self._ids[word] = len(self._names) - 1

    def _weight(self, field: bytes) -> float:
        try:
            weight = float(field)
        except ValueError:
            raise self._error(f"{_shown([field])} is not a number") from None
        if not math.isfinite(weight):
            raise self._error(f"{_shown([field])} is not a finite number")
        return weight

    def _vocabulary(self, words: _Section) -> tuple[Hashes, npt.NDArray[np.uint32], Ids]:
        """Give the words their final ids, by hash."""
        for mark in (START, END):
            if mark.encode() not in self._ids:
                raise self._error(f"{mark} is not among the 1-grams")
        if UNKNOWN.encode() not in self._ids:
            self._add_word(UNKNOWN.encode())
            words.scores.append(UNKNOWN_LOG10)
            words.backoffs.append(math.nan)
            words.lines.append(self._number)
        hashes = hash_points(*code_points(self._names))
        self._by_hash = np.argsort(hashes)
        ids = np.argsort(self._by_hash)
        self._ids = {word: int(ids[place]) for word, place in self._ids.items()}
        names = [self._names[place] for place in self._by_hash.tolist()]
        return hashes[self._by_hash], *code_points(names)

    def _keys(
        self, section: _Section, keys: list[Ids], backoffs: Weights, lines: Ids
    ) -> tuple[Ids, Ids]:
        """The sorted keys of a section, and the order that sorts it.

        Args:
            section: The n-grams.
            keys: Of the orders below.
            backoffs: Of the order just below; NaN where the file has none.
            lines: Where those stand.
        """
        order, size = section.order, len(self._names)
        words = np.frombuffer(section.words, np.int64).reshape(-1, order)
        own_lines = np.frombuffer(section.lines, np.int64)
        context = words[:, 0]
        for length, known in enumerate(keys, 2):
            wanted = context * size + words[:, length - 1]
            context = known.searchsorted(wanted)
            absent = known.take(context, mode="clip") != wanted
            if absent.any():
                line = int(own_lines[absent.argmax()])
                raise self._error(
                    f"the first {length} words are not among the {length}-grams", line
                )
        lacking = np.isnan(backoffs[context])
        if lacking.any():
            place = lacking.argmax()
            raise self._error(
                f"this {order - 1}-gram has no back-off weight, but the {order}-gram of line "
                f"{own_lines[place]} continues it",
                int(lines[context[place]]),
            )
        made = context * size + words[:, -1]
        by_key = np.argsort(made, kind="stable")
        made = made[by_key]
        twice = np.flatnonzero(made[1:] == made[:-1])
        if twice.size:
            raise self._error("this n-gram is there twice", int(own_lines[by_key[twice[0] + 1]]))
        return made, by_key


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _is_mark(fields: list[bytes]) -> bool:
    return len(fields) == 1 and fields[0].startswith(b"\\")


def _shown(fields: Sequence[bytes]) -> str:
    """Words of the file as a message shows them."""
    return repr(b" ".join(fields).decode(errors="replace"))
