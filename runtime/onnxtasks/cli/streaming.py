"""Texts on a terminal while they are written."""

import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import typer

from onnxtasks.cli.columns import readable, shorten
from onnxtasks.cli.items import Named
from onnxtasks.cli.settings import InputOptions
from onnxtasks.errors import InputError

INTERRUPTED = 130  # the exit code after Ctrl-C, as shells have it


def is_terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def is_alone(inputs: InputOptions) -> bool:
    """Whether the inputs are one text, on the command line or a whole file."""
    if inputs.file is not None or inputs.inputs is None or len(inputs.inputs) != 1:
        return False
    only = inputs.inputs[0]
    return only != "-" and (not inputs.documents or Path(only).is_file())


def show_streamed(
    task: Any, one: Named, chosen: dict[str, Any], *, alone: bool, wanted: bool
) -> bool:
    """Print the answer to an input as it is written.

    Args:
        task: What writes.
        one: A good input.
        chosen: The options of `predict`.
        alone: Whether it is the only input; else its name stands above.
        wanted: Whether the user asked for it. Else what cannot be streamed is left to `predict`,
            and so is every other error.

    Returns:
        Whether it was printed.

    Raises:
        InputError: The input or an option is wrong, or it was wanted and cannot be done.
    """
    options = dict(chosen)
    full = options.pop("return_full_text", False)
    try:
        pieces = task.stream(one.item, **options)
    except InputError:
        if wanted:
            raise
        return False
    if not alone:
        typer.echo(shorten(one.label))
    prompt = one.item if full and isinstance(one.item, str) else ""
    typer.echo(readable(prompt), nl=False)
    with closing(pieces):
        stopped = show_pieces(pieces, begun=bool(prompt))[1]
    if stopped:
        raise typer.Exit(INTERRUPTED)
    if not alone:
        typer.echo()
    return True


def show_pieces(pieces: Iterable[str], *, begun: bool = False) -> tuple[str, bool]:
    """Print pieces of a text as they come, and end the line whatever happens.

    Args:
        pieces: Of one text.
        begun: Whether the text goes on with a line; else the space that parts it from its prompt
            is not shown.

    Returns:
        The text, and whether Ctrl-C stopped it.
    """
    text, stopped = "", False
    try:
        for piece in pieces:
            shown = piece if begun or text.strip() else piece.lstrip()
            text += piece
            typer.echo(readable(shown), nl=False)
    except KeyboardInterrupt:
        stopped = True
    finally:
        typer.echo()
    return text, stopped
