"""Counts answered inputs on stderr."""

import sys
from contextlib import ExitStack
from typing import Any


class Counter:
    """A line on stderr that says how many inputs are answered, and how fast.

    The inputs may come from a pipe or be thousands of files, so their number is not known.
    """

    def __init__(self, wanted: bool | None, stack: ExitStack) -> None:
        """Show it where it is wanted; None: where stderr is a terminal and stdout is none."""
        shown = sys.stderr.isatty() and not sys.stdout.isatty() if wanted is None else wanted
        self._progress: Any = None
        self._done = 0
        if not shown:
            return
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        console = Console(stderr=True, highlight=False)
        # What a terminal shows keeps its place: errors and warnings are printed above it.
        self._progress = stack.enter_context(Progress(*columns, console=console))
        self._line = self._progress.add_task("0 answered")

    def add(self) -> None:
        """Count one answer."""
        if self._progress is None:
            return
        self._done += 1
        elapsed = self._progress.tasks[self._line].elapsed or 0.0
        speed = f", {self._done / elapsed:.1f} a second" if elapsed > 1 else ""
        self._progress.update(self._line, description=f"{self._done} answered{speed}")

    def heard(self, seconds: float) -> None:
        """Say how far into a recording its segments are known."""
        if self._progress is None:
            return
        minutes, second = divmod(int(seconds), 60)
        where = f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
        self._progress.update(self._line, description=f"{self._done} answered, {where} heard")
