"""The options of `run` for transcripts, with what `--help` says of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Option

SPEECH = ("automatic-speech-recognition",)

Format = Annotated[
    Literal["srt", "vtt", "tsv", "txt", "json"] | None,
    Option(help="Speech: write transcripts as subtitles, a table, lines or JSON with their times."),
]
Out = Annotated[
    Path | None,
    Option(
        metavar="FOLDER",
        help="Speech: write the transcript of each recording here, named as it; with --format.",
    ),
]
MaxLineWidth = Annotated[
    int | None,
    Option(min=1, help="Subtitles: most characters of a line; for srt and vtt."),
]
MaxLineCount = Annotated[
    int | None, Option(min=1, help="Subtitles: most lines of one; with --max-line-width.")
]
MaxWordsPerLine = Annotated[
    int | None, Option(min=1, help="Subtitles: most words of one; not with --max-line-width.")
]
HighlightWords = Annotated[
    bool | None,
    Option("--highlight-words", help="Subtitles: underline each word while it is said."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptOptions:
    """How transcripts are written."""

    format: Format = None
    out: Out = None
    max_line_width: MaxLineWidth = None
    max_line_count: MaxLineCount = None
    max_words_per_line: MaxWordsPerLine = None
    highlight_words: HighlightWords = None

    @property
    def limits(self) -> dict[str, Any]:
        """What was said of the layout of subtitles, by the names of `Layout`."""
        names = ("max_line_width", "max_line_count", "max_words_per_line", "highlight_words")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}
