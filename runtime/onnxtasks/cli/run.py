"""`onnxtasks run`: inputs -> answers, as they come."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import typer

from onnxtasks.cli import options
from onnxtasks.cli.inputs import (
    READS,
    SUFFIXES,
    Named,
    is_live,
    lines,
    read_files,
    read_texts,
    values,
    windows,
)
from onnxtasks.cli.output import Results, plain_warnings, refuse

WINDOW = 16  # inputs read ahead, so that some can share a run

TAKES: dict[str, tuple[str, ...]] = {
    "--top-k": ("image-classification", "text-classification"),
    "--function": ("image-classification", "text-classification"),
    "--long-text": ("text-classification",),
    "--text-pair": ("text-classification",),
    "--pairs": ("text-classification",),
    "--timestamps": ("automatic-speech-recognition",),
}
"""Option -> the tasks that take it. Every task takes the options that are not here."""


def run(
    bundle: options.BundleFolder,
    inputs: options.Inputs = None,
    file: options.File = None,
    device: options.Device = "cpu",
    variant: options.Variant = None,
    threads: options.Threads = None,
    top_k: options.TopK = None,
    function: options.Function = None,
    long_text: options.LongText = None,
    text_pair: options.TextPair = None,
    pairs: options.Pairs = False,
    timestamps: options.Timestamps = False,
    budget: options.Budget = None,
    as_json: options.JsonArray = False,
    as_jsonl: options.JsonLines = False,
) -> None:
    """Answer inputs with a bundle.

    A bad input is reported on stderr and the rest goes on; the exit code is then 1.
    """
    given: dict[str, object] = {"--top-k": top_k, "--function": function, "--long-text": long_text}
    given |= {"--text-pair": text_pair, "--pairs": pairs, "--timestamps": timestamps}
    refuse_both({"--json": as_json, "--jsonl": as_jsonl})
    refuse_both({"--pairs": pairs, "--text-pair": text_pair})
    refuse_both({"INPUTS": inputs, "--file": file})
    task_name = task_of(bundle)
    refuse_untaken(task_name, [name for name, value in given.items() if value])
    results = Results("json" if as_json else "jsonl" if as_jsonl else "lines", words=timestamps)
    chosen = {"top_k": top_k, "function_to_apply": function, "long_text": long_text}
    with ExitStack() as stack:
        found, live = _source(inputs, file, stack)
        named = _named(task_name, found, pairs, text_pair)
        from onnxtasks import tasks  # here, so that --help stays fast

        task = tasks.load(bundle, device=device, variant=variant, threads=threads)
        stack.enter_context(task)
        stack.enter_context(plain_warnings())
        kept = {name: value for name, value in chosen.items() if value is not None}
        for batch in windows(named, 1 if live else WINDOW):
            results.expect([one.label for one in batch])
            for one, answer in answers(task, batch, budget, kept):
                results.add(one.name, one.label, answer)
    results.close()
    if results.failed:
        raise typer.Exit(1)


def answers(
    task: Any, batch: Sequence[Named], budget: float | None, chosen: dict[str, Any]
) -> Iterator[tuple[Named, Any]]:
    """Each input with its answer or error, in order."""
    items = [one.item for one in batch if one.error is None]
    found = task.map(items, window=WINDOW, budget=budget, errors="return", **chosen)
    for one in batch:
        yield one, one.error if one.error is not None else next(found)


def task_of(bundle: Path) -> str:
    """The task of a bundle, by its manifest alone.

    Raises:
        BundleError: Not a bundle, or a task that this package does not know.
    """
    from onnxtasks.bundle import read_manifest
    from onnxtasks.errors import BundleError

    task = read_manifest(bundle).task
    if task not in READS:
        raise BundleError(f"{bundle}: unknown task {task!r}; known: {', '.join(READS)}")
    return task


def refuse_both(given: dict[str, object]) -> None:
    """End the command where two things were given that exclude each other."""
    names = [name for name, value in given.items() if value]
    if len(names) > 1:
        refuse(f"{names[0]} and {names[1]} exclude each other; give one of them")


def refuse_untaken(task: str, given: Sequence[str]) -> None:
    """End the command where an option was given that the task does not take."""
    for name in given:
        if task not in TAKES[name]:
            refuse(f"{name} is for {' and '.join(TAKES[name])}; this bundle is for {task}")


def standard_input() -> BinaryIO:
    """The bytes of stdin."""
    return sys.stdin.buffer


def _source(
    inputs: Sequence[str] | None, file: Path | None, stack: ExitStack
) -> tuple[Iterator[str], bool]:
    """The inputs as written, and whether they come from something live."""
    if file is not None:
        try:
            return lines(stack.enter_context(file.open("rb"))), False
        except OSError as error:
            refuse(f"--file: {error}")
    stdin = standard_input()
    if not inputs and stdin.isatty():
        refuse("nothing to answer; give INPUTS, --file, or lines through a pipe")
    wanted = inputs or ["-"]
    return values(wanted, stdin), "-" in wanted and is_live(stdin)


def _named(task: str, found: Iterator[str], pairs: bool, text_pair: str | None) -> Iterator[Named]:
    if READS[task] == "text":
        return read_texts(found, pairs=pairs, second=text_pair)
    return read_files(found, SUFFIXES[READS[task]])
