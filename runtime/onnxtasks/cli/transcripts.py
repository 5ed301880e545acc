"""Transcripts while they come: on stdout or in files, in the format of `--format`."""

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import typer

from onnxtasks.cli.columns import readable, shorten
from onnxtasks.cli.items import Named
from onnxtasks.cli.output import Results, refuse
from onnxtasks.cli.pictures import Names, make_folder
from onnxtasks.cli.rows import View
from onnxtasks.cli.settings import InputOptions, flag
from onnxtasks.cli.streaming import is_alone, is_terminal
from onnxtasks.cli.transcript_options import TranscriptOptions
from onnxtasks.errors import InputError, OnnxTasksError

Heard: TypeAlias = Callable[[float], None]

PATHS = View(lambda path, one: [(str(path),)])
WORD_TIMES = {"timestamps": "word"}


def is_one_file(inputs: InputOptions) -> bool:
    """Whether the inputs are one recording: no folder, and no glob of several."""
    if inputs.inputs is None or not is_alone(inputs):
        return False
    only = inputs.inputs[0]
    return Path(only).is_file() or not (Path(only).is_dir() or glob.has_magic(only))


def check_transcripts(asked: TranscriptOptions, inputs: InputOptions) -> None:
    """End the command where what was said of transcripts does not fit together."""
    if asked.out is not None and asked.format is None:
        refuse("--out needs --format, such as --format srt")
    if asked.limits and asked.format not in ("srt", "vtt"):
        refuse(f"{flag(next(iter(asked.limits)))} needs --format srt or --format vtt")
    if asked.format is not None and asked.out is None and not is_one_file(inputs):
        refuse("--format prints one transcript; for several recordings add --out FOLDER")
    if asked.limits:
        from onnxtasks.speech.writers import Layout

        try:
            Layout(**asked.limits)
        except InputError as error:
            refuse(str(error))


def can_stream(task: Any) -> bool:
    """Whether a task tells segments as it hears them, and words only where they are asked for."""
    return hasattr(task, "stream_segments")


class Transcripts:
    """Writes transcripts in one format, to stdout or into a folder."""

    def __init__(self, asked: TranscriptOptions, *, timed_words: bool = False) -> None:
        """Make the folder; end the command where that is not possible.

        Args:
            asked: With a format.
            timed_words: Whether the times of words are asked for, whatever the format shows.
        """
        from onnxtasks.speech.writers import Layout  # here, so that --help stays fast

        self.format = str(asked.format)
        self.layout = Layout(**asked.limits)
        self.needs_words = timed_words or self.layout.needs_words
        self._out = asked.out
        self._names = Names()
        self._results = Results("lines", PATHS)
        if asked.out is not None:
            make_folder("--out", asked.out)

    @property
    def failed(self) -> bool:
        """Whether an input could not be answered."""
        return self._results.failed

    @property
    def can_stream(self) -> bool:
        """Whether segments without words and without a whole transcript are enough."""
        return self.format != "json" and not self.needs_words

    def expect(self, batch: Sequence[Named]) -> None:
        """Align what is printed of the next answers."""
        self._results.expect(batch)

    def add(self, one: Named, answer: Any) -> None:
        """Write a transcript, or report an error."""
        from onnxtasks.speech.writers import PLAIN, READABLE, write

        if isinstance(answer, OnnxTasksError):
            self._results.add(one, answer)
            return
        # A CTC model hears no sentences: all it heard is one segment, and would be one subtitle.
        endless = self.layout == PLAIN and bool(answer.characters)
        try:
            pieces = write(answer, self.format, READABLE if endless else self.layout)
        except InputError as error:
            self._results.add(one, error)
            return
        self._put(one, pieces)

    def stream(self, task: Any, one: Named, chosen: dict[str, Any], *, heard: Heard) -> bool:
        """Write the segments of a recording as they are heard.

        Args:
            task: What hears.
            one: A good input.
            chosen: The options of `predict`.
            heard: Told where each segment ends, in seconds.

        Raises:
            InputError: The recording or an option cannot be used.
        """
        from onnxtasks.speech.writers import WRITERS, Segment

        with closing(task.stream_segments(one.item, **chosen)) as spans:
            segments = (Segment(span.text, span.start, span.end) for span in told(spans, heard))
            self._put(one, WRITERS[self.format](segments, self.layout))
        return True

    def close(self) -> None:
        """Nothing waits for the end."""
        self._results.close()

    def _put(self, one: Named, pieces: Iterable[str]) -> None:
        if self._out is None:
            for piece in pieces:
                typer.echo(readable(piece) if is_terminal() else piece, nl=False)
            return
        path = self._names.path(self._out, Path(one.item).stem, f".{self.format}")
        try:
            save(path, pieces)
        except OSError as error:
            refuse(f"--out: {error}")
        self._results.add(one, path)


def save(path: Path, pieces: Iterable[str]) -> None:
    """Write a text as it comes; it has its name when it is whole."""
    growing = path.with_name(f"{path.name}.part")
    try:
        with growing.open("w", encoding="utf-8", newline="\n") as file:
            for piece in pieces:
                file.write(piece)
                file.flush()
        growing.replace(path)
    finally:
        growing.unlink(missing_ok=True)


def told(spans: Iterable[Any], heard: Heard) -> Iterator[Any]:
    """The same segments; where each ends is told when the next one is asked for."""
    for span in spans:
        yield span
        heard(span.end)


def show_segments(
    task: Any, one: Named, chosen: dict[str, Any], *, alone: bool, heard: Heard
) -> bool:
    """Print the segments of a recording as they are heard, a line each.

    Args:
        task: What hears.
        one: A good input.
        chosen: The options of `predict`.
        alone: Whether it is the only input; else its name stands above.
        heard: Told where each segment ends, in seconds.

    Raises:
        InputError: The recording or an option cannot be used.
    """
    with closing(task.stream_segments(one.item, **chosen)) as spans:
        if not alone:
            typer.echo(shorten(one.label))
        for span in told(spans, heard):
            typer.echo(readable(span.text.strip()))
    if not alone:
        typer.echo()
    return True
