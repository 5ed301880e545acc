"""`onnxtasks chat`: a conversation in a terminal, or with the lines of a pipe."""

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import typer

from onnxtasks.cli import options
from onnxtasks.cli.generation_options import CHAT_TOKENS, ChatOptions
from onnxtasks.cli.inputs import lines
from onnxtasks.cli.output import fail, plain_warnings, refuse
from onnxtasks.cli.run import check_options, standard_input
from onnxtasks.cli.settings import check_taken, keywords
from onnxtasks.cli.streaming import INTERRUPTED, show_pieces
from onnxtasks.errors import OnnxTasksError

TASK = "text-generation"
PROMPT = "> "
COMMAND = re.compile(r"/[a-z]+")
COMMANDS = {
    "/reset": "forgets what was said",
    "/exit": "ends the chat; so does the end of the input (Ctrl-D)",
}


def chat(
    bundle: options.BundleFolder,
    system: options.System = None,
    device: options.Device = "cpu",
    variant: options.Variant = None,
    threads: options.Threads = None,
    *,
    asked: ChatOptions,
) -> None:
    """Talk with a chat model.

    A line is one message, and the answer is printed as it is written. /reset forgets what was said,
    /exit or the end of the input ends the chat, Ctrl-C stops an answer. Lines may come from a pipe.
    """
    chosen = _options(bundle, asked)
    from onnxtasks import tasks  # here, so that --help stays fast

    with ExitStack() as stack:
        task = stack.enter_context(
            tasks.load(bundle, device=device, variant=variant, threads=threads)
        )
        stack.enter_context(plain_warnings())
        check_options(task, chosen)
        talk = Conversation(task, system, chosen)
        if is_interactive():
            _introduce()
            converse(talk, typed_lines(), live=True)
        else:
            converse(talk, lines(standard_input()), live=False)
    if talk.failed:
        raise typer.Exit(1)


class Conversation:
    """What was said so far, and the model that answers."""

    def __init__(self, task: Any, system: str | None, chosen: dict[str, Any]) -> None:
        """Begin with nothing said.

        Args:
            task: The text generator.
            system: What the model is told before all turns.
            chosen: The options of `stream`.
        """
        self.task = task
        self.system = system
        self.chosen = chosen
        self.failed = False
        self.reset()

    def reset(self) -> None:
        """Forget what was said; the system message stays."""
        told = [] if self.system is None else [{"role": "system", "content": self.system}]
        self.messages: list[dict[str, str]] = told

    def answer(self, text: str) -> bool:
        """Print the answer to a message as it is written; both are remembered.

        A message that cannot be answered is reported and forgotten, and so is one whose answer
        was stopped before its first word. Of an answer that was stopped later, what was printed
        is remembered.

        Returns:
            Whether Ctrl-C stopped it.
        """
        asked = [*self.messages, {"role": "user", "content": text}]
        try:
            with closing(self.task.stream(asked, **self.chosen)) as pieces:
                said, stopped = show_pieces(pieces)
        except OnnxTasksError as error:
            self.failed = True
            fail(error)
            return False
        except KeyboardInterrupt:  # while the prompt was tokenized
            return True
        if said or not stopped:
            self.messages = [*asked, {"role": "assistant", "content": said}]
        return stopped


def converse(talk: Conversation, typed: Iterator[str], *, live: bool) -> None:
    """Answer lines until they end.

    Args:
        talk: What answers.
        typed: The lines.
        live: Whether a person types them: then Ctrl-C ends the answer alone, and errors do not
            count as failure.
    """
    for line in typed:
        text = line.strip()
        if text == "/exit":
            break
        if text == "/reset":
            talk.reset()
        elif COMMAND.fullmatch(text):
            fail(f"no command {text}; there are {' and '.join(COMMANDS)}")
            talk.failed = True
        elif text:
            stopped = talk.answer(text)
            if stopped and not live:
                raise typer.Exit(INTERRUPTED)
            if live:
                typer.echo()
    if live:
        talk.failed = False


def is_interactive() -> bool:
    """Whether a person types and reads."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def typed_lines() -> Iterator[str]:
    """Lines from a terminal, until its input ends; Ctrl-C drops the line that is being typed."""
    with suppress(ImportError):  # Windows has keys of its own
        import readline  # noqa: F401  # gives input() arrow keys and a history
    while True:
        try:
            yield input(PROMPT)
        except KeyboardInterrupt:
            typer.echo()
        except EOFError:
            typer.echo()
            return


def _options(bundle: Path, asked: ChatOptions) -> dict[str, Any]:
    """What `stream` is handed; ends the command where the bundle cannot chat."""
    from onnxtasks.bundle import read_manifest

    manifest = read_manifest(bundle)
    if manifest.task != TASK:
        refuse(f"chat needs a bundle for {TASK}; this bundle is for {manifest.task}")
    if manifest.spec.get("chat_template") is None:
        refuse(
            "this model has no chat template, so it was not made for conversations; "
            "onnxtasks run writes on after a text"
        )
    check_taken(TASK, asked)
    own = manifest.spec.get("defaults", {})
    chosen: dict[str, Any] = {"num_beams": 1, "num_return_sequences": 1}  # or it has no pieces
    if not (own.get("max_new_tokens") or own.get("max_length")):
        chosen["max_new_tokens"] = CHAT_TOKENS
    chosen |= keywords(TASK, asked)
    del chosen["return_full_text"]
    return chosen


def _introduce() -> None:
    """Say on stderr what can be typed."""
    told = "; ".join(f"{name} {what}" for name, what in COMMANDS.items())
    typer.echo(f"A line is a message. {told}; Ctrl-C stops an answer.", err=True)
