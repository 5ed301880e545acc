"""Texts of a given form: one of several choices, a regular expression, a JSON schema.

A rule leaves only the words with which the new text can still become one of that form; when it is
complete and cannot go on, only the end token. Any tokens that spell the text are allowed, not only
those that the tokenizer would choose, so a text that has the form anyway comes out unchanged. The
text meant is what the new tokens are decoded to, without the prompt: where a tokenizer drops the
leading space of a text, the form starts behind it; where it does not (GPT-2), the form has to name
the space.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.generation.forms import Choices, Form, Schema, Vocabulary, regex_form, schema_form
from onnxtasks.generation.history import History

Bool: TypeAlias = npt.NDArray[np.bool_]
Int: TypeAlias = npt.NDArray[np.int64]
Float: TypeAlias = npt.NDArray[np.float32]

REMEMBERED = 64  # states of texts so far, beyond those of the present rows
LOWEST = np.float32(-1e30)
"""Behind everything that fits; two of them can be added."""


class _State:
    """What may follow one text so far."""

    def __init__(self, form: Form | None, started: bool, ended: bool) -> None:
        self.form = form  # None behind a word that did not fit
        self.started = started
        self.ended = ended
        self.forbidden: Bool | None = None  # computed when it is asked for [word]

    def after(self, vocabulary: Vocabulary, number: int) -> "_State":
        if self.ended or number in vocabulary.ends:
            return _State(self.form, self.started, True)
        if self.form is None or not vocabulary.in_text(number):  # as a language code is not
            return self
        return _State(self.form.after(vocabulary, number, self.started), True, False)


class Constraint:
    """The rule: scores of words that do not fit become -inf.

    It belongs behind all other rules. A first or last token that they force, which is no part of
    the text, stays.
    """

    def __init__(self, vocabulary: Vocabulary, form: Form, *, beams: bool = False) -> None:
        """Start before the first word.

        Args:
            vocabulary: The words.
            form: What the text has to be.
            beams: Whether a row that cannot go on loses against others. Otherwise it is an error.
        """
        self._vocabulary = vocabulary
        self._beams = beams
        self._start = _State(form, False, False)
        self._states: dict[bytes, _State] = {}

    def __call__(self, history: History, scores: Float) -> Float:
        """Forbid in place.

        Args:
            history: The rows so far.
            scores: float32 [row, word].

        Raises:
            InputError: A row cannot go on.
        """
        for row, values in enumerate(scores):
            new = history.row(row)[history.prompt_lengths[row] :]
            state = self._state(new)
            left = np.where(self._forbidden(state), np.float32(-np.inf), values)
            if left.max() == -np.inf:
                left = self._stuck(state, values, new.tolist())
            values[:] = left
        while len(self._states) > REMEMBERED + 2 * len(scores):
            del self._states[next(iter(self._states))]
        return scores

    def _state(self, new: Int) -> _State:
        """Behind the new tokens of a row; mostly one word behind a state that is known."""
        if not len(new):
            return self._start
        key = new.tobytes()
        state = self._states.pop(key, None)
        if state is None:
            before = self._states.get(key[: -new.itemsize])
            left = new[-1:] if before is not None else new
            state = before or self._start
            for number in left.tolist():
                state = state.after(self._vocabulary, number)
        self._states[key] = state  # the newest last
        return state

    def _forbidden(self, state: _State) -> Bool:
        if state.forbidden is None:
            words = self._vocabulary
            allowed, complete = np.zeros(words.words, np.bool_), state.ended
            if state.form is not None and not state.ended:
                allowed, complete = state.form.allowed(words, state.started)
            state.forbidden = ~allowed
            state.forbidden[list(words.ends)] = not complete
        return state.forbidden

    def _stuck(self, state: _State, values: Float, new: list[int]) -> Float:
        """Scores of a row without a word to go on with."""
        words = self._vocabulary
        forced = np.flatnonzero(values > -np.inf).tolist()
        if forced and not any(words.in_text(number) for number in forced):
            return values  # a language code at the beginning, the end where the length ends
        if self._beams or state.ended:
            # With fewer words than beams, some take a word that does not fit. They end, far behind.
            left = np.full_like(values, -np.inf)
            left[list(words.ends)] = LOWEST
            return left
        text = words.texts.tokenizer.decode(new)
        raise InputError(
            f"behind the text {text!r}, the other rules or the model's words leave nothing that "
            "choices, regex or json_schema allow; take away the rule that contradicts them"
        )


def constraint(
    vocabulary: Vocabulary,
    *,
    choices: Sequence[str] | None = None,
    regex: str | None = None,
    json_schema: Schema | None = None,
    beams: bool = False,
) -> Constraint | None:
    """The rule for one call; None where nothing is asked for.

    Args:
        vocabulary: The model's words.
        choices: The text is one of these.
        regex: The whole text matches it; without look-around and back-references, and only 0 to
            9 are digits.
        json_schema: The text is JSON of this schema, which is given as a dict or as its text. At
            most 32 spaces or line ends stand between two parts, if its "x-guidance" says nothing.
        beams: Whether the search keeps several beams.

    Raises:
        InputError: More than one of them, or one that is wrong.
        OnnxTasksError: The package for `regex` and `json_schema` is missing.
    """
    asked = {"choices": choices or None, "regex": regex, "json_schema": json_schema}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} are given; a text has one form")
    if choices:
        return Constraint(vocabulary, Choices.of(vocabulary, choices), beams=beams)
    if regex is not None:
        return Constraint(vocabulary, regex_form(vocabulary, regex), beams=beams)
    if json_schema is not None:
        return Constraint(vocabulary, schema_form(vocabulary, json_schema), beams=beams)
    return None
