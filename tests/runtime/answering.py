"""Tasks that answer from their input and load no graph, and the command line over them."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from onnxtasks.cli.app import app
from onnxtasks.errors import InputError, TruncationWarning
from onnxtasks.ops.labels import Label
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.speech_recognition import Span, Transcript
from tests.runtime.tiny_graph import tiny_bundle

runner = CliRunner()
STYLES = ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


class Answering(Task[Any, Any]):
    """Labels a text by its length and a file by its name; refuses whatever says "bad"."""

    name = "text-classification"
    unit = "tokens"
    budget = 100.0

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.closed = False

    @classmethod
    def from_bundle(cls, bundle, sessions):
        raise NotImplementedError

    def predict(
        self,
        items: Sequence[Any],
        *,
        top_k: int = 1,
        function_to_apply: str | None = None,
        long_text: str = "truncate",
    ) -> list[Any]:
        if items:
            self.batches.append(list(items))
        if any("bad" in str(item) for item in items):
            raise InputError("it says bad")
        if any("long" in str(item) for item in items):
            warnings.warn("the text was cut", TruncationWarning, stacklevel=2)
        return [
            [
                Label(f"{Path(str(item)).name}-{i}", 0.75 if i == 0 else 0.125, i)
                for i in range(top_k)
            ]
            for item in items
        ]

    def measure(self, item: Any) -> float:
        return 1.0

    def example(self) -> Any:
        return "example"

    def close(self) -> None:
        self.closed = True


class Hearing(Answering):
    """Hears the file's name."""

    def predict(self, items: Sequence[Any]) -> list[Any]:  # type: ignore[override]
        words = (Span("good", 0.25, 1.5, 0.5), Span("morning", 10.0, 12.5, 0.5))
        return [Transcript(f"good {Path(i).stem}", (), words, (), None, ()) for i in items]


class Telling(Answering):
    """Answers with what a function says of each input, and remembers the options."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        super().__init__()
        self.answer = answer
        self.options: dict[str, Any] = {}

    def predict(self, items: Sequence[Any], **options: Any) -> list[Any]:
        self.options = options
        if items:
            self.batches.append(list(items))
        return [self.answer(item) for item in items]


@dataclass
class Loaded:
    task: Answering
    arguments: dict[str, Any]


def fake(tmp_path, monkeypatch, task_name: str, task: Answering) -> Loaded:
    tiny_bundle(tmp_path / "bundle", {"cpu-fp32": 2.0, "cpu-int8": 2.0}, task_name)
    monkeypatch.chdir(tmp_path)
    loaded = Loaded(task, {})

    def load(folder: Path, **arguments: Any) -> Answering:
        loaded.arguments |= arguments
        return task

    monkeypatch.setattr("onnxtasks.tasks.load", load)
    return loaded


def call(*arguments: str, **options: Any) -> Any:
    # What a developer's terminal or CI says of colours is no part of a test.
    env = dict.fromkeys(STYLES) | options.pop("env", {})
    return runner.invoke(app, list(arguments), catch_exceptions=False, env=env, **options)


def run(*arguments: str, **options: Any) -> Any:
    return call("run", "bundle", *arguments, **options)
