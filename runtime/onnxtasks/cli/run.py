"""`onnxtasks run`: inputs -> answers, as they come."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import typer

from onnxtasks.cli import options
from onnxtasks.cli.generation_options import WRITING, AnswerOptions, Stream
from onnxtasks.cli.inputs import (
    SUFFIXES,
    is_live,
    lines,
    read_document,
    read_documents,
    read_files,
    read_texts,
    values,
    windows,
)
from onnxtasks.cli.items import (
    READS,
    Named,
    is_text,
    joined,
    named_text,
    printable,
    ranked,
    with_context,
    with_pair,
    with_question,
)
from onnxtasks.cli.output import Form, Results, plain_warnings, refuse
from onnxtasks.cli.pictures import Folders
from onnxtasks.cli.progress import Counter
from onnxtasks.cli.rows import ROWS, WORDS
from onnxtasks.cli.settings import (
    FileOptions,
    InputOptions,
    TaskOptions,
    check,
    keywords,
    refuse_both,
)
from onnxtasks.cli.streaming import is_alone, is_terminal, show_streamed
from onnxtasks.errors import BundleError, InputError, OnnxTasksError

WINDOW = 16  # inputs read ahead, so that some can share a run


def run(
    bundle: options.BundleFolder,
    inputs: InputOptions,
    device: options.Device = "cpu",
    variant: options.Variant = None,
    threads: options.Threads = None,
    budget: options.Budget = None,
    *,
    asked: TaskOptions,
    writing: AnswerOptions,
    stream: Stream = None,
    files: FileOptions,
    timestamps: options.Timestamps = False,
    as_json: options.JsonArray = False,
    as_jsonl: options.JsonLines = False,
    progress: options.Progress = None,
) -> None:
    """Answer inputs with a bundle.

    A bad input is reported on stderr and the rest goes on; the exit code is then 1. An option that
    the bundle's task does not take is refused.
    """
    refuse_both({"--json": as_json, "--jsonl": as_jsonl, "--stream": stream})
    task_name = task_of(bundle)
    told = {"timestamps": timestamps or None, "stream": stream}
    check(task_name, inputs, asked, writing, files, **told)
    chosen = keywords(task_name, asked, writing)
    view = WORDS if timestamps else ROWS[task_name]
    folders = Folders(files)
    form: Form = "json" if as_json else "jsonl" if as_jsonl else "lines"
    single = is_alone(inputs)
    alone = single and form == "lines" and task_name in WRITING and is_terminal()
    results = Results(form, view, alone=alone)
    streams = alone if stream is None else stream
    with ExitStack() as stack:
        found, live = _source(inputs, stack)
        named = named_inputs(task_name, found, inputs)
        from onnxtasks import tasks  # here, so that --help stays fast

        task = tasks.load(bundle, device=device, variant=variant, threads=threads)
        stack.enter_context(task)
        stack.enter_context(plain_warnings())
        if chosen:
            check_options(task, chosen)
        counter = Counter(progress, stack)
        for batch in windows(named, 1 if live or streams else WINDOW):
            if streams and streamed(
                task, batch[0], chosen, results, alone=single, wanted=bool(stream)
            ):
                counter.add()
                continue
            results.expect(batch)
            for one, answer in answers(task, batch, budget, chosen):
                results.add(one, answer)
                if not isinstance(answer, OnnxTasksError):
                    folders.write(one, answer)
                counter.add()
    results.close()
    if results.failed:
        raise typer.Exit(1)


def streamed(
    task: Any,
    one: Named,
    chosen: dict[str, Any],
    results: Results,
    *,
    alone: bool,
    wanted: bool,
) -> bool:
    """Print the answer to an input as it is written; False where `predict` has to answer it."""
    if one.error is not None:
        return False
    try:
        return show_streamed(task, one, chosen, alone=alone, wanted=wanted)
    except OnnxTasksError as error:
        results.add(one, error)
        return True


def check_options(task: Any, chosen: dict[str, Any]) -> None:
    """Let the task refuse its options once, and not again with every input.

    Raises:
        InputError: A wrong option.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first input tells it
        task.predict([], **chosen)


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

    task = read_manifest(bundle).task
    if task not in READS:
        raise BundleError(f"{bundle}: unknown task {task!r}; known: {', '.join(READS)}")
    return task


def named_inputs(task: str, found: Iterator[str], inputs: InputOptions) -> Iterator[Named]:
    """The inputs as written -> those of the task, joined with what is the same for all."""
    if not is_text(task):
        return read_files(found, SUFFIXES[READS[task]])
    context = _context(inputs)
    halves = (inputs.text_pair, inputs.question, context, inputs.query)
    kind = READS[task] if all(half is None for half in halves) else "text"
    texts = read_texts(found, kind, as_json=inputs.are_json)
    if inputs.documents:
        texts = read_documents(found)
    if context is not None:
        questions = texts if inputs.question is None else iter([named_text(inputs.question)])
        return joined(questions, with_context(context))
    if inputs.question is not None:
        return joined(texts, with_question(inputs.question))
    if inputs.text_pair is not None:
        return joined(texts, with_pair(inputs.text_pair))
    return texts if inputs.query is None else ranked(texts, inputs.query)


def standard_input() -> BinaryIO:
    """The bytes of stdin."""
    return sys.stdin.buffer


def _context(inputs: InputOptions) -> Named | None:
    """What --context or --context-file says; a file's path stands for it in JSON."""
    if inputs.context_file is None:
        return None if inputs.context is None else named_text(inputs.context)
    path = str(inputs.context_file)
    try:
        return Named(printable(path), printable(path), read_document(inputs.context_file))
    except InputError as error:
        refuse(f"--context-file: {path}: {error}")


def _source(inputs: InputOptions, stack: ExitStack) -> tuple[Iterator[str], bool]:
    """The inputs as written, and whether they come from something live."""
    if inputs.are_complete:
        return iter(()), False
    if inputs.file is not None:
        try:
            return lines(stack.enter_context(inputs.file.open("rb"))), False
        except OSError as error:
            refuse(f"--file: {error}")
    stdin = standard_input()
    if not inputs.inputs and stdin.isatty():
        refuse("nothing to answer; give INPUTS, --file, or lines through a pipe")
    wanted = inputs.inputs or ["-"]
    return values(wanted, stdin), "-" in wanted and is_live(stdin)
