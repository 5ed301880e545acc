"""What stands on the command line, in a file or on a pipe: lines, files and documents."""

import glob
import io
import itertools
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from onnxtasks.cli.items import FORMS, WRITTEN, Kind, Named, named_text, printable, read_json
from onnxtasks.errors import InputError

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
SOUNDS = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"}
    | {".aac", ".m4a", ".mp4", ".webm"}  # with the extra `media`
)
DOCUMENTS = frozenset({".txt", ".md"})
SUFFIXES: dict[Kind, frozenset[str]] = {"image": IMAGES, "sound": SOUNDS}
"""What is taken from a folder; a file that is named itself may have any suffix."""


def read_texts(values: Iterable[str], kind: Kind, *, as_json: bool) -> Iterator[Named]:
    """Turn texts into inputs.

    Args:
        values: Texts, or JSON values.
        kind: What the inputs are; it matters for JSON.
        as_json: Whether each value is an input in JSON.
    """
    for value in values:
        yield read_json(value, FORMS[kind]) if as_json else named_text(value)


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
            name = printable(str(path))
            exists = path.is_file()
            error = None if exists else InputError("no such file; check the path")
            yield Named(name, name, path, error, titled=True)
        if not found:
            what = "no file in it ends in " + ", ".join(sorted(suffixes))
            if not Path(value).is_dir():
                what = "nothing matches"
            yield Named(printable(value), printable(value), None, InputError(what))


def read_documents(values: Iterable[str]) -> Iterator[Named]:
    """Turn paths into texts, a whole file each; read when its turn comes."""
    for one in read_files(values, DOCUMENTS):
        if one.error is not None:
            yield one
            continue
        try:
            yield replace(one, item=read_document(one.item))
        except InputError as error:
            yield replace(one, item=None, error=error)


def read_document(path: Path) -> str:
    """A whole file as one text; its line ends stay, so that positions in it are the file's.

    Raises:
        InputError: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}; convert the file to UTF-8") from None


def read_samples(source: str) -> list[Any]:
    """Read the inputs that an export compares; the kind is told by the files themselves.

    Args:
        source: A folder, a glob, an image or a sound; any other file holds a text a line, or a
            JSON value a line where it ends in .jsonl.

    Raises:
        InputError: Nothing there, or a line that is no input.
    """
    path = Path(source)
    if path.is_file() and path.suffix.lower() not in IMAGES | SOUNDS:
        with path.open("rb") as stream:
            if is_json_lines(path):
                found = [read_json(line, WRITTEN) for line in lines(stream)]
            else:
                found = [named_text(line) for line in lines(stream)]
    else:
        found = list(read_files([source], IMAGES | SOUNDS))
    for named in found:
        if named.error is not None:
            raise InputError(f"{named.label}: {named.error}")
    return [named.item for named in found]


def read_one(value: str, kind: Kind) -> Any:
    """Read one input: a text, a path, or JSON where an input is more than a text.

    Raises:
        InputError: Not the JSON of such an input.
    """
    if kind not in FORMS:
        return Path(value)
    if ("text",) in FORMS[kind]:
        return value
    named = read_json(value, FORMS[kind])
    if named.error is not None:
        raise InputError(f"{named.label}: {named.error}")
    return named.item


def is_json_lines(path: Path) -> bool:
    """Whether a file says by its name that each of its lines is a JSON value."""
    return path.suffix.lower() in (".jsonl", ".ndjson")


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
