"""The options of tasks that write text: their types, and what `predict` is handed for them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from onnxtasks.cli.inputs import lines, read_document
from onnxtasks.cli.options import count_or_all
from onnxtasks.cli.output import refuse
from onnxtasks.errors import InputError

Option = typer.Option
WRITING = ("summarization", "text-generation", "text2text-generation", "translation")
"""Tasks that write text."""
SOURCES = tuple(task for task in WRITING if task != "text-generation")
"""Those that read a source and write another text."""
CHAT_TOKENS = 512  # of an answer, where neither the user nor the checkpoint sets a length

# The ranges of numbers are the task's to check: they depend on each other.
MaxNewTokens = Annotated[
    int | None,
    Option(help="Writing: most tokens of a text; the checkpoint's own if not given, or 20."),
]
ChatTokens = Annotated[
    int | None,
    Option(
        help="Writing: most tokens of an answer; the checkpoint's own if not given, or "
        f"{CHAT_TOKENS}."
    ),
]
LikeliestWords = Annotated[
    Any,
    Option(
        parser=count_or_all,
        metavar="INTEGER|all",
        help="Sampling: only so many of the likeliest words.",
    ),
]
MinNewTokens = Annotated[int | None, Option(help="Writing: fewest tokens of a text.")]
DoSample = Annotated[
    bool | None,
    Option(
        "--do-sample/--no-do-sample",
        "--sample/--no-sample",
        help="Writing: draw words by chance, and do not take the likeliest.",
    ),
]
Temperature = Annotated[
    float | None, Option(help="Sampling: above 1 for bolder texts, below for safer ones.")
]
TopP = Annotated[
    float | None, Option(help="Sampling: only the likeliest words that together have this share.")
]
MinP = Annotated[
    float | None, Option(help="Sampling: only words with this share of the likeliest one's.")
]
Seed = Annotated[int | None, Option(help="Sampling: the same number draws the same text.")]
RepetitionPenalty = Annotated[
    float | None, Option(help="Writing: above 1, words that were there become less likely.")
]
NoRepeatNgramSize = Annotated[
    int | None, Option(help="Writing: no sequence of so many tokens comes twice.")
]
BadWords = Annotated[
    str | None,
    Option(metavar="A,B,...|@FILE", help="Writing: words that never come; @FILE has one a line."),
]
Stop = Annotated[
    list[str] | None,
    Option(metavar="TEXT", help="Writing: end where this text was written; may be given again."),
]
MaxTime = Annotated[float | None, Option(help="Writing: most seconds of a call.")]
Choices = Annotated[
    str | None,
    Option(
        metavar="A,B,...|@FILE",
        help="Writing: the text is one of these, with commas; @FILE has one a line.",
    ),
]
Regex = Annotated[
    str | None, Option(help="Writing: the whole text matches this regular expression.")
]
JsonSchema = Annotated[
    str | None,
    Option(metavar="JSON|@FILE", help="Writing: the text is JSON that this schema allows."),
]
PromptLookup = Annotated[
    int | None,
    Option(
        metavar="TOKENS",
        help="Writing: guess up to so many tokens ahead from the input; the text is the same. "
        "0 for off.",
    ),
]
NumBeams = Annotated[
    int | None, Option(help="Writing: follow so many texts at once, and take the best.")
]
LengthPenalty = Annotated[
    float | None, Option(help="Beams: above 0 for longer texts, below for shorter ones.")
]
EarlyStopping = Annotated[
    Literal["true", "false", "never"] | None,
    Option(help="Beams: whether they end with the first ones that are finished."),
]
NumReturnSequences = Annotated[int | None, Option(help="Writing: texts for each input.")]
Prefix = Annotated[
    str | None,
    Option(help="Writing: comes before each input, such as 'summarize: '; the checkpoint's own."),
]
Source = Annotated[str | None, Option(help="Translation: language of INPUTS, as the model says.")]
Target = Annotated[str | None, Option(help="Translation: language to translate into.")]
ReturnFullText = Annotated[
    bool | None,
    Option(
        "--return-full-text/--new-text",
        help="Text generation: show the prompt before the new text; only that if not given.",
    ),
]
Stream = Annotated[
    bool | None,
    Option(
        help="Writing: print a text as it is written; if not given, where one input is answered "
        "on a terminal."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingOptions:
    """What decides how a text is written, in one answer as in a conversation."""

    max_new_tokens: MaxNewTokens = None
    min_new_tokens: MinNewTokens = None
    do_sample: DoSample = None
    temperature: Temperature = None
    top_p: TopP = None
    min_p: MinP = None
    seed: Seed = None
    repetition_penalty: RepetitionPenalty = None
    no_repeat_ngram_size: NoRepeatNgramSize = None
    bad_words: BadWords = None
    stop: Stop = None
    max_time: MaxTime = None
    choices: Choices = None
    regex: Regex = None
    json_schema: JsonSchema = None
    prompt_lookup: PromptLookup = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions(WritingOptions):
    """Those of `run` and `bench`: several texts can be tried, and `top_k` is there already."""

    num_beams: NumBeams = None
    length_penalty: LengthPenalty = None
    early_stopping: EarlyStopping = None
    num_return_sequences: NumReturnSequences = None
    prefix: Prefix = None
    source: Source = None
    target: Target = None
    return_full_text: ReturnFullText = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions(WritingOptions):
    """Those of `chat`, which shows one text as it comes."""

    max_new_tokens: ChatTokens = None
    top_k: LikeliestWords = None


def texts_in(option: str, value: str) -> list[str]:
    """Texts with commas between them, or the lines of a file that is named behind an "@".

    An empty one is left to the task, and so is a list of none.
    """
    if not value.startswith("@"):
        return [text.strip() for text in value.split(",")]
    try:
        with Path(value[1:]).open("rb") as stream:
            return list(lines(stream))
    except OSError as error:
        refuse(f"{option}: {error}")


def text_in(option: str, value: str) -> str:
    """A text, or all of a file that is named behind an "@"."""
    if not value.startswith("@"):
        return value
    try:
        return read_document(Path(value[1:]))
    except InputError as error:
        refuse(f"{option}: {value[1:]}: {error}")


def _early_stopping(option: str, value: str) -> bool | str:
    return {"true": True, "false": False}.get(value, value)


READERS: dict[str, Callable[[str, Any], Any]] = {
    "bad_words": texts_in,
    "choices": texts_in,
    "early_stopping": _early_stopping,
    "json_schema": text_in,
}
"""Option -> what turns its value into that of `predict`; takes the option as written too."""
