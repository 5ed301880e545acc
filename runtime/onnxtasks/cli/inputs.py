"""What stands on the command line, in a file or on a pipe -> the inputs of a task."""

import glob
import io
import itertools
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from onnxtasks.errors import InputError

Kind = Literal["text", "image", "sound"]

READS: dict[str, Kind] = {
    "automatic-speech-recognition": "sound",
    "image-classification": "image",
    "text-classification": "text",
}
"""Task -> what its inputs are. A new task is one line here."""

SUFFIXES: dict[Kind, frozenset[str]] = {
    "text": frozenset(),
    "image": frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}),
    "sound": frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"}),
}
"""What is taken from a folder; a file that is named itself may have any suffix."""


@dataclass(frozen=True, slots=True)
class Named:
    """One input and what the user calls it."""

    name: str | list[str]
    """A text, a pair of texts, or a path; for messages and JSON."""
    item: Any
    error: InputError | None = None
    """Why there is no item."""

    @property
    def label(self) -> str:
        """The name in one string."""
        return self.name if isinstance(self.name, str) else " | ".join(self.name)


def read_texts(values: Iterable[str], *, pairs: bool, second: str | None) -> Iterator[Named]:
    """Turn texts into inputs.

    Args:
        values: The texts; with `pairs`, JSON arrays of two texts.
        pairs: Whether each value is a pair.
        second: The second text of every value, or None.
    """
    for value in values:
        if pairs:
            yield _pair(value)
        elif second is not None:
            yield Named([printable(value), printable(second)], (value, second))
        else:
            yield Named(printable(value), value)


def read_files(values: Iterable[str], suffixes: frozenset[str]) -> Iterator[Named]:
    """Turn paths into inputs: files, folders (sorted, with all below), and globs.

    Args:
        values: Paths as the user wrote them.
        suffixes: What is taken from a folder.
    """
    for value in values:
        matches = [value]
        if not os.path.lexists(value) and glob.has_magic(value):
            matches = sorted(glob.glob(value, recursive=True))
        found = [path for match in matches for path in _below(Path(match), suffixes)]
        for path in found:
            exists = path.is_file()
            error = None if exists else InputError("no such file; check the path")
            yield Named(printable(str(path)), path, error)
        if not found:
            what = "no file in it ends in " + ", ".join(sorted(suffixes))
            if not Path(value).is_dir():
                what = "nothing matches"
            yield Named(printable(value), None, InputError(what))


def read_samples(source: str, *, pairs: bool) -> list[Any]:
    """Read the inputs that an export compares; the kind is told by the files themselves.

    Args:
        source: A folder, a glob, an image or a sound; any other file holds a text a line.
        pairs: Whether each line is a JSON array of two texts.

    Raises:
        InputError: Nothing there, or a line that is no pair.
    """
    known = SUFFIXES["image"] | SUFFIXES["sound"]
    path = Path(source)
    if path.is_file() and path.suffix.lower() not in known:
        with path.open("rb") as stream:
            found = list(read_texts(lines(stream), pairs=pairs, second=None))
    else:
        found = list(read_files([source], known))
    for named in found:
        if named.error is not None:
            raise InputError(f"{named.label}: {named.error}")
    return [named.item for named in found]


def values(inputs: Sequence[str], stdin: BinaryIO) -> Iterator[str]:
    """The inputs as they were written; "-" stands for the lines of stdin."""
    for value in inputs:
        yield from lines(stdin) if value == "-" else (value,)


def lines(stream: BinaryIO) -> Iterator[str]:
    """The lines of a UTF-8 stream as they come, without blank ones.

    A byte that is not UTF-8 becomes a lone surrogate, which opens a path of these bytes and which
    text tasks refuse.
    """
    for number, line in enumerate(stream):
        text = line.decode("utf-8-sig" if number == 0 else "utf-8", "surrogateescape")
        if text.strip():
            yield text.rstrip("\r\n")


def windows(items: Iterable[Named], size: int) -> Iterator[list[Named]]:
    """Lists of `size` inputs, the last one shorter."""
    source = iter(items)
    while window := list(itertools.islice(source, size)):
        yield window


def is_live(stream: BinaryIO) -> bool:
    """Whether a stream is a pipe or a terminal, whose lines are answered as they come."""
    try:
        return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, io.UnsupportedOperation):
        return True


def _below(path: Path, suffixes: frozenset[str]) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(
        found
        for found in path.rglob("*")
        if found.suffix.lower() in suffixes
        and found.is_file()
        and not any(part.startswith(".") for part in found.relative_to(path).parts)
    )


def _pair(value: str) -> Named:
    try:
        pair = json.loads(value)
    except (ValueError, RecursionError):
        pair = None
    if isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair):
        return Named([printable(text) for text in pair], tuple(pair))
    error = InputError('not a pair; with --pairs an input is a JSON array: ["first", "second"]')
    return Named(printable(value), None, error)


def printable(text: str) -> str:
    """Without lone surrogates, which cannot be written."""
    return text.encode("utf-8", "replace").decode("utf-8")
