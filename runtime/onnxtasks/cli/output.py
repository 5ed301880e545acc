"""Results, errors and warnings on a terminal or in JSON."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, TextIO

import msgspec
import typer

from onnxtasks.cli.inputs import printable
from onnxtasks.errors import OnnxTasksError, TruncationWarning

Form = Literal["lines", "json", "jsonl"]
Row = tuple[str, ...]
NAME_WIDTH = 48  # columns that an input takes at most in front of its result


def fail(message: object) -> None:
    """Print an error on stderr, red on a terminal."""
    _say("error", typer.colors.RED, message)


def warn(message: object) -> None:
    """Print a warning on stderr, yellow on a terminal."""
    _say("warning", typer.colors.YELLOW, message)


def refuse(message: str) -> NoReturn:
    """End the command for wrong usage: the message, and exit code 2."""
    fail(message)
    raise typer.Exit(2)


def _say(word: str, colour: str, message: object) -> None:
    typer.echo(typer.style(f"{word}:", fg=colour) + f" {message}", err=True)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show a `TruncationWarning` as one line each time; other warnings stay as they are."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, TruncationWarning):
                warn(message)
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        warnings.simplefilter("always", TruncationWarning)
        yield


def label_rows(label: Any, words: bool) -> list[Row]:
    """A class and its score."""
    return [(label.label, f"{label.score:.4f}")]


def transcript_rows(transcript: Any, words: bool) -> list[Row]:
    """The text, or its words with their times in seconds."""
    if not words:
        return [(transcript.text,)]
    return [(f"{word.start:.2f}", f"{word.end:.2f}", word.text) for word in transcript.words]


ROWS: dict[str, Callable[[Any, bool], list[Row]]] = {
    "Label": label_rows,
    "Transcript": transcript_rows,
}
"""Name of a result's type -> its rows on a terminal. A new result type is one line here."""


def rows_of(result: Any, words: bool) -> list[Row]:
    """The rows of a result, which is one value or a list of them."""
    found = result if isinstance(result, list) else [result]
    rows = [row for value in found for row in ROWS[type(value).__name__](value, words)]
    return [tuple(map(visible, row)) for row in rows]


class Results:
    """Prints answers as they come."""

    def __init__(self, form: Form, *, words: bool = False) -> None:
        self.form = form
        self.words = words
        self.failed = False
        self._width = 0
        self._rows: list[dict[str, Any]] = []

    def expect(self, labels: Sequence[str]) -> None:
        """Align the next answers behind the longest of their inputs."""
        self._width = max((width(shorten(label)) for label in labels), default=0)

    def add(self, name: str | list[str], label: str, answer: Any) -> None:
        """Print one answer, or an error in its place.

        Args:
            name: The input, for JSON.
            label: The input, for people.
            answer: A result or an `OnnxTasksError`.
        """
        if isinstance(answer, OnnxTasksError):
            self.failed = True
            fail(f"{shorten(label) or repr(label)}: {answer}")
            row: dict[str, Any] = {"input": name, "error": printable(str(answer))}
        else:
            row = {"input": name, "result": as_data(answer)} if self.form != "lines" else {}
        if self.form == "jsonl":
            typer.echo(encode(row))
        elif self.form == "json":
            self._rows.append(row)
        elif not isinstance(answer, OnnxTasksError):
            self._print(shorten(label), rows_of(answer, self.words))

    def close(self) -> None:
        """Print what waits for the end."""
        if self.form == "json":
            typer.echo(msgspec.json.format(encode(self._rows), indent=2))

    def _print(self, label: str, rows: Sequence[Row]) -> None:
        if len(rows) == 1 and not self.words:
            typer.echo("  ".join([padded(label, self._width), *rows[0]]))
            return
        typer.echo(label)
        widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [padded(cell, size) for cell, size in zip(row, widths, strict=True)]
            typer.echo("  " + "  ".join(cells).rstrip())


def as_data(result: Any) -> Any:
    """A result as what JSON can hold: its `to_dict`, or a list of them."""
    if isinstance(result, list):
        return [as_data(value) for value in result]
    return result.to_dict() if hasattr(result, "to_dict") else result


def encode(value: Any) -> bytes:
    """JSON in UTF-8; arrays become lists."""

    def plain(found: Any) -> Any:
        if hasattr(found, "tolist"):  # NumPy's, which is not imported for that
            return found.tolist()
        raise NotImplementedError(f"{type(found).__name__} has no form in JSON")

    return msgspec.json.encode(value, enc_hook=plain)


def print_json(value: Any) -> None:
    """Print one value as indented JSON."""
    typer.echo(msgspec.json.format(encode(value), indent=2))


def visible(text: str) -> str:
    """One line; what could steer a terminal becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


def shorten(text: str, limit: int = NAME_WIDTH) -> str:
    """One line of at most `limit` columns."""
    clean = " ".join(visible(text).split())
    if width(clean) <= limit:
        return clean
    kept = ""
    for character in clean:
        if width(kept + character) >= limit:
            break
        kept += character
    return kept + "…"


def width(text: str) -> int:
    """Columns of a text on a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, columns: int) -> str:
    """The text with spaces behind it up to `columns`."""
    return text + " " * (columns - width(text))
