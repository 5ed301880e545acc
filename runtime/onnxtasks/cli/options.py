"""Arguments and options of the commands, with what `--help` says of them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Argument, Option = typer.Argument, typer.Option

BundleFolder = Annotated[Path, Argument(help="The bundle's folder.", show_default=False)]
Device = Annotated[str, Option(help="cpu, cuda, cuda:1, openvino, openvino:bf16 or auto.")]
Variant = Annotated[str | None, Option(help="Such as cpu-int8; the bundle's default if not given.")]
Threads = Annotated[
    int | None, Option(min=1, help="Threads of one run; all that the process may use if not given.")
]
Pairs = Annotated[
    bool,
    Option("--pairs", help='Each input is two texts, as a JSON array: ["first", "second"].'),
]
Json = Annotated[bool, Option("--json", help="Print JSON.")]

Inputs = Annotated[
    list[str] | None,
    Argument(
        help="Texts; or images or sounds: files, folders (with all below them, sorted) and quoted "
        "globs. '-' stands for the lines of stdin, one input each; so does a pipe where no INPUTS "
        "are given. Blank lines are skipped.",
        show_default=False,
    ),
]
File = Annotated[Path | None, Option(help="Read the inputs from this file, one a line.")]
TopK = Annotated[
    int | None, Option(min=1, help="Labels of each input, best first; the task's own if not given.")
]
Function = Annotated[
    Literal["softmax", "sigmoid", "none"] | None,
    Option(help="What turns logits into scores; the checkpoint's own if not given."),
]
LongText = Annotated[
    Literal["truncate", "error"] | None,
    Option(help="Cut a text that is longer than the model, with a warning, or refuse it."),
]
TextPair = Annotated[str | None, Option(help="The second text, for each of INPUTS.")]
Timestamps = Annotated[
    bool, Option("--timestamps", help="Print each word with its start and end in seconds.")
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
        "with a text a line."
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

OptionalBundle = Annotated[
    Path | None, Argument(help="A bundle to verify and load here.", show_default=False)
]
OptionalInput = Annotated[
    str | None,
    Argument(help="A text or a path; the task's example if not given.", show_default=False),
]
SeveralVariants = Annotated[
    list[str] | None, Option("--variant", help="Such as cpu-int8; give it again to compare.")
]
Runs = Annotated[int, Option(min=1, help="Most calls of each variant.")]
Seconds = Annotated[float, Option(min=0, help="Most seconds for each variant.")]
Batch = Annotated[int, Option(min=1, help="How many times the input is given to one call.")]
