"""Arguments and options of the commands, with what `--help` says of them."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Argument, Option = typer.Argument, typer.Option
ALL = "all"


def count_or_all(value: str) -> int | str:
    """Read a number of at least 1, or "all"."""
    if value == ALL:
        return ALL
    try:
        count = int(value)
    except ValueError:
        count = 0
    if count < 1:
        raise typer.BadParameter(f"{value!r} is neither a number of at least 1 nor 'all'")
    return count


BundleFolder = Annotated[Path, Argument(help="The bundle's folder.", show_default=False)]
Device = Annotated[str, Option(help="cpu, cuda, cuda:1, openvino, openvino:bf16 or auto.")]
Variant = Annotated[str | None, Option(help="Such as cpu-int8; the bundle's default if not given.")]
Threads = Annotated[
    int | None, Option(min=1, help="Threads of one run; all that the process may use if not given.")
]
Json = Annotated[bool, Option("--json", help="Print JSON.")]

# Inputs of `run`.
Inputs = Annotated[
    list[str] | None,
    Argument(
        help="Texts; or images or sounds: files, folders (with all below them, sorted) and quoted "
        "globs. '-' stands for the lines of stdin, one input each; so does a pipe where no INPUTS "
        "are given. Blank lines are skipped.",
        show_default=False,
    ),
]
File = Annotated[
    Path | None,
    Option(help="Read the inputs from this file, one a line; JSON where it ends in .jsonl."),
]
InputJson = Annotated[
    bool | None,
    Option(
        "--input-jsonl",
        help='Each input is a JSON value: "text", ["first", "second"], {"text": ...}, '
        '{"text": ..., "text_pair": ...}, {"question": ..., "context": ...}, '
        '{"query": ..., "documents": [...]}, {"words": [...]} or {"messages": [...]}, as the task '
        "takes it.",
    ),
]
Documents = Annotated[
    bool | None,
    Option("--documents", help="INPUTS are files, folders or globs; each whole file is one text."),
]
TextPair = Annotated[str | None, Option(help="Pairs: the second text, for each of INPUTS.")]
Question = Annotated[
    str | None, Option(help="Answers: ask this of each of INPUTS, or of --context.")
]
Context = Annotated[
    str | None, Option(help="Answers: the text that each question of INPUTS is about.")
]
ContextFile = Annotated[Path | None, Option(help="Answers: take this whole file as --context.")]
Query = Annotated[str | None, Option(help="Ranking: order INPUTS by how well they answer this.")]

# Options that are handed to the task.
TopK = Annotated[
    Any,
    Option(
        parser=count_or_all,
        metavar="INTEGER|all",
        help="Answers to each input, best first; the task's own if not given. Sampling: the "
        "likeliest words to draw from.",
    ),
]
Function = Annotated[
    Literal["softmax", "sigmoid", "none"] | None,
    Option(help="What turns logits into scores; the checkpoint's own if not given."),
]
LongText = Annotated[
    Literal["windows", "truncate", "error"] | None,
    Option(
        help="Of a text longer than the model: cut it, with a warning; refuse it; or read it in "
        "windows: overlapping ones for token-classification, where it is the default; cut at the "
        "ends of sentences where a text is written."
    ),
]
Labels = Annotated[
    str | None, Option(metavar="A,B,...", help="Zero-shot: the labels to choose from, with commas.")
]
Template = Annotated[
    str | None,
    Option(help="Zero-shot: the sentence that a label is put into, such as 'It is about {}.'"),
]
MultiLabel = Annotated[
    bool | None, Option("--multi-label", help="Zero-shot: several labels may be true.")
]
Aggregation = Annotated[
    Literal["none", "simple", "first", "average", "max"] | None,
    Option(help="Entities: how tokens become one; simple if not given, and none gives the tokens."),
]
IgnoreLabel = Annotated[
    list[str] | None,
    Option(help="Entities: a label to leave out; may be given again. O if not given."),
]
Stride = Annotated[
    int | None, Option(min=0, help="Entities: tokens that two windows of a text share.")
]
DocStride = Annotated[
    int | None, Option(min=0, help="Answers: tokens that two windows of a context share.")
]
MaxSeqLen = Annotated[
    int | None, Option(min=1, help="Answers: tokens of a window, with the question in it.")
]
MaxAnswerLen = Annotated[int | None, Option(min=1, help="Answers: most tokens of one.")]
MaxQuestionLen = Annotated[int | None, Option(min=1, help="Answers: most tokens of a question.")]
Impossible = Annotated[
    bool | None, Option("--impossible", help="Answers: allow that there is none.")
]
AlignToWords = Annotated[
    bool | None,
    Option(help="Answers: whether they are widened to whole words, as they are if not given."),
]
Targets = Annotated[
    str | None,
    Option(metavar="A,B,...", help="Masks: the only tokens to choose from, with commas."),
]
Pooling = Annotated[
    Literal["none", "mean", "cls", "max", "last"] | None,
    Option(help="Vectors: how tokens become one; the checkpoint's own if not given."),
]
Normalize = Annotated[
    bool | None,
    Option(help="Vectors: whether they get length 1; the checkpoint's own if not given."),
]
Dimensions = Annotated[
    int | None, Option(min=1, help="Vectors: keep this many of the first numbers.")
]
Prompt = Annotated[
    str | None, Option(help="Vectors: name of one of the bundle's prompts, such as query.")
]
PromptText = Annotated[
    str | None, Option(help="Vectors: a prompt of your own, in front of each text.")
]
Threshold = Annotated[
    float | None,
    Option(
        min=0,
        max=1,
        help="Detections and segments: the lowest score; 0.5 and 0.9 if not given.",
    ),
]
Subtask = Annotated[
    Literal["panoptic", "instance", "semantic"] | None,
    Option(help="Segments: what they are; the first of these that the checkpoint can do."),
]
MaskThreshold = Annotated[
    float | None,
    Option(min=0, max=1, help="Segments: what makes a pixel part of one; 0.5 if not given."),
]
OverlapMaskAreaThreshold = Annotated[
    float | None,
    Option(
        min=0,
        max=1,
        help="Panoptic segments: the share of one that others must leave it; 0.5 if not given.",
    ),
]
LabelIdsToFuse = Annotated[
    str | None,
    Option(
        metavar="ID,ID,...",
        help="Panoptic segments: the class ids of which there is one segment at most, with commas.",
    ),
]
WindowSeconds = Annotated[
    float | None,
    Option(
        help="Sounds: classify windows of so many seconds and take the mean of their scores; as "
        "long as the model can hear at once if not given."
    ),
]
StepSeconds = Annotated[
    float | None,
    Option(
        help="Sounds: seconds from the start of a window to that of the next; those of a window "
        "if not given."
    ),
]

# What `run` writes besides.
Draw = Annotated[
    Path | None,
    Option(metavar="FOLDER", help="Write each picture with its result drawn on it, as PNG."),
]
SaveMasks = Annotated[
    Path | None,
    Option(metavar="FOLDER", help="Segments: write the label map of each picture, as PNG."),
]
SaveDepth = Annotated[
    Path | None,
    Option(metavar="FOLDER", help="Depth: write the map of each picture, float32 as .npy."),
]

# How `run` works and prints.
Progress = Annotated[
    bool | None,
    Option(
        help="Count the answered inputs on stderr; if not given, where that is a terminal and "
        "stdout is none."
    ),
]
Timestamps = Annotated[
    bool, Option("--timestamps", help="Speech: print each word with its start and end in seconds.")
]
Budget = Annotated[
    float | None,
    Option(
        help="Padded size of one run in tokens, pixels or seconds; the task's own if not given."
    ),
]
JsonArray = Annotated[bool, Option("--json", help="Print one JSON array at the end.")]
JsonLines = Annotated[
    bool, Option("--jsonl", help="Print a JSON object a line, as the answers come.")
]

# `chat`.
System = Annotated[str | None, Option(help="What the model is told before the first message.")]

# `export`.
Checkpoint = Annotated[str, Argument(help="A local folder or a hub id.", show_default=False)]
Target = Annotated[Path, Argument(help="The folder to write.", show_default=False)]
TaskName = Annotated[str | None, Option(help="Such as text-classification; told by the config.")]
Variants = Annotated[
    str | None, Option(help="Such as cpu-fp32,cpu-int8; what helps this model if not given.")
]
Samples = Annotated[
    str | None,
    Option(
        help="Inputs to compare with: a folder or a quoted glob of images or sounds, or a file "
        "with a text a line, or a JSON value a line where it ends in .jsonl."
    ),
]
MaxDivergence = Annotated[
    float | None,
    Option(
        help="Largest share of an answer's probability, 0 to 1, that may move in a variant that is "
        "not exact; 0.1 if not given."
    ),
]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace the bundle that is there.")]

# `doctor` and `bench`.
OptionalBundle = Annotated[
    Path | None, Argument(help="A bundle to verify and load here.", show_default=False)
]
OptionalInput = Annotated[
    str | None,
    Argument(
        help="A text or a path, or JSON where an input is more than a text; the task's example if "
        "not given.",
        show_default=False,
    ),
]
SeveralVariants = Annotated[
    list[str] | None, Option("--variant", help="Such as cpu-int8; give it again to compare.")
]
Runs = Annotated[int, Option(min=1, help="Most calls of each variant.")]
Seconds = Annotated[float, Option(min=0, help="Most seconds for each variant.")]
Batch = Annotated[int, Option(min=1, help="How many times the input is given to one call.")]
