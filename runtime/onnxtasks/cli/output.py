"""Results, errors and warnings on a terminal or in JSON."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, TextIO

import msgspec
import typer

from onnxtasks.cli.columns import padded, readable, shorten, visible, width
from onnxtasks.cli.entities import Painter
from onnxtasks.cli.items import Named, printable
from onnxtasks.cli.rows import View
from onnxtasks.errors import OnnxTasksError, TruncationWarning

Form = Literal["lines", "json", "jsonl"]


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


def styled(text: str, colour: str) -> str:
    """The text in a colour, unless the user wants none (NO_COLOR)."""
    return text if os.environ.get("NO_COLOR") else typer.style(text, fg=colour)


def _say(word: str, colour: str, message: object) -> None:
    typer.echo(styled(f"{word}:", colour) + f" {message}", err=True)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show what tells the user something as one line; other warnings stay as they are.

    A text that was cut is told each time, anything else of the same words once.
    """
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
            if issubclass(category, UserWarning):
                warn(message)
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        warnings.simplefilter("always", TruncationWarning)
        yield


class Results:
    """Prints answers as they come."""

    def __init__(self, form: Form, view: View, *, alone: bool = False) -> None:
        """Print nothing yet.

        Args:
            form: What is printed.
            view: How a person sees an answer.
            alone: Whether there is one input only, whose name need not stand beside its answer.
        """
        self.form = form
        self.alone = alone
        self.view = view
        self.failed = False
        self._painter = Painter() if form == "lines" and view.coloured else None
        self._width = 0
        self._rows: list[dict[str, Any]] = []

    def expect(self, batch: Sequence[Named]) -> None:
        """Align the next answers behind the longest of their inputs."""
        self._width = max((width(shorten(one.label)) for one in batch), default=0)

    def add(self, one: Named, answer: Any) -> None:
        """Print one answer, or an error in its place.

        Args:
            one: The input.
            answer: A result or an `OnnxTasksError`.
        """
        if isinstance(answer, OnnxTasksError):
            self.failed = True
            fail(f"{shorten(one.label) or repr(one.label)}: {answer}")
            row: dict[str, Any] = {"input": one.name, "error": printable(str(answer))}
        else:
            data = self.view.data or as_data
            row = {"input": one.name, "result": data(answer)} if self.form != "lines" else {}
        if self.form == "jsonl":
            typer.echo(encode(row))
        elif self.form == "json":
            self._rows.append(row)
        elif not isinstance(answer, OnnxTasksError):
            self._show(one, answer)

    def close(self) -> None:
        """Print what waits for the end."""
        if self.form == "json":
            typer.echo(msgspec.json.format(encode(self._rows), indent=2))

    def _show(self, one: Named, answer: Any) -> None:
        if self._painter is not None and self._painter.works:
            self._painter.show(one, answer)
            return
        if self.alone and self.view.whole is not None and len(answer) == 1:
            typer.echo(readable(self.view.whole(answer[0])))
            return
        label = shorten(one.label)
        rows = [tuple(map(visible, row)) for row in self.view.rows(answer, one)]
        if len(rows) == 1 and not self.view.below:
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
