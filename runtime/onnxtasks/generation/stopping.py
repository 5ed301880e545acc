"""Reasons to stop that are not the end token: strings, time, a function of the caller's.

Each rule answers for one row of token ids (`stops`), and they are asked together for all rows
(`stopping`). The prompt counts: a stop string may begin in it, but its end is always new.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.generation.history import History
from onnxtasks.generation.streaming import TokenTexts

Int: TypeAlias = npt.NDArray[np.int64]
Stopping: TypeAlias = Callable[[History], list[str | None]]
"""Why each row must stop here, or None."""
StopFunction: TypeAlias = Callable[[Int], bool]
"""All token ids of a row, its prompt included, int64 [token] -> whether it ends here."""


class StopRule(Protocol):
    """One reason to stop."""

    reason: ClassVar[str]

    def stops(self, row: Int) -> bool:
        """Whether a row ends with its last token; int64 [token], its prompt included."""
        ...


class StopStrings:
    """A row ends with the token in which a stop string ends.

    The decision of transformers' `StopStringCriteria`: a stop string is looked for in what the
    tokens say (special ones too), its end in the last of them; other text may follow it there.
    Tokens and text keep the stop string, as they do there. A step costs a few dictionary look-ups.
    """

    reason: ClassVar[str] = "stop_string"

    def __init__(self, texts: TokenTexts, strings: str | Sequence[str]) -> None:
        """Check the strings.

        Raises:
            InputError: Not strings, none, or an empty one.
        """
        self._texts = texts
        self._strings = [string.encode() for string in checked_strings(strings)]
        self._longest = max(len(string) for string in self._strings)
        # Tokens without a text let a string reach back further; the original looks this far.
        self._reach = self._longest
        if texts.byte_kind is None:
            self._reach = max(len(string.decode()) for string in self._strings)

    def stops(self, row: Int) -> bool:
        """Whether a stop string ends in the last token."""
        last = self._texts.later(int(row[-1]))
        if not last:
            return False
        tail = last
        for number in row[: -self._reach - 1 : -1][1:].tolist():
            if len(tail) - len(last) >= self._longest - 1:
                break
            before = self._texts.later(number)
            if before is None:
                break
            tail = before + tail
        return any(
            tail.find(string, max(0, len(tail) - len(last) - len(string) + 1)) >= 0
            for string in self._strings
        )


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Every row ends at the first step that finishes after the time is up."""

    reason: ClassVar[str] = "time"

    seconds: float
    """More than 0; counted from when the limit is made, at the beginning of the call."""
    clock: Callable[[], float] = time.perf_counter
    began: float = field(init=False)

    def __post_init__(self) -> None:
        """Refuse what is no time, and start the clock."""
        number = isinstance(self.seconds, int | float) and not isinstance(self.seconds, bool)
        if not number or not 0 < self.seconds < math.inf:
            raise InputError(f"max_time is {self.seconds!r}; it is a number of seconds above 0")
        object.__setattr__(self, "began", self.clock())

    def stops(self, row: Int) -> bool:
        """Whether the time is up."""
        return self.clock() - self.began > self.seconds


@dataclass(frozen=True, slots=True)
class StopWhen:
    """A row ends where the caller's function says so."""

    reason: ClassVar[str] = "callable"

    function: StopFunction

    def __post_init__(self) -> None:
        """Refuse what cannot be called."""
        if not callable(self.function):
            raise InputError(
                "stop is a function of a row's token ids that returns True or False, "
                f"got {type(self.function).__name__}"
            )

    def stops(self, row: Int) -> bool:
        """Ask the function; it gets a copy.

        Raises:
            InputError: It returned something else than True or False.
        """
        answer = self.function(row.copy())
        if not isinstance(answer, bool | np.bool_):
            raise InputError(
                f"the stopping function returned {answer!r} ({type(answer).__name__}); "
                "it returns True or False"
            )
        return bool(answer)


def stopping(rules: Sequence[StopRule]) -> Stopping | None:
    """Ask all rules about all rows; the first that says stop gives the reason.

    Returns:
        None without rules: then nothing has to be asked.
    """
    if not rules:
        return None

    def reasons(history: History) -> list[str | None]:
        return [stop_reason(rules, history.row(index)) for index in range(len(history))]

    return reasons


def stop_reason(rules: Sequence[StopRule], row: Int) -> str | None:
    """The first reason to end one row, int64 [token], here; None to go on."""
    return next((rule.reason for rule in rules if rule.stops(row)), None)


def checked_strings(strings: str | Sequence[str]) -> list[str]:
    """One stop string or several, as a list.

    Raises:
        InputError: Not strings, none, or an empty one.
    """
    found = [strings] if isinstance(strings, str) else strings
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise InputError(f"stop_strings is a str or a list of str, got {strings!r}")
    if not found:
        raise InputError("stop_strings is an empty list; leave it out, or name a string")
    for string in found:
        if not string:
            raise InputError("a stop string is empty; it would stop every text at once")
        try:
            string.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the stop string {string!r} is not valid Unicode: {error}") from None
    return list(found)
