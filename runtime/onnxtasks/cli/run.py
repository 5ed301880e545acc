"""`onnxtasks run`: inputs -> answers, as they come."""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

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
from onnxtasks.cli.speech_options import SpeechOptions
from onnxtasks.cli.streaming import is_alone, is_terminal, show_streamed
from onnxtasks.cli.transcript_options import SPEECH, TranscriptOptions
from onnxtasks.cli.transcripts import (
    WORD_TIMES,
    Heard,
    Transcripts,
    can_stream,
    check_transcripts,
    is_one_file,
    show_segments,
)
from onnxtasks.errors import BundleError, InputError, OnnxTasksError

Streamer: TypeAlias = Callable[[Named, dict[str, Any]], bool]
"""Shows the answer to an input while it is made; False where it cannot."""

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
    speech: SpeechOptions,
    transcripts: TranscriptOptions,
    as_json: options.JsonArray = False,
    as_jsonl: options.JsonLines = False,
    progress: options.Progress = None,
) -> None:
    """Answer inputs with a bundle.

    A bad input is reported on stderr and the rest goes on; the exit code is then 1. An option that
    the bundle's task does not take is refused.
    """
    for other in ({"--stream": stream}, {"--format": transcripts.format}):
        refuse_both({"--json": as_json, "--jsonl": as_jsonl} | other)
    task_name = task_of(bundle)
    told = {"timestamps": timestamps or None, "stream": stream}
    check(task_name, inputs, asked, writing, speech, files, transcripts, **told)
    check_transcripts(transcripts, inputs)
    chosen = keywords(task_name, asked, writing, speech)
    form: Form = "json" if as_json else "jsonl" if as_jsonl else "lines"
    shown = Shown(task_name, form, inputs, transcripts, stream, timestamps=timestamps)
    folders = Folders(files)
    results = shown.results()
    with ExitStack() as stack:
        found, live = source(inputs, stack)
        named = named_inputs(task_name, found, inputs)
        from onnxtasks import tasks  # here, so that --help stays fast

        task = tasks.load(bundle, device=device, variant=variant, threads=threads)
        stack.enter_context(task)
        stack.enter_context(plain_warnings())
        chosen |= shown.needed(task, results)
        if chosen:
            check_options(task, chosen)
        counter = Counter(progress, stack)
        streams = shown.streams(task, results, counter.heard)
        for batch in windows(named, 1 if live or streams else WINDOW):
            if streams and streamed(streams, batch[0], chosen, results):
                counter.add()
                continue
            results.expect(batch)
            for one, answer in answers(task, batch, budget, chosen):
                put(one, answer, results, folders)
                counter.add()
    results.close()
    if results.failed:
        raise typer.Exit(1)


def put(one: Named, answer: Any, results: Results | Transcripts, folders: Folders) -> None:
    """Print an answer or error, and write what was asked for into folders."""
    results.add(one, answer)
    if not isinstance(answer, OnnxTasksError):
        folders.write(one, answer)


@dataclass(frozen=True, slots=True)
class Shown:
    """How the answers of a task are shown, and whether while they are made."""

    task: str
    form: Form
    inputs: InputOptions
    transcripts: TranscriptOptions
    stream: bool | None
    timestamps: bool

    @property
    def single(self) -> bool:
        """Whether there is one input only, whose name need not stand beside its answer."""
        return (is_one_file if self.task in SPEECH else is_alone)(self.inputs)

    @property
    def alone(self) -> bool:
        """Whether a person sees the one answer as it is written."""
        tells = self.task in WRITING or (self.task in SPEECH and not self.timestamps)
        return self.single and self.form == "lines" and tells and is_terminal()

    def results(self) -> Results | Transcripts:
        """What prints or writes the answers."""
        if self.transcripts.format is not None:
            return Transcripts(self.transcripts, timed_words=self.timestamps)
        view = WORDS if self.timestamps else ROWS[self.task]
        return Results(self.form, view, alone=self.alone and self.task in WRITING)

    def needed(self, task: Any, results: Results | Transcripts) -> dict[str, Any]:
        """What `predict` has to be asked for, so that there is what is shown."""
        words = isinstance(results, Transcripts) and results.needs_words
        return dict(WORD_TIMES) if can_stream(task) and (words or self.timestamps) else {}

    def streams(self, task: Any, results: Results | Transcripts, heard: Heard) -> Streamer | None:
        """What shows an answer while it is made; None where it is shown as a whole.

        Args:
            task: The loaded one.
            results: What prints or writes the answers.
            heard: Told how far into a recording its segments are known, in seconds.
        """
        if self.task in WRITING:
            wanted = self.alone if self.stream is None else self.stream
            show = partial(show_streamed, task, alone=self.single, wanted=bool(self.stream))
            return show if wanted else None
        if self.task not in SPEECH or self.stream is False:
            return None
        if self.stream and not can_stream(task):
            raise InputError("this model writes a recording down as a whole; leave --stream out")
        if self.stream and (self.timestamps or not getattr(results, "can_stream", True)):
            refuse("--stream shows segments; the times of words and JSON need the whole recording")
        if not can_stream(task):
            return None
        if isinstance(results, Transcripts):
            wanted = results.can_stream and (self.single or bool(self.stream))
            return partial(results.stream, task, heard=heard) if wanted else None
        show = partial(show_segments, task, alone=self.single, heard=heard)
        return show if self.alone or self.stream else None


def streamed(
    show: Streamer, one: Named, chosen: dict[str, Any], results: Results | Transcripts
) -> bool:
    """Show the answer to an input as it is made; False where `predict` has to answer it."""
    if one.error is not None:
        return False
    try:
        return show(one, chosen)
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
        try:
            task.predict([], **chosen)
        except TypeError as error:  # of two kinds of models of one task, it is the other
            raise InputError(f"the bundle's model does not take this option: {error}") from None


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


def source(inputs: InputOptions, stack: ExitStack) -> tuple[Iterator[str], bool]:
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
